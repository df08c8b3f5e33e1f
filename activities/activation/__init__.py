"""Waves: wallets become active once each, are announced, soak, are checked, or are frozen."""

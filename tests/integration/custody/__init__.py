"""Custody on the real store and key service: what it makes, and whom it makes it for."""

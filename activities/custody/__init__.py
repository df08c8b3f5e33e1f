"""Custody: seals seeds, derives addresses twice, proves possession, verifies authority itself."""

"""Tests of list reading and name matching."""

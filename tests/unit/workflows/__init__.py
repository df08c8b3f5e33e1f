"""Tests of what workflows decide without an engine."""

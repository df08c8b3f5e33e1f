"""Tests: runbooks."""

"""Tests: what runs twice, late or from several places at once changes the world once."""

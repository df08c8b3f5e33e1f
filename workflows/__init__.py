"""Decisions only: what happens next in a batch. No I/O, no clock, no randomness but the engine's own."""

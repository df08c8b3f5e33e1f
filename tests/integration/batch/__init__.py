"""Whole batches on the real servers with real worker processes, from start to bundle."""

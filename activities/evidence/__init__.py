"""The evidence bundle: written out of the store, verified by anyone, offline."""

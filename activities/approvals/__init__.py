"""Gates and the signed statements sent to them, counted from the raw texts alone."""

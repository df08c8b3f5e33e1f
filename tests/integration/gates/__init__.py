"""Gates on the real store: who is asked, whose word counts, and when a gate or hold ends."""

"""The demo: people, lists, and a play by the public command line."""

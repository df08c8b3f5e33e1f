"""The key room, its sealing and its second path, without servers."""

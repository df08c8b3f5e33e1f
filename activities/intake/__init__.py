"""From a source file to stored subjects: opening, reading, checking, storing."""

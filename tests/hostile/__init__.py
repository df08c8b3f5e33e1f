"""Text that strangers wrote, in every place a stranger can write into."""

"""What stands between a worker and a server, and does harm when it is told to."""

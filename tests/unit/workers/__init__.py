"""Settings, logs, spans and the command line without a server."""

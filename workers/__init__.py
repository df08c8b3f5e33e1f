"""The joining: settings, clients, roles and the command line. Imported by nobody but tests and the demo."""

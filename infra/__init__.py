"""What the system runs on: dev stack, migrations, policies, demo."""

"""The parts of the first revision. They are history: a later revision changes the schema, never these."""

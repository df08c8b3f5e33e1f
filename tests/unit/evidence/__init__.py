"""The evidence bundle's parts without a store."""

"""Thin adapters to outside services: vendor errors stop here."""

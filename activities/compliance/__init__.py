"""Compliance review: the plan, its digest, and what the policy decides about it."""

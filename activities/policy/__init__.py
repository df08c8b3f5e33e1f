"""Jurisdictions as data: what a policy file says, and what it decides about a plan.

Pure but for reading the folder of policies.
"""

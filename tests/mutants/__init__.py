"""Removes each check of the approval and verification path in turn: a test must notice (`make mutants`).

Not mutmut: it leaves decorated functions alone, knows no removal of a statement or of a rule from a table at
a module's top, and its forks cannot share running servers.
"""

"""The store: what exists, in PostgreSQL. Tables, transactions, bulk copy and the audit log.

Modules here never decide; constraints carry the invariants and grants carry the permissions.
"""

"""The command line `walletworks`: for requesters, approvers, operators and auditors.

It reaches Temporal, and files by link; never the database, never the key service.
"""

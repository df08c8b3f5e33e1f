"""The servers Walletworks runs on, real ones, on this machine, for development and tests.

Temporal, PostgreSQL and OpenBao from their wheels, state in one folder, ports of their own. Never
downloads anything, and is never the way to run production.
"""

from infra.devstack.errors import StackError
from infra.devstack.stack import Stack

__all__ = ["Stack", "StackError"]

"""What custody's token may do at the key service: exactly this, checked when the worker starts."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

_UPDATE: Final = frozenset({"update"})

KEY_SERVICE_NEEDS: Final[Mapping[str, frozenset[str]]] = MappingProxyType(
    {
        "transit/datakey/plaintext/seed": _UPDATE,
        "transit/decrypt/seed": _UPDATE,
        "transit/random": _UPDATE,
        "transit/sign/attest": _UPDATE,
        "transit/keys/attest": frozenset({"read"}),
    }
)
"""Every call the custody worker makes, by path."""

KEY_SERVICE_NEVER: Final = (
    "transit/datakey/plaintext/pii",
    "transit/decrypt/pii",
    "transit/datakey/wrapped/seed",
    "transit/encrypt/seed",
    "transit/verify/attest",
    "transit/keys/seed",
    "transit/keys/seed/config",
    "transit/keys/attest/config",
    "transit/export/encryption-key/seed",
    "transit/export/signing-key/attest",
    "transit/backup/seed",
    "transit/backup/attest",
    "sys/policies/acl/walletworks-custody",
    "sys/mounts/transit",
    "sys/seal",
    "auth/token/create",
)
"""Personal data, and every way to take a key out, change one, or widen these rights."""

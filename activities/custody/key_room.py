"""The only place where a seed is in the clear: for the length of one call, behind one door.

Callers hand in what is stored and get out what may be stored. No seed, private key or mnemonic is ever
returned, logged or named in an error.
"""

import hmac
import os
from collections.abc import Sequence

from activities.custody.door import key_room_door
from activities.custody.scope import SealScope
from activities.custody.sealing import KeyService, SealedSeed, opened, seal
from activities.failures import IntegrityError
from activities.keys.derivation import derive_wallets
from activities.keys.entropy import draw_entropy
from activities.keys.mnemonic import seed_from_entropy
from activities.keys.possession import PossessionContext, ProvenAddress


@key_room_door("No seed was made")
def make_seed(keys: KeyService, scope: SealScope) -> SealedSeed:
    """Gives a new seed, sealed, read back and compared.

    Raises:
        ServiceUnavailableError, RateLimitedError, AccessDeniedError: the key service.
        IntegrityError: what was sealed does not read back the same.
        SealingIncompleteError: anything else, a dead random source included.

    Retry: makes another seed; what an earlier call made and nobody stored is lost, which is harmless.
    """
    entropy = draw_entropy(os_source=os.urandom, service_source=keys.random, info=scope.associated_data())
    sealed = seal(keys, entropy, scope)
    with opened(keys, sealed, scope) as read_back:
        if not hmac.compare_digest(read_back, entropy):
            raise IntegrityError("A sealed seed reads back differently", scope.keyring_id)
    return sealed


@key_room_door("No wallets were derived")
def derive_slice(
    keys: KeyService,
    sealed: SealedSeed,
    scope: SealScope,
    *,
    account: int,
    indexes: Sequence[int],
    chain_ids: Sequence[str],
    possession: PossessionContext,
) -> list[ProvenAddress]:
    """Gives each index on each chain with its path, address and proof of possession.

    Args:
        keys: the key service that wrapped the seed's data key.
        sealed: the seed as stored.
        scope: what the seed was sealed for.
        account: the batch's account in the keyring.
        indexes: the wallets' numbers; an index has one address per family of chains.
        chain_ids: chains of the registry.
        possession: what the signed texts name beside the wallet.

    Raises:
        ServiceUnavailableError, RateLimitedError, AccessDeniedError: the key service.
        IntegrityError: the seed does not open.
        SealingIncompleteError: anything else.
    """
    with opened(keys, sealed, scope) as entropy:
        seed = seed_from_entropy(entropy)
    return derive_wallets(seed, account=account, indexes=indexes, chain_ids=chain_ids, context=possession)

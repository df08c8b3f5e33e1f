"""What every key service must keep, asked of the real one and of the one in memory alike."""

import pytest

from activities.custody.sealing import KeyService
from activities.failures import IntegrityError

CONTEXT = b"c" * 32


def assert_keeps_the_contract(keys: KeyService) -> None:
    """Data keys are fresh and open only as they were wrapped; random bytes are fresh."""
    data_key, wrapped = keys.new_data_key(CONTEXT)
    again, wrapped_again = keys.new_data_key(CONTEXT)
    assert len(data_key) == len(again) == 32
    assert data_key != again
    assert wrapped != wrapped_again
    assert keys.unwrap(wrapped, CONTEXT) == data_key
    middle = len(wrapped) // 2
    # Hexadecimal digits mean the same in either case, so a letter is changed for another one.
    altered = wrapped[:middle] + ("B" if wrapped[middle] in "Aa" else "A") + wrapped[middle + 1 :]
    for text, context in ((wrapped, b"d" * 32), (altered, CONTEXT), ("", CONTEXT), ("junk", CONTEXT)):
        with pytest.raises(IntegrityError):
            keys.unwrap(text, context)
    assert len(keys.random(32)) == 32
    assert keys.random(32) != keys.random(32)

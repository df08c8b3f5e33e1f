"""When two names mean one person: compatibility forms, case, mail tags and look-alikes."""

import unicodedata
from typing import Final

_LOOK_ALIKES: Final = str.maketrans({"0": "o", "1": "l", "i": "l", "5": "s"})


def name_key(name: str) -> str | None:
    """The form under which a name is compared, or None when it holds letters outside ASCII.

    Full-width and other compatibility forms, letter case and blanks fall away, and so do a mail tag
    (`lee+work@acme.example`) and the dot that may end a domain. What is not ASCII then could imitate anybody.
    """
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold())
    plain = "".join(folded.split()).rstrip(".")
    if not plain or not plain.isascii() or not plain.isprintable():
        return None
    local, at, domain = plain.rpartition("@")
    return f"{local.partition('+')[0]}@{domain}" if at else plain


def looks_like(key: str, other: str) -> bool:
    """Whether two compared names could be taken for each other by eye (`1ee`, `lee`)."""
    return _by_eye(key) == _by_eye(other)


def _by_eye(key: str) -> str:
    return key.replace("rn", "m").replace("vv", "w").translate(_LOOK_ALIKES)

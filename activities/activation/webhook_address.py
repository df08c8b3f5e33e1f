"""Where announcements may be sent to: an address of the operator's own choice, encrypted on its way.

No request names one, and nothing is resolved or reached here.
"""

from ipaddress import ip_address
from typing import Final
from urllib.parse import urlsplit

DEFAULT_PORTS: Final = {"http": 80, "https": 443}
"""The schemes that are taken, and the port each stands for."""


def require_webhook_url(url: str) -> str:
    """Gives the address back if announcements may go there.

    Raises: ValueError unless it is https, or http to this very machine, without user, password or fragment.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise ValueError("is not an address") from None
    host = parts.hostname or ""
    if (
        parts.scheme not in DEFAULT_PORTS
        or not host
        or port == 0
        or not (url.isascii() and url.isprintable())
    ):
        raise ValueError("must be an https:// address")
    if parts.username is not None or parts.fragment or " " in url:
        raise ValueError("must have no user, password, fragment or blank")
    if parts.scheme == "http" and not _is_this_machine(host):
        raise ValueError("must be an https:// address; http:// is for this machine alone")
    return url


def _is_this_machine(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"

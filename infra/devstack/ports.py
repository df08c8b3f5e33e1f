"""Free local ports, chosen once and remembered, so that a restarted server is found where it was."""

import random
import socket

# Below the range the kernel hands to outgoing connections, so that none squats on a remembered one.
LOWEST, HIGHEST = 20000, 32000
ATTEMPTS = 200


def is_free(port: int) -> bool:
    """Tells whether a server could listen on 127.0.0.1 at this port now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def choose(taken: set[int]) -> int:
    """Gives a free port that is not in `taken`."""
    for _ in range(ATTEMPTS):
        port = random.randrange(LOWEST, HIGHEST)  # noqa: S311 - a port is no secret
        if port not in taken and is_free(port):
            return port
    raise OSError("no free port was found on 127.0.0.1")


def is_listening(port: int) -> bool:
    """Tells whether something accepts connections on 127.0.0.1 at this port."""
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True

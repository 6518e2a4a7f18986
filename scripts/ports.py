"""Ports for servers that scripts start."""

import random
import socket

# Below those that the system gives to outgoing connections, of which one could take a port before its server does.
FROM, TO = 10_000, 32_000
TRIES = 1_000


def free_port():
    """One that is free now."""
    for _ in range(TRIES):
        port = random.randrange(FROM, TO)
        with socket.socket() as listener:
            try:
                listener.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise RuntimeError(f"no port from {FROM} on is free")

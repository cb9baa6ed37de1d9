"""Ports for servers: free ones, below those that systems take for outgoing connections."""

import collections
import os
import random
import socket

from .step import Failed

# A port of a node that is down stays free: no connection of anybody takes it meanwhile.
PORTS = range(20000, 30000)
# Handed out, but perhaps nobody listens there yet.
LAST = collections.deque(maxlen=30)


class Ports:
    """Hands out free ports: those of a range in order, or random ones."""

    def __init__(self, chosen=None):
        if chosen is None and os.environ.get("INTEROP_PORTS"):
            first, last = os.environ["INTEROP_PORTS"].split("-")
            chosen = range(int(first), int(last) + 1)
        self.candidates = list(chosen) if chosen is not None else random.sample(PORTS, len(PORTS))

    def take(self):
        while self.candidates:
            port = self.candidates.pop(0)
            with socket.socket() as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                try:
                    probe.bind(("127.0.0.1", port))
                    return port
                except OSError:
                    continue
        raise Failed("no free port is left")


def free_ports(count):
    """So many free ports of the loopback interface, random ones of those that this process may use, and none that it has just got."""
    ports = Ports()
    random.shuffle(ports.candidates)
    ports.candidates = [port for port in ports.candidates if port not in LAST]
    LAST.extend(ports.take() for _ in range(count))
    return list(LAST)[-count:]

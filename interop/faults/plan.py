"""Which fault when, by a seed; and how long writes may stand still under each."""

import dataclasses

SESSION_MS, LAG_MS = 3000, 4000
# What a client may need to notice, and a machine that is busy.
SLACK_MS, FAILOVER_MS = 2000, 3000


@dataclasses.dataclass(frozen=True)
class Kind:
    name: str
    weight: int
    # The promise: the longest stall of any partition, and of the controller; None where nothing is promised.
    stall_ms: int | None = None
    controller_ms: int | None = None
    # Whether it needs networks of their own, or the fault proxy between nodes: a run has one or the other.
    network: bool = False
    proxy: bool = False

    def possible(self, networks, proxy):
        return (networks or not self.network) and (proxy or not self.proxy)


LOSS_MS = SESSION_MS + SLACK_MS
KINDS = {kind.name: kind for kind in (
    Kind("kill-leader", 3, LOSS_MS + FAILOVER_MS, FAILOVER_MS),
    Kind("kill-broker", 2, LOSS_MS),
    Kind("kill-controller", 2, LOSS_MS + FAILOVER_MS, FAILOVER_MS),
    Kind("kill-both", 2),
    Kind("kill-all", 1),
    Kind("pause-leader", 2, LOSS_MS + FAILOVER_MS),
    Kind("pause-long", 2, LOSS_MS + FAILOVER_MS),
    Kind("pause-controller", 2, LOSS_MS + FAILOVER_MS),
    Kind("isolate-leader", 2, LOSS_MS + FAILOVER_MS, network=True),
    Kind("isolate-controller", 2, LOSS_MS + FAILOVER_MS, network=True),
    Kind("deaf", 1, network=True),
    Kind("mute", 1, network=True),
    Kind("cut-pair", 2, network=True),
    Kind("flapping", 2, network=True),
    Kind("slow", 2, network=True),
    Kind("lost-disk", 2, LOSS_MS + FAILOVER_MS),
    Kind("storm", 2),
    Kind("rolling", 2, 1000),
    Kind("messages", 6, proxy=True),
    Kind("messages-and-kill", 4, proxy=True),
    Kind("latency", 2, proxy=True),
    Kind("resets", 2, proxy=True),
    Kind("slices", 1, proxy=True),
    Kind("one-way", 2, proxy=True),
)}


def plan(random, networks, proxy):
    """Kinds without end: each once in some order, then by their weights."""
    kinds = [kind for kind in KINDS.values() if kind.possible(networks, proxy)]
    yield from random.sample(kinds, len(kinds))
    while True:
        yield random.choices(kinds, [kind.weight for kind in kinds])[0]

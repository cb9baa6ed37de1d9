"""Which fault when, by a seed; and how long writes may stand still under each."""

import dataclasses

SESSION_MS, LAG_MS = 3000, 4000
# What a client may need to notice, and a machine that is busy.
SLACK_MS, FAILOVER_MS = 2000, 3000
# A network for each node, the fault proxy between nodes, disks that can be broken, a quorum whose voters may change.
NETWORK, PROXY, DISKS, VOTERS = "networks", "the fault proxy", "disks", "voters that may change"


@dataclasses.dataclass(frozen=True)
class Kind:
    name: str
    weight: int
    # The promise: the longest stall of any partition, and of the controller; None where nothing is promised.
    stall_ms: int | None = None
    controller_ms: int | None = None
    # What a run must have: NETWORK or PROXY (never both), DISKS, VOTERS.
    needs: str = ""

    def possible(self, have):
        return not self.needs or self.needs in have


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
    Kind("isolate-leader", 2, LOSS_MS + FAILOVER_MS, needs=NETWORK),
    Kind("isolate-controller", 2, LOSS_MS + FAILOVER_MS, needs=NETWORK),
    Kind("deaf", 1, needs=NETWORK),
    Kind("mute", 1, needs=NETWORK),
    Kind("cut-pair", 2, needs=NETWORK),
    Kind("flapping", 2, needs=NETWORK),
    Kind("slow", 2, needs=NETWORK),
    Kind("lost-disk", 2, LOSS_MS + FAILOVER_MS),
    Kind("lost-node", 2, LOSS_MS + FAILOVER_MS),
    Kind("broken-disk", 2, LOSS_MS, needs=DISKS),
    Kind("broken-disk-restart", 2, LOSS_MS + FAILOVER_MS, needs=DISKS),
    Kind("full-disk", 2, needs=DISKS),
    Kind("full-disk-restart", 2, needs=DISKS),
    Kind("voters", 2, LOSS_MS, FAILOVER_MS, needs=VOTERS),
    Kind("storm", 2),
    Kind("rolling", 2, 1000),
    Kind("messages", 6, needs=PROXY),
    Kind("messages-and-kill", 4, needs=PROXY),
    Kind("latency", 2, needs=PROXY),
    Kind("resets", 2, needs=PROXY),
    Kind("slices", 1, needs=PROXY),
    Kind("one-way", 2, needs=PROXY),
)}


def plan(random, have):
    """Kinds without end: each once in some order, then by their weights."""
    kinds = [kind for kind in KINDS.values() if kind.possible(have)]
    yield from random.sample(kinds, len(kinds))
    while True:
        yield random.choices(kinds, [kind.weight for kind in kinds])[0]

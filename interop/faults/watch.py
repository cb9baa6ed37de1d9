"""Who looks on from outside: committed offsets of all groups, who leads what, and whether the controller takes changes."""

import threading
import time

from harness import wire

FIND_COORDINATOR, OFFSET_FETCH, ALTER_CONFIGS = 10, 9, 44
TOPIC_RESOURCE = 2
LIMIT_S = 1.0


def now_ms():
    return time.monotonic() * 1000


class Watcher:
    """A thread that asks again and again. `well` says which nodes may be asked: not those that are cut off and may not know it."""

    def __init__(self, well, every_s):
        self.well, self.every_s, self.stopping = well, every_s, False
        self.thread = threading.Thread(target=self.run, daemon=True)

    def start(self):
        self.thread.start()
        return self

    def run(self):
        while not self.stopping:
            self.ask()
            time.sleep(self.every_s)

    def stop(self):
        self.stopping = True
        self.thread.join(10)


class Commits(Watcher):
    def __init__(self, well, groups, topic):
        super().__init__(well, 0.3)
        self.groups, self.topic, self.seen = groups, topic, []

    def ask(self):
        for group in self.groups:
            try:
                sent = now_ms()
                offsets = self.committed(group)
            except (OSError, ValueError, IndexError, StopIteration):
                continue
            if offsets:
                self.seen.append({"g": group, "s": sent, "t": now_ms(), "offs": offsets})

    def committed(self, group):
        well = self.well()
        node = well[0]
        (found,) = wire.ask(node.address, FIND_COORDINATOR, 4, {"KeyType": 0, "CoordinatorKeys": [group]}, LIMIT_S)["Coordinators"]
        if found["ErrorCode"] or found["NodeId"] not in {node.id for node in well}:
            return None
        asked = {"Groups": [{"GroupId": group, "Topics": None}], "RequireStable": False}
        (answer,) = wire.ask((found["Host"], found["Port"]), OFFSET_FETCH, 8, asked, LIMIT_S)["Groups"]
        if answer["ErrorCode"]:
            return None
        return {p["PartitionIndex"]: p["CommittedOffset"] for topic in answer["Topics"] if topic["Name"] == self.topic
                for p in topic["Partitions"] if not p["ErrorCode"] and p["CommittedOffset"] >= 0}


class Leaders(Watcher):
    """Asks one broker after the other, those that are cut off, too: who leads what, in which epoch."""

    def __init__(self, cluster, topic):
        super().__init__(None, 0.3)
        self.cluster, self.topic, self.seen = cluster, topic, []

    def ask(self):
        for node in self.cluster.running():
            if self.stopping or not node.is_broker():
                continue
            try:
                for topic in wire.metadata(node.address, [self.topic], LIMIT_S)["Topics"]:
                    for p in topic["Partitions"]:
                        self.note(node, f"partition {p['PartitionIndex']}", p["LeaderEpoch"], p["LeaderId"])
                quorum = wire.quorum(node.address, LIMIT_S)
                self.note(node, "quorum", quorum["LeaderEpoch"], quorum["LeaderId"])
            except (OSError, ValueError, IndexError):
                continue

    def note(self, node, what, epoch, leader):
        if leader >= 0:
            self.seen.append({"t": now_ms(), "node": node.id, "what": what, "epoch": epoch, "leader": leader})


class Controller(Watcher):
    """Changes a topic's configuration by way of one broker; writes down when that succeeded."""

    def __init__(self, node, topic):
        super().__init__(None, 0.2)
        self.node, self.topic, self.times, self.number = node, topic, [], 0

    def ask(self):
        self.number += 1
        change = {"Name": "retention.ms", "ConfigOperation": 0, "Value": str(86_400_000 + self.number)}
        resource = {"ResourceType": TOPIC_RESOURCE, "ResourceName": self.topic, "Configs": [change]}
        try:
            answer = wire.ask(self.node.address, ALTER_CONFIGS, 1, {"Resources": [resource], "ValidateOnly": False}, LIMIT_S)
        except (OSError, ValueError, IndexError):
            return
        if all(each["ErrorCode"] == 0 for each in answer["Responses"]):
            self.times.append(now_ms())

"""Who votes in a quorum whose voters may change: asked, removed and added over the wire, as Kafka's tool does it."""

import base64
import uuid

from harness import wire
from harness.check import eventually
from watch import now_ms

ADD_VOTER, REMOVE_VOTER = 80, 81
LIMIT_S = 5
# What a cluster may need: to elect, to let a new voter catch up, and to commit.
CHANGE_LIMIT_S = 60


class Voters:
    def __init__(self, cluster, well):
        self.cluster, self.well = cluster, well

    def known(self):
        """Voters and observers, each id → replica, as the leader says by way of some broker."""
        quorum = wire.quorum(self.well()[0].address, LIMIT_S)
        return [{each["ReplicaId"]: each for each in quorum[kind]} for kind in ("CurrentVoters", "Observers")]

    def ask(self, key, version, request):
        answer = wire.ask(self.well()[0].address, key, version, {"ClusterId": None, **request}, LIMIT_S)
        return answer["ErrorCode"], answer["ErrorMessage"]

    def remove(self, node_id):
        """Until it is no voter; how long that took."""
        begin, answer = now_ms(), None

        def removed():
            nonlocal answer
            voter = self.known()[0].get(node_id)
            if voter is not None:
                answer = self.ask(REMOVE_VOTER, 0, {"VoterId": node_id, "VoterDirectoryId": voter["ReplicaDirectoryId"]})
            assert node_id not in self.known()[0], f"{node_id} is still a voter: {answer}"
        eventually(CHANGE_LIMIT_S, removed, 0.3)
        return now_ms() - begin

    def add(self, node):
        """Until the node, which runs, is a voter with the directory that it has now; how long that took."""
        begin, answer = now_ms(), None
        directory = directory_id(node)
        host, port = self.cluster.advertise(node, "CONTROLLER").rsplit(":", 1)
        listener = {"Name": "CONTROLLER", "Host": host, "Port": int(port)}

        def added():
            nonlocal answer
            voter = self.known()[0].get(node.id)
            if voter is None:
                answer = self.ask(ADD_VOTER, 1, {"TimeoutMs": LIMIT_S * 1000, "VoterId": node.id, "VoterDirectoryId": directory,
                                                 "Listeners": [listener], "AckWhenCommitted": True})
                voter = self.known()[0].get(node.id)
            assert voter and voter["ReplicaDirectoryId"] == directory, f"{node.id} is no voter: {answer}"
        eventually(CHANGE_LIMIT_S, added, 0.3)
        return now_ms() - begin


def directory_id(node):
    """Of the directory of the metadata log, as the codec writes ids."""
    for line in (node.metadata / "meta.properties").read_text().splitlines():
        if line.startswith("directory.id="):
            return str(uuid.UUID(bytes=base64.urlsafe_b64decode(line.split("=", 1)[1].replace("\\", "") + "==")))
    raise ValueError(f"{node.name} has no directory id")

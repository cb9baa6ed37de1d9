"""A server broken on purpose: edits of requests and responses on their way, by kind of fault. Each must make a check fail."""

import random

from harness import codec
from proxy import CONSUMER_DESCRIBE, CONSUMER_HEARTBEAT, DESCRIBE, HEARTBEAT, OFFSET_COMMIT, OFFSET_FETCH, SYNC

REBALANCE_IN_PROGRESS = 27
# The client id of who polls committed offsets.
OBSERVER = "observer"
# Which check must fail for which fault.
KINDS = {
    "double-assign": "one-owner-per-epoch",
    "old-offset": "committed-offsets",
    "lost-commit": "committed-offsets",
    "skip-records": "delivered",
    "never-stable": "stable",
    "lying-describe": "described",
}


class Faults:
    def __init__(self, kind, seed=1):
        self.kind, self.random, self.done = kind, random.Random(seed), 0
        self.assigned, self.offsets = {}, {}

    def edited_request(self, exchange):
        """What the server gets instead of this request, or None. The witness writes down what the client said."""
        if self.kind == "lost-commit" and exchange.key == OFFSET_COMMIT and self.random.random() < 0.2:
            self.done += 1
            return {**exchange.request, "Topics": [
                {**t, "Partitions": [{**p, "CommittedOffset": p["CommittedOffset"] // 2} for p in t["Partitions"]]}
                for t in exchange.request["Topics"]]}
        return None

    def edit_response(self, exchange, response):
        edit = {
            ("double-assign", SYNC): self.double_classic, ("double-assign", CONSUMER_HEARTBEAT): self.double_consumer,
            ("old-offset", OFFSET_FETCH): self.old_offset, ("skip-records", OFFSET_FETCH): self.skip_records,
            ("never-stable", HEARTBEAT): self.never_stable, ("lying-describe", DESCRIBE): self.swap_assignments,
            ("lying-describe", CONSUMER_DESCRIBE): self.swap_assignments,
        }.get((self.kind, exchange.key))
        if edit is None or not edit(exchange, response):
            return False
        self.done += 1
        return True

    def double_classic(self, exchange, response):
        """Gives a member one partition that another member of the generation has, too."""
        assignment = codec.embedded("ConsumerProtocolAssignment", response["Assignment"])
        if not assignment or response["ErrorCode"]:
            return False
        group, mine = exchange.request["GroupId"], {t["Topic"]: t["Partitions"] for t in assignment["AssignedPartitions"]}
        others = self.assigned.setdefault((group, exchange.request["GenerationId"]), {})
        others[exchange.request["MemberId"]] = mine
        for member, theirs in others.items():
            for topic, partitions in theirs.items():
                if member != exchange.request["MemberId"] and partitions:
                    mine.setdefault(topic, []).append(partitions[0])
                    value = {"AssignedPartitions": [{"Topic": t, "Partitions": p} for t, p in mine.items()], "UserData": assignment["UserData"]}
                    response["Assignment"] = b"\0\0" + codec.MESSAGES["ConsumerProtocolAssignment"].encode(value, 0)
                    return True
        return False

    def double_consumer(self, exchange, response):
        """Gives a member all that another member was given last."""
        if response["Assignment"] is None:
            return False
        group, mine = exchange.request["GroupId"], response["Assignment"]["TopicPartitions"]
        others = self.assigned.setdefault(group, {})
        others[exchange.request["MemberId"]] = [dict(t) for t in mine]
        for member, theirs in others.items():
            if member != exchange.request["MemberId"] and theirs:
                ids = {t["TopicId"] for t in mine}
                more = [t for t in theirs if t["TopicId"] not in ids]
                if more:
                    mine += more
                else:
                    mine[0]["Partitions"] = sorted({*mine[0]["Partitions"], *(
                        p for t in theirs if t["TopicId"] == mine[0]["TopicId"] for p in t["Partitions"])})
                return True
        return False

    def fetched(self, response):
        for group in response.get("Groups", [response]):
            for topic in group["Topics"]:
                for partition in topic["Partitions"]:
                    if partition["CommittedOffset"] >= 0:
                        key = (group.get("GroupId"), topic.get("Name") or topic.get("TopicId"), partition["PartitionIndex"])
                        yield key, partition

    def old_offset(self, exchange, response):
        """Repeats, now and then, the first offset that was ever seen of a partition."""
        edited = False
        for key, partition in self.fetched(response):
            first = self.offsets.setdefault(key, partition["CommittedOffset"])
            if first < partition["CommittedOffset"] and self.random.random() < 0.2:
                partition["CommittedOffset"], edited = first, True
        return edited

    def skip_records(self, exchange, response):
        """Tells members that more was committed than was."""
        if exchange.client == OBSERVER:
            return False
        edited = False
        for _, partition in self.fetched(response):
            partition["CommittedOffset"] += 20
            edited = True
        return edited

    def never_stable(self, exchange, response):
        response["ErrorCode"] = REBALANCE_IN_PROGRESS
        return True

    def swap_assignments(self, exchange, response):
        """Says of each of a group's first two members what the other one has."""
        edited, key = False, "Assignment" if exchange.key == CONSUMER_DESCRIBE else "MemberAssignment"
        for group in response["Groups"]:
            if len(group["Members"]) > 1:
                a, b = group["Members"][:2]
                a[key], b[key] = b[key], a[key]
                edited = True
        return edited

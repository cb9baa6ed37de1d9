"""Asking the server about groups: one connection, the project's own codec, no client library in between."""

from harness import codec, wire

OFFSET_FETCH, FIND_COORDINATOR, DESCRIBE, CONSUMER_DESCRIBE = 9, 10, 15, 69
GROUP_ID_NOT_FOUND = 69


class Connection(wire.Connection):
    def find_coordinator(self, groups):
        """Makes the server create its topic of offsets; True when each group has a coordinator."""
        found = self.call(FIND_COORDINATOR, 4, {"KeyType": 0, "CoordinatorKeys": list(groups)})
        return not any(each["ErrorCode"] for each in found["Coordinators"])

    def committed(self, group):
        """Fetches all committed offsets of a group; the proxy on the way writes the answer down. Returns its error code."""
        return self.call(OFFSET_FETCH, 8, {"Groups": [{"GroupId": group, "Topics": None}], "RequireStable": False})["Groups"][0]["ErrorCode"]

    def describe(self, group):
        """The group's state, the count of its members, and their partitions by client id, as the checker wants it."""
        (got,) = self.call(CONSUMER_DESCRIBE, 0, {"GroupIds": [group], "IncludeAuthorizedOperations": False})["Groups"]
        if got["ErrorCode"] == GROUP_ID_NOT_FOUND:
            return self.describe_classic(group)
        if got["ErrorCode"]:
            raise AssertionError(f"ConsumerGroupDescribe of {group}: error {got['ErrorCode']}")
        members = {m["ClientId"]: [(t["TopicName"], p) for t in m["Assignment"]["TopicPartitions"] for p in t["Partitions"]]
                   for m in got["Members"]}
        return {"type": "consumer", "state": got["GroupState"], "count": len(got["Members"]), "members": members}

    def describe_classic(self, group):
        (got,) = self.call(DESCRIBE, 5, {"Groups": [group], "IncludeAuthorizedOperations": False})["Groups"]
        if got["ErrorCode"]:
            raise AssertionError(f"DescribeGroups of {group}: error {got['ErrorCode']}")
        members = {}
        for m in got["Members"]:
            assignment = codec.embedded("ConsumerProtocolAssignment", m["MemberAssignment"]) or {"AssignedPartitions": []}
            members[m["ClientId"]] = [(t["Topic"], p) for t in assignment["AssignedPartitions"] for p in t["Partitions"]]
        return {"type": "classic", "state": got["GroupState"], "count": len(got["Members"]), "members": members}

"""Asking a server without a client library: one connection, the project's own codec. Answers are dictionaries by the schemas' names."""

import socket
import struct

from . import codec

METADATA, DESCRIBE_QUORUM, DESCRIBE_CLUSTER = 3, 55, 60
CONTROLLERS = 2
LIMIT_S = 30
NO_ID = "00000000-0000-0000-0000-000000000000"


class Connection:
    """To a port of this machine, or to a (host, port)."""

    def __init__(self, port, client, limit_s=LIMIT_S):
        self.address = ("127.0.0.1", port) if isinstance(port, int) else port
        self.client, self.limit_s, self.socket, self.correlation = client.encode(), limit_s, None, 0

    def call(self, key, version, request):
        """Sends a request, returns its response; a connection that broke is opened anew by the next call."""
        try:
            if self.socket is None:
                self.socket = socket.create_connection(self.address, self.limit_s)
            self.correlation += 1
            message = codec.REQUESTS[key]
            frame = struct.pack(">hhih", key, version, self.correlation, len(self.client)) + self.client
            frame += (b"\0" if message.is_flexible(version) else b"") + message.encode(request, version)
            self.socket.sendall(struct.pack(">i", len(frame)) + frame)
            answer = self.exactly(struct.unpack(">i", self.exactly(4))[0])
            message = codec.RESPONSES[key]
            at = codec.skip_tags(answer, 4) if message.is_flexible(version) else 4
            return message.decode(answer, version, at)[0]
        except OSError:
            self.close()
            raise

    def exactly(self, n):
        got = bytearray()
        while len(got) < n:
            more = self.socket.recv(n - len(got))
            if not more:
                raise ConnectionError("closed by the server")
            got += more
        return bytes(got)

    def close(self):
        if self.socket:
            self.socket.close()
            self.socket = None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def ask(port, key, version, request, limit_s=LIMIT_S):
    """One request on a connection of its own."""
    with Connection(port, "interop", limit_s) as connection:
        return connection.call(key, version, request)


def metadata(port, topics=(), limit_s=LIMIT_S):
    """What the broker at port knows: Metadata v12 of these topics (None: all of them)."""
    names = None if topics is None else [{"TopicId": NO_ID, "Name": name} for name in topics]
    return ask(port, METADATA, 12, {"Topics": names, "AllowAutoTopicCreation": False, "IncludeTopicAuthorizedOperations": False}, limit_s)


def quorum(port, limit_s=LIMIT_S):
    """The metadata quorum as a broker at port, or the active controller, tells it: a partition of DescribeQuorum v2."""
    asked = [{"TopicName": "__cluster_metadata", "Partitions": [{"PartitionIndex": 0}]}]
    answer = ask(port, DESCRIBE_QUORUM, 2, {"Topics": asked}, limit_s)
    if answer["ErrorCode"]:
        raise ConnectionError(f"DescribeQuorum: error {answer['ErrorCode']}")
    (partition,) = answer["Topics"][0]["Partitions"]
    if partition["ErrorCode"]:
        raise ConnectionError(f"DescribeQuorum: error {partition['ErrorCode']}")
    return partition


def active_controller(port, limit_s=LIMIT_S):
    """Who leads the quorum for the controller at port; -1 while it knows nobody."""
    asked = {"IncludeClusterAuthorizedOperations": False, "EndpointType": CONTROLLERS}
    answer = ask(port, DESCRIBE_CLUSTER, 1, asked, limit_s)
    if answer["ErrorCode"]:
        raise ConnectionError(f"DescribeCluster: error {answer['ErrorCode']}")
    return answer["ControllerId"]

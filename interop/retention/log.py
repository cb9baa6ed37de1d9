"""One server and small topics on it, for watching what retention and compaction leave: requests by the project's codec, files by their names."""

import os
import pathlib
import shutil
import struct
import sys
import time

sys.dont_write_bytecode = True
HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / "bad-input"), str(HERE.parent)]
import wire as raw
from harness import server, wire
from harness.check import eventually
from harness.paths import WORK

AGAINST, BINARY = os.environ["AGAINST"], os.environ["MONEDULA_BIN"]
PRODUCE, FETCH, LIST_OFFSETS, CREATE_TOPICS, DELETE_RECORDS, ALTER = 0, 1, 2, 19, 21, 44
HOUR, DAY = 3_600_000, 86_400_000
TOPIC_RESOURCE, BROKER_RESOURCE = 2, 4
SET, DELETE = 0, 1
# Two of these batches fill a segment.
VALUE, SEGMENT = b"x" * 400, {"internal.segment.bytes": "1000"}
KEEP = {"retention.ms": "-1", "retention.bytes": "-1"}
CONFIG = {"log.initial.task.delay.ms": "100", "auto.create.topics.enable": "false", "log.segment.delete.delay.ms": "1500",
          "broker.session.timeout.ms": "3000", "broker.heartbeat.interval.ms": "500"}


class Log:
    """The server, and the topics of this suite on it."""

    def __init__(self, name, config):
        directory = WORK / "servers" / f"{name}-{AGAINST}"
        shutil.rmtree(directory, ignore_errors=True)
        self.server = server.Server(AGAINST, directory, BINARY, CONFIG | config, name=f"{name}-{AGAINST}")
        self.now = int(time.time() * 1000)
        self.wire = None

    def start(self):
        self.server.start()
        self.wire = wire.Connection(self.server.port, "retention")

    def restart(self, between):
        self.wire.close()
        self.server.stop()
        between()
        self.start()

    def create(self, name, **configs):
        configs = SEGMENT | {key.replace("_", "."): value for key, value in configs.items()}
        topic = {"Name": name, "NumPartitions": 1, "ReplicationFactor": 1, "Assignments": [],
                 "Configs": [{"Name": key, "Value": value} for key, value in configs.items()]}
        answer = self.wire.call(CREATE_TOPICS, 7, {"Topics": [topic], "timeoutMs": 10_000, "validateOnly": False})
        assert answer["Topics"][0]["ErrorCode"] == 0, answer
        eventually(10, lambda: self.offset(name) == 0)

    def append(self, name, *times, key=None, value=VALUE):
        """One batch for each time, in milliseconds from now; None: without a time."""
        for at in times:
            stamp = -1 if at is None else self.now + at
            batch = raw.batch([raw.record(value=value, key=key)], first_ts=stamp)
            data = [{"Name": name, "PartitionData": [{"Index": 0, "Records": batch}]}]
            request = {"TransactionalId": None, "Acks": -1, "TimeoutMs": 20_000, "TopicData": data}
            answer = self.wire.call(PRODUCE, 9, request)["Responses"][0]["PartitionResponses"][0]
            assert answer["ErrorCode"] == 0, answer

    def offset(self, name, at=-2):
        partitions = [{"PartitionIndex": 0, "CurrentLeaderEpoch": -1, "Timestamp": at}]
        request = {"ReplicaId": -1, "IsolationLevel": 0, "Topics": [{"Name": name, "Partitions": partitions}]}
        answer = self.wire.call(LIST_OFFSETS, 6, request)["Topics"][0]["Partitions"][0]
        return answer["Offset"] if answer["ErrorCode"] == 0 else -answer["ErrorCode"]

    def fetch(self, name, offset):
        answer = self.wire.call(FETCH, 11, fetch_request(name, offset, 1 << 20))["Responses"][0]["Partitions"][0]
        return answer["ErrorCode"], answer["LogStartOffset"]

    def delete_records(self, name, offset):
        topics = [{"Name": name, "Partitions": [{"PartitionIndex": 0, "Offset": offset}]}]
        answer = self.wire.call(DELETE_RECORDS, 2, {"Topics": topics, "TimeoutMs": 5000})["Topics"][0]["Partitions"][0]
        return answer["ErrorCode"], answer["LowWatermark"]

    def alter(self, kind, name, **configs):
        configs = [{"Name": key.replace("_", "."), "ConfigOperation": SET if value is not None else DELETE, "Value": value}
                   for key, value in configs.items()]
        resource = {"ResourceType": kind, "ResourceName": name, "Configs": configs}
        answer = self.wire.call(ALTER, 1, {"Resources": [resource], "ValidateOnly": False})["Responses"][0]
        assert answer["ErrorCode"] == 0, answer

    def files(self, name, suffix=".log"):
        return sorted(p.name for p in (self.server.data / f"{name}-0").iterdir() if p.name.endswith(suffix))

    def segments(self, name):
        return [int(file.removesuffix(".log")) for file in self.files(name)]

    def state(self, name):
        return {"segments": self.segments(name), "start": self.offset(name), "end": self.offset(name, -1)}


def fetch_request(name, offset, max_bytes):
    partitions = [{"Partition": 0, "CurrentLeaderEpoch": -1, "FetchOffset": offset, "LogStartOffset": -1, "PartitionMaxBytes": max_bytes}]
    return {"ReplicaId": -1, "MaxWaitMs": 0, "MinBytes": 0, "MaxBytes": max_bytes, "IsolationLevel": 0, "SessionId": 0, "SessionEpoch": -1,
            "Topics": [{"Topic": name, "Partitions": partitions}], "ForgottenTopicsData": [], "RackId": ""}

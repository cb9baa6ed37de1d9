"""What is flushed when: the keys of the flush scheduler and its checkpoints, the same script against either server.

    ../run --only flushing

What a server has flushed it tells in recovery-point-offset-checkpoint. Run by ../run, with AGAINST and MONEDULA_BIN; starts its own server.
"""

import pathlib
import sys
import time

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from log import ALTER, BROKER_RESOURCE, CREATE_TOPICS, KEEP, PRODUCE, SET, TOPIC_RESOURCE, Log, raw
from harness.check import Checks, eventually, same

NEVER = str(2**63 - 1)
# Looked at five times a second, and checkpointed as often. The scheduler's interval is the default of flush.ms, too.
CONFIG = {"log.flush.scheduler.interval.ms": "200", "log.flush.offset.checkpoint.interval.ms": "200",
          "log.flush.start.offset.checkpoint.interval.ms": "200"}
# Long enough for several looks.
LOOKS_S = 1.5
WHOLE = {"segment.bytes": str(1 << 20)}

# name: (configs, records of each batch, what is flushed)
STILL = {
    "by-default": ({}, [1] * 5, 5),
    "never": ({"flush.ms": NEVER}, [1] * 5, 0),
    "an-hour": ({"flush.ms": "3600000"}, [1] * 5, 0),
    "at-each-look": ({"flush.ms": "0"}, [1] * 5, 5),
    "every-record": ({"flush.ms": NEVER, "flush.messages": "1"}, [1] * 5, 5),
    "every-fifth": ({"flush.ms": NEVER, "flush.messages": "5"}, [1] * 12, 10),
    "whole-batches": ({"flush.ms": NEVER, "flush.messages": "5"}, [3, 1, 7, 2, 2], 11),
    "the-largest-count": ({"flush.ms": NEVER, "flush.messages": NEVER}, [1] * 5, 0),
    # Two batches fill a segment: a segment that is full is flushed, whatever the settings.
    "rolled": ({"flush.ms": NEVER, "internal.segment.bytes": "1000"}, [1] * 5, 4),
}
INVALID = {"flush.messages": ("0", "-1", "x", "", "9223372036854775808"), "flush.ms": ("-1", "x", "1.5")}
# Of the broker: what may be changed while it runs, and what may not.
INVALID_OF_BROKER = {"log.flush.interval.messages": ("0", "x"), "log.flush.interval.ms": ("x",), "log.flush.scheduler.interval.ms": ("100",),
                     "log.flush.offset.checkpoint.interval.ms": ("100",), "log.flush.start.offset.checkpoint.interval.ms": ("100",)}


class Flushing(Log):
    def batch(self, name, count):
        """One batch of so many records."""
        data = [{"Name": name, "PartitionData": [{"Index": 0, "Records": raw.batch([raw.record(value=b"x" * 400) for _ in range(count)], first_ts=self.now)}]}]
        request = {"TransactionalId": None, "Acks": 1, "TimeoutMs": 20_000, "TopicData": data}
        answer = self.wire.call(PRODUCE, 9, request)["Responses"][0]["PartitionResponses"][0]
        assert answer["ErrorCode"] == 0, answer

    def checkpoint(self, file, name):
        path = self.server.data / file
        lines = path.read_text().splitlines()[2:] if path.exists() else []
        return {line.split()[0]: int(line.split()[2]) for line in lines}.get(name, 0)

    def flushed(self, name):
        return self.checkpoint("recovery-point-offset-checkpoint", name)

    def settled(self, name, want):
        eventually(10, lambda: same(want, self.flushed(name)))
        return f"flushed={want}"

    def refused(self, kind, name, key, value):
        """The error of a change."""
        resource = {"ResourceType": kind, "ResourceName": name, "Configs": [{"Name": key, "ConfigOperation": SET, "Value": value}]}
        answer = self.wire.call(ALTER, 1, {"Resources": [resource], "ValidateOnly": False})["Responses"][0]
        assert answer["ErrorCode"] != 0, f"{key}={value} is taken"
        return answer["ErrorCode"]

    def refused_at_creation(self, key, value):
        topic = {"Name": "refused", "NumPartitions": 1, "ReplicationFactor": 1, "Assignments": [], "Configs": [{"Name": key, "Value": value}]}
        answer = self.wire.call(CREATE_TOPICS, 7, {"Topics": [topic], "timeoutMs": 10_000, "validateOnly": True})["Topics"][0]
        assert answer["ErrorCode"] != 0, f"{key}={value} is taken"
        return answer["ErrorCode"]


def settings(log, checks):
    for name, (configs, batches, _) in STILL.items():
        log.create(name, **KEEP, **WHOLE | ({"internal.segment.bytes": str(1 << 20)} | configs))
        for count in batches:
            log.batch(name, count)
    time.sleep(LOOKS_S)
    for name, (*_, flushed) in STILL.items():
        checks.check(name, log.settled, name, flushed)


def changes(log):
    """Settings of the topic, of the broker and of all brokers act at once."""
    log.create("change", **KEEP, **WHOLE, **{"internal.segment.bytes": str(1 << 20), "flush.ms": NEVER})
    for _ in range(4):
        log.batch("change", 1)
    time.sleep(LOOKS_S)
    same(0, log.flushed("change"))
    log.alter(TOPIC_RESOURCE, "change", flush_messages="3")
    time.sleep(LOOKS_S)
    # The next append sees that it is due.
    same(0, log.flushed("change"))
    log.batch("change", 1)
    log.settled("change", 5)
    log.alter(TOPIC_RESOURCE, "change", flush_messages=None)
    time.sleep(LOOKS_S)
    for _ in range(5):
        log.batch("change", 1)
    time.sleep(LOOKS_S)
    same(5, log.flushed("change"))
    log.alter(BROKER_RESOURCE, "", log_flush_interval_messages="2")
    time.sleep(LOOKS_S)
    log.batch("change", 1)
    log.settled("change", 11)
    log.alter(BROKER_RESOURCE, "", log_flush_interval_messages=None)
    time.sleep(LOOKS_S)
    log.batch("change", 1)
    log.batch("change", 1)
    time.sleep(LOOKS_S)
    same(11, log.flushed("change"))
    log.alter(TOPIC_RESOURCE, "change", flush_ms="100")
    log.settled("change", 13)


def default_age(log):
    """log.flush.interval.ms goes before the scheduler's interval."""
    log.create("age", **KEEP, **WHOLE, **{"internal.segment.bytes": str(1 << 20)})
    log.alter(BROKER_RESOURCE, "1", log_flush_interval_ms=NEVER)
    time.sleep(LOOKS_S)
    log.batch("age", 1)
    time.sleep(LOOKS_S)
    same(0, log.flushed("age"))
    log.alter(BROKER_RESOURCE, "1", log_flush_interval_ms="100")
    log.settled("age", 1)
    log.alter(BROKER_RESOURCE, "1", log_flush_interval_ms=None)


def starts(log):
    """The starts of logs are written as often as is asked for."""
    same((0, 3), log.delete_records("by-default", 3))
    eventually(10, lambda: same(3, log.checkpoint("log-start-offset-checkpoint", "by-default")))


def invalid(log):
    told = {}
    for key, values in INVALID.items():
        told[key] = [(log.refused_at_creation(key, value), log.refused(TOPIC_RESOURCE, "never", key, value)) for value in values]
    for key, values in INVALID_OF_BROKER.items():
        told[key] = [log.refused(BROKER_RESOURCE, "", key, value) for value in values]
    return " ".join(f"{key}={answers}" for key, answers in told.items())


def stopped(log):
    """A clean stop flushes everything."""
    log.server.stop()
    for name, (_, batches, _) in STILL.items():
        same(sum(batches), log.flushed(name))


def main():
    log, checks = Flushing("flushing", CONFIG), Checks()
    try:
        log.start()
        settings(log, checks)
        for name, call in [("changes", changes), ("default-age", default_age), ("log-starts", starts), ("invalid", invalid), ("stop", stopped)]:
            checks.check(name, call, log)
    finally:
        log.server.kill()
    sys.exit(1 if checks.failed else 0)


main()

"""What retention leaves of a log: the same script against either server, which segments are left, where the log starts, what is answered.

    ../run --only retention

Topics of one partition with two small batches a segment; their state is read from the data directory and by ListOffsets. Most of them wait
for the same few passes of retention. Run by ../run, with AGAINST and MONEDULA_BIN; starts its own server.
"""

import os
import pathlib
import socket
import struct
import sys
import time

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from log import BROKER_RESOURCE, DAY, FETCH, HOUR, KEEP, PRODUCE, TOPIC_RESOURCE, Log, fetch_request, raw, wire
from harness.check import Checks, eventually, same

# log.retention.minutes comes before log.retention.hours.
CONFIG = {"log.retention.check.interval.ms": "400", "log.cleaner.backoff.ms": "300", "log.retention.minutes": "600", "log.retention.hours": "1"}
# Long enough for several passes of retention and of the cleaner.
PASSES_S = 2.5
# Much longer than it takes to look, on a busy machine, too.
DELAY_S = 8
OUT_OF_RANGE, UNKNOWN_TOPIC, INVALID_TIMESTAMP, INVALID_CONFIG, POLICY_VIOLATION = 1, 3, 32, 40, 44


def settled(log, name, segments, start):
    """The topic comes to this state, and a few passes later it is still there."""
    want = {"segments": segments, "start": start}
    def probe():
        got = log.state(name)
        same(want, {"segments": got["segments"], "start": got["start"]})
        return got
    return eventually(15, probe)


# name: (configs, times of the batches, what is left, what else happens)
OLD = -8 * DAY
STILL = {
    "by-size": ({"retention.bytes": "1500", "retention.ms": "-1"}, [0] * 10, [6, 8], 6),
    "by-size-exactly": ({"retention.bytes": "1884", "retention.ms": "-1"}, [0] * 8, [4, 6], 4),
    "ms-nought": ({"retention.ms": "0"}, [-1000] * 5, [5], 5),
    "size-nought": ({"retention.bytes": "0", "retention.ms": "-1"}, [0] * 5, [5], 5),
    "by-time": ({"retention.ms": str(7 * DAY)}, [OLD] * 4 + [0] * 3, [4, 6], 4),
    "by-time-all": ({"retention.ms": str(7 * DAY)}, [OLD] * 5, [5], 5),
    "young-before-old": ({"retention.ms": str(7 * DAY)}, [0, OLD, OLD, OLD, OLD], [0, 2, 4], 0),
    "one-young-in-segment": ({"retention.ms": str(7 * DAY)}, [OLD, OLD, OLD, -6 * DAY, OLD], [2, 4], 2),
    "in-the-future": ({"retention.ms": "1000"}, [HOUR // 2, OLD, OLD, OLD], [0, 2], 0),
    "log-append-time": ({"retention.ms": str(7 * DAY), "message.timestamp.type": "LogAppendTime"}, [OLD] * 5, [0, 2, 4], 0),
    "without-times": ({"retention.ms": str(7 * DAY)}, [None] * 5, [0, 2, 4], 0),
    "for-ever": ({"cleanup.policy": "", "retention.ms": "1", "retention.bytes": "1"}, [OLD] * 5, [0, 2, 4], 0),
    "compact": ({"cleanup.policy": "compact", "retention.ms": "1", "min.cleanable.dirty.ratio": "1"}, [OLD] * 5, [0, 2, 4], 0),
    "compact-delete": ({"cleanup.policy": "compact,delete", "retention.ms": str(DAY), "min.cleanable.dirty.ratio": "1"},
                       [OLD] * 4 + [0] * 2, [4], 4),
    "compact-delete-by-size": ({"cleanup.policy": "compact,delete", "retention.ms": "-1", "retention.bytes": "1500",
                                "min.cleanable.dirty.ratio": "1"}, [0] * 10, [6, 8], 6),
    "servers-retention": ({}, [-11 * HOUR, -11 * HOUR, -9 * HOUR, -9 * HOUR, 0], [2, 4], 2),
    "local-retention": ({"retention.ms": "-1", "local.retention.ms": "1", "local.retention.bytes": "1"}, [OLD] * 5, [0, 2, 4], 0),
}


def policies(log, checks):
    for name, (configs, times, *_) in STILL.items():
        # Nothing goes before all is there.
        log.create(name, **configs | KEEP)
        log.append(name, *times, key=b"key")
        log.alter(TOPIC_RESOURCE, name, **{key: configs.get(key) for key in KEEP})
    time.sleep(PASSES_S)
    for name, (_, times, segments, start) in STILL.items():
        def call(name=name, times=times, segments=segments, start=start):
            got = settled(log, name, segments, start)
            same(len(times), got["end"])
            return f"segments={got['segments']}"
        checks.check(name, call)


def far_future(log):
    """More than an hour from now is refused, unless the topic says otherwise."""
    log.create("far-future", **KEEP)
    for at, error in ((2 * HOUR, INVALID_TIMESTAMP), (HOUR // 2, None)):
        if error is None:
            log.append("far-future", at)
        else:
            refused(error, lambda at=at: log.append("far-future", at))
    log.alter(TOPIC_RESOURCE, "far-future", message_timestamp_after_max_ms=str(3 * HOUR))
    eventually(5, lambda: log.append("far-future", 2 * HOUR))
    same(2, log.offset("far-future", -1))


def refused(code, call):
    """What an answer's error makes of a call is an assertion with the answer."""
    try:
        call()
    except AssertionError as error:
        assert f"'ErrorCode': {code}," in str(error), error
        return
    raise AssertionError(f"not refused with {code}")


def invalid(log):
    """Settings that say nothing are refused, those of Kafka's own range are taken."""
    log.create("settings")
    taken = {"retention.ms": ("-1", "0"), "retention.bytes": ("-1", "-2"), "segment.ms": ("1",), "segment.jitter.ms": ("0",),
             "file.delete.delay.ms": ("0",), "cleanup.policy": ("", "delete", "compact", "compact,delete", "delete,compact")}
    wrong = {"retention.ms": ("-2", "x", ""), "retention.bytes": ("x",), "segment.ms": ("0", "-1"), "segment.jitter.ms": ("-1",),
             "file.delete.delay.ms": ("-1",), "cleanup.policy": ("none", "delete,x"), "message.timestamp.type": ("Now",),
             "segment.bytes": ("0",)}
    for key, values in taken.items():
        for value in values:
            log.alter(TOPIC_RESOURCE, "settings", **{key: value})
    for key, values in wrong.items():
        for value in values:
            try:
                refused(INVALID_CONFIG, lambda key=key, value=value: log.alter(TOPIC_RESOURCE, "settings", **{key: value}))
            except AssertionError as error:
                raise AssertionError(f"{key}={value!r}: {error}") from None


def rolls(log):
    """By the times of the records; between the times of the servers without them."""
    log.create("rolls", **KEEP, **{"segment.ms": "60000"})
    log.append("rolls", -200_000, -190_000, -139_999)
    same([0, 2], log.segments("rolls"))
    log.append("rolls", -199_000)
    same([0, 2], log.segments("rolls"))
    log.create("rolls-jitter", **KEEP, **{"segment.ms": "60000", "segment.jitter.ms": "60000"})
    log.append("rolls-jitter", -200_000, -139_999)
    same([0, 1], log.segments("rolls-jitter"))
    # A shorter time acts with the next batch.
    log.create("rolls-changed", **KEEP)
    log.append("rolls-changed", -200_000)
    log.alter(TOPIC_RESOURCE, "rolls-changed", segment_ms="60000")
    time.sleep(0.5)
    log.append("rolls-changed", -139_999)
    same([0, 1], log.segments("rolls-changed"))
    log.create("rolls-compacted", **KEEP, **{"cleanup.policy": "compact", "max.compaction.lag.ms": "5000", "segment.ms": "60000"})
    log.append("rolls-compacted", -200_000, -194_999, key=b"key")
    same([0, 1], log.segments("rolls-compacted"))


def deletes_records(log):
    """The bytes go with the next pass, whatever the policy."""
    for policy in ("delete", "", "compact", "compact,delete"):
        name = "records-" + (policy.replace(",", "-") or "none")
        log.create(name, **KEEP, **{"cleanup.policy": policy, "min.cleanable.dirty.ratio": "1"})
        log.append(name, *[0] * 7, key=b"key")
        if policy == "compact":
            # Only where something else deletes, too, or nothing does. What was asked for before the policy changed goes all the same.
            same((POLICY_VIOLATION, -1), log.delete_records(name, 5))
            log.alter(TOPIC_RESOURCE, name, cleanup_policy="delete")
            eventually(5, lambda name=name: same((0, 5), log.delete_records(name, 5)))
            log.alter(TOPIC_RESOURCE, name, cleanup_policy="compact")
            settled(log, name, [4, 6], 5)
            continue
        same((0, 5), log.delete_records(name, 5))
        same([0, 2, 4, 6], log.segments(name))
        settled(log, name, [4, 6], 5)
        same((OUT_OF_RANGE, -1), log.fetch(name, 4))
        same((0, 5), log.fetch(name, 5))
        same((OUT_OF_RANGE, -1), log.delete_records(name, 8))
        same((0, 5), log.delete_records(name, 3))
        same((0, 7), log.delete_records(name, -1))
        # The last segment stays: there is no next one that begins at the start.
        settled(log, name, [6], 7)


    # Beyond the end, before the start, and where there is nothing.
    same((OUT_OF_RANGE, -1), log.delete_records("records-delete", -2))
    same((UNKNOWN_TOPIC, -1), log.delete_records("no-such-topic", 0))
    log.create("records-empty", **KEEP)
    same((0, 0), log.delete_records("records-empty", -1))
    same((OUT_OF_RANGE, -1), log.delete_records("records-empty", 1))


def for_ever(log):
    """No limit of all brokers, then one: -1 comes before the server's own minutes and hours."""
    log.alter(BROKER_RESOURCE, "", log_retention_ms="-1")
    log.create("for-ever-by-ms")
    log.append("for-ever-by-ms", OLD, OLD, OLD, OLD, 0)
    time.sleep(PASSES_S)
    same([0, 2, 4], log.segments("for-ever-by-ms"))
    log.alter(BROKER_RESOURCE, "", log_retention_ms=None)
    settled(log, "for-ever-by-ms", [4], 4)


def changes_of_times(log):
    """Whose times count changes with the next batch; a policy that goes takes nothing with it."""
    log.create("change-times", **{"retention.ms": str(DAY)})
    log.append("change-times", OLD, OLD, OLD)
    settled(log, "change-times", [3], 3)
    log.alter(TOPIC_RESOURCE, "change-times", message_timestamp_type="LogAppendTime")
    time.sleep(0.5)
    log.append("change-times", OLD, OLD, OLD)
    time.sleep(PASSES_S)
    same({"segments": [3, 5], "start": 3, "end": 6}, log.state("change-times"))
    log.create("change-compacted", **KEEP, **{"cleanup.policy": "compact", "min.cleanable.dirty.ratio": "1"})
    log.append("change-compacted", OLD, OLD, OLD, OLD, 0, key=b"key")
    log.alter(TOPIC_RESOURCE, "change-compacted", retention_ms=str(DAY))
    time.sleep(PASSES_S)
    same([0, 2, 4], log.segments("change-compacted"))
    log.alter(TOPIC_RESOURCE, "change-compacted", cleanup_policy="delete")
    settled(log, "change-compacted", [4], 4)
    log.alter(TOPIC_RESOURCE, "change-compacted", cleanup_policy="")
    log.append("change-compacted", OLD, OLD, key=b"key")
    time.sleep(PASSES_S)
    same([4, 6], log.segments("change-compacted"))


def changes(log):
    """Settings of the topic, of the broker and of all brokers act at once."""
    names = ["change-topic", "change-broker", "change-cluster", "change-policy"]
    for name in names:
        log.create(name, **({"cleanup.policy": "", "retention.ms": "1"} if name == "change-policy" else {}))
        log.append(name, *[-5 * HOUR] * 4, 0)
    time.sleep(PASSES_S)
    for name in names:
        same([0, 2, 4], log.segments(name))
    log.alter(TOPIC_RESOURCE, "change-topic", retention_ms=str(HOUR))
    log.alter(TOPIC_RESOURCE, "change-policy", cleanup_policy="delete", retention_ms=str(HOUR))
    settled(log, "change-topic", [4], 4)
    settled(log, "change-policy", [4], 4)
    same([0, 2, 4], log.segments("change-broker"))
    log.append("change-broker", *[0] * 4)
    log.alter(BROKER_RESOURCE, "1", log_retention_bytes="2000")
    settled(log, "change-broker", [4, 6, 8], 4)
    same([0, 2, 4], log.segments("change-cluster"))
    log.alter(BROKER_RESOURCE, "", log_retention_ms=str(HOUR))
    settled(log, "change-cluster", [4], 4)


def delayed(log):
    """Files go after file.delete.delay.ms, under another name until then."""
    log.create("delayed", **{"retention.ms": str(DAY), "file.delete.delay.ms": str(DELAY_S * 1000)})
    begin = time.monotonic()
    log.append("delayed", OLD, OLD, 0)
    settled(log, "delayed", [2], 2)
    def gone():
        return not log.files("delayed", ".deleted")
    assert not gone(), "the files are gone at once"
    eventually(60, gone)
    assert time.monotonic() - begin >= DELAY_S, "the files are gone too early"


def delayed_anew(log):
    """What is deleted later goes after what file.delete.delay.ms says then; what was deleted before waits as long as was said."""
    log.create("delayed-anew", **{"retention.ms": str(DAY), "file.delete.delay.ms": "600000"})
    log.append("delayed-anew", OLD, OLD, 0)
    settled(log, "delayed-anew", [2], 2)
    deleted = log.files("delayed-anew", ".deleted")
    assert deleted, "the files are gone"
    log.alter(TOPIC_RESOURCE, "delayed-anew", file_delete_delay_ms="100")
    time.sleep(0.5)
    log.append("delayed-anew", 0, 0)
    same((0, 4), log.delete_records("delayed-anew", 4))
    settled(log, "delayed-anew", [4], 4)
    time.sleep(PASSES_S)
    same(deleted, log.files("delayed-anew", ".deleted"))


def running_fetch(log):
    """A fetch that has begun gets all its bytes, although their segment is deleted meanwhile."""
    log.create("fetched", **{**KEEP, "internal.segment.bytes": "40000000", "file.delete.delay.ms": "3000"})
    value = b"y" * 900_000
    # The checksum of a large batch takes long here: all are the same one.
    batch = raw.batch([raw.record(value=value)], first_ts=log.now)
    data = [{"Name": "fetched", "PartitionData": [{"Index": 0, "Records": batch}]}]
    for _ in range(20):
        log.wire.call(PRODUCE, 9, {"TransactionalId": None, "Acks": -1, "TimeoutMs": 5000, "TopicData": data})
    log.alter(TOPIC_RESOURCE, "fetched", internal_segment_bytes="1000")
    log.append("fetched", 0)
    same([0, 20], log.segments("fetched"))
    message = wire.codec.REQUESTS[FETCH]
    frame = struct.pack(">hhih", FETCH, 11, 1, -1) + message.encode(fetch_request("fetched", 0, 1 << 30), 11)
    with socket.socket() as slow:
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 16)
        slow.connect(("127.0.0.1", log.server.port))
        slow.settimeout(60)
        slow.sendall(struct.pack(">i", len(frame)) + frame)
        (length,) = struct.unpack(">i", slow.recv(4, socket.MSG_WAITALL))
        same((0, 20), log.delete_records("fetched", 20))
        settled(log, "fetched", [20], 20)
        got = 0
        while got < length:
            more = len(slow.recv(1 << 16))
            assert more, f"closed after {got} of {length} bytes"
            got += more
    assert length > 20 * len(value), length


def without_times(log):
    """Where records have no times, that of the file counts."""
    folder = log.server.data / "without-times-0"
    def age():
        eight_days_ago = time.time() - 8 * DAY / 1000
        for base in (0, 2):
            os.utime(folder / f"{base:020}.log", (eight_days_ago, eight_days_ago))
    log.restart(age)
    settled(log, "without-times", [4], 4)


def after_restart(log):
    """Starts that were told by DeleteRecords are known again."""
    for name in ("records-delete", "records-compact-delete"):
        eventually(10, lambda name=name: same({"segments": [6], "start": 7, "end": 7}, log.state(name)))
    # What the broker's settings were changed to holds.
    same([4], log.segments("change-cluster"))


def main():
    log, checks = Log("retention", CONFIG), Checks()
    try:
        log.start()
        policies(log, checks)
        for name, call in [("far-future", far_future), ("invalid", invalid), ("rolls", rolls), ("delete-records", deletes_records),
                           ("for-ever-by-ms", for_ever), ("changes", changes), ("changes-of-times", changes_of_times), ("delayed", delayed),
                           ("delayed-anew", delayed_anew),
                           ("running-fetch", running_fetch), ("without-times-old", without_times), ("after-restart", after_restart)]:
            checks.check(name, call, log)
        checks.check("stop", log.server.stop)
    finally:
        log.server.kill()
    sys.exit(1 if checks.failed else 0)


main()

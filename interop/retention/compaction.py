"""What the cleaner leaves of a log, and when it goes to it: the same script against either server.

    ../run --only compaction

Which records of which keys are left, how far the cleaner says it has come, settings that act at once, a damaged log that is left alone,
offsets of groups that stay what they were. Run by ../run, with AGAINST and MONEDULA_BIN; starts its own server.
"""

import pathlib
import sys
import time

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from log import AGAINST, BROKER_RESOURCE, FETCH, KEEP, PRODUCE, TOPIC_RESOURCE, VALUE, Log, fetch_request, raw
from records import records
from harness.check import Checks, eventually, same

OFFSET_COMMIT, OFFSET_FETCH, FIND_COORDINATOR, CREATE_TOPICS, INIT_PRODUCER_ID, DELETE_GROUPS = 8, 9, 10, 19, 22, 42
# Nothing is cleaned before a topic says so.
CONFIG = {"log.cleaner.backoff.ms": "200", "log.cleaner.min.cleanable.ratio": "1", "offsets.topic.num.partitions": "1", "transaction.state.log.num.partitions": "1",
          "offsets.topic.segment.bytes": "1048576", "offset.metadata.max.bytes": "4096", "log.segment.delete.delay.ms": "200"}
COMPACT = {"cleanup.policy": "compact", **KEEP}
NOW_RATIO = "0.01"
# Long enough for several looks of the cleaner.
LOOKS_S = 1.5


def read(log, name):
    """All that a consumer gets, from the log's start to its end."""
    offset, found = log.offset(name), []
    while offset < log.offset(name, -1):
        answer = log.wire.call(FETCH, 11, fetch_request(name, offset, 1 << 20))["Responses"][0]["Partitions"][0]
        same(0, answer["ErrorCode"])
        got = [record for record in records(answer["Records"] or b"") if record[0] >= offset]
        if not got:
            break
        found += got
        offset = got[-1][0] + 1
    return found


def offsets(log, name):
    return [offset for offset, _, _ in read(log, name)]


def checkpoint(log):
    path = log.server.data / "cleaner-offset-checkpoint"
    lines = path.read_text().splitlines()[2:] if path.exists() else []
    return {tuple(line.split()[:2]): int(line.split()[2]) for line in lines}


def cleaned(log, name, upto):
    eventually(15, lambda: same(upto, checkpoint(log).get((name, "0"))))


def clean_now(log, name, **more):
    log.alter(TOPIC_RESOURCE, name, min_cleanable_dirty_ratio=NOW_RATIO, **more)


def updates(log, name, keys, rounds):
    for n in range(keys * rounds):
        log.append(name, 0, key=b"key-%d" % (n % keys))


def latest_of_keys(log):
    """The last record of each key stays, and the active segment; then again with new records, when segments are put together."""
    log.create("latest", **COMPACT)
    updates(log, "latest", 5, 4)
    time.sleep(LOOKS_S)
    same(None, checkpoint(log).get(("latest", "0")))
    same(list(range(20)), offsets(log, "latest"))
    clean_now(log, "latest")
    cleaned(log, "latest", 18)
    same([13, 14, 15, 16, 17, 18, 19], offsets(log, "latest"))
    first = log.segments("latest")
    log.alter(TOPIC_RESOURCE, "latest", min_cleanable_dirty_ratio="1")
    updates(log, "latest", 5, 2)
    clean_now(log, "latest")
    cleaned(log, "latest", 28)
    same([23, 24, 25, 26, 27, 28, 29], offsets(log, "latest"))
    same((0, 30), (log.offset("latest"), log.offset("latest", -1)))
    return f"segments={first},{log.segments('latest')}"


def tombstones(log):
    """A deleted key's mark stays for delete.retention.ms after the pass that found it, and goes with the next pass."""
    log.create("tombstones", **COMPACT, **{"delete.retention.ms": "1500"})
    log.append("tombstones", 0, key=b"deleted")
    log.append("tombstones", 0, key=b"deleted", value=None)
    updates(log, "tombstones", 1, 3)
    clean_now(log, "tombstones")
    cleaned(log, "tombstones", 4)
    same([(1, b"deleted", False), (3, b"key-0", True), (4, b"key-0", True)], read(log, "tombstones"))
    time.sleep(2)
    updates(log, "tombstones", 1, 2)
    cleaned(log, "tombstones", 6)
    same([(5, b"key-0", True), (6, b"key-0", True)], read(log, "tombstones"))


def lags(log):
    """Young records wait, old ones do not, whatever the ratio."""
    log.create("young", **COMPACT, **{"min.compaction.lag.ms": "3600000"})
    log.append("young", *[-7_200_000] * 4, 0, 0, 0, 0, key=b"key")
    clean_now(log, "young")
    cleaned(log, "young", 4)
    same([3, 4, 5, 6, 7], offsets(log, "young"))
    clean_now(log, "young", min_compaction_lag_ms="0")
    cleaned(log, "young", 6)
    same([5, 6, 7], offsets(log, "young"))
    log.create("late", **COMPACT, **{"max.compaction.lag.ms": "7200000"})
    log.append("late", *[-3_600_000] * 6, key=b"key")
    time.sleep(LOOKS_S)
    same(list(range(6)), offsets(log, "late"))
    log.alter(TOPIC_RESOURCE, "late", max_compaction_lag_ms="1800000")
    cleaned(log, "late", 4)
    same([3, 4, 5], offsets(log, "late"))


def both_policies(log):
    """compact,delete: old segments go, the rest is compacted; what the cleaner knows follows the log's start."""
    log.create("both", **COMPACT | {"cleanup.policy": "compact,delete"})
    log.append("both", *[-7_200_000] * 4, 0, 0, 0, 0, 0, key=b"key")
    log.alter(TOPIC_RESOURCE, "both", retention_ms="3600000")
    eventually(15, lambda: same(4, log.offset("both")))
    clean_now(log, "both")
    cleaned(log, "both", 8)
    same([7, 8], offsets(log, "both"))


def damaged(log):
    """A log with a damaged batch is left as it is, and the others are cleaned all the same."""
    log.create("damaged", **COMPACT)
    updates(log, "damaged", 2, 5)
    with open(log.server.data / "damaged-0" / f"{2:020}.log", "r+b") as f:
        # The length of the first record.
        f.seek(61)
        f.write(b"\xff\xff\xff\xff\x0f")
    clean_now(log, "damaged")
    log.create("healthy", **COMPACT)
    updates(log, "healthy", 2, 5)
    clean_now(log, "healthy")
    cleaned(log, "healthy", 8)
    time.sleep(LOOKS_S)
    # Kafka writes down that it has come nowhere.
    assert checkpoint(log).get(("damaged", "0"), 0) == 0, checkpoint(log)
    same([0, 2, 4, 6, 8], log.segments("damaged"))


def throttle(log):
    """log.cleaner.io.max.bytes.per.second and log.cleaner.threads are followed while a log is being cleaned."""
    log.alter(BROKER_RESOURCE, "", log_cleaner_io_max_bytes_per_second="100000")
    log.create("throttled", **COMPACT | {"internal.segment.bytes": "3000000"})
    batch = raw.batch([raw.record(value=b"y" * 900_000, key=b"key")], first_ts=log.now)
    data = [{"Name": "throttled", "PartitionData": [{"Index": 0, "Records": batch}]}]
    for _ in range(10):
        log.wire.call(PRODUCE, 9, {"TransactionalId": None, "Acks": -1, "TimeoutMs": 5000, "TopicData": data})
    clean_now(log, "throttled")
    if AGAINST == "monedula":
        # Kafka looks at what it has done three times a second, and is ready before.
        time.sleep(3)
        same(None, checkpoint(log).get(("throttled", "0")))
    log.alter(BROKER_RESOURCE, "", log_cleaner_io_max_bytes_per_second=None, log_cleaner_threads="2")
    cleaned(log, "throttled", 9)
    same([8, 9], offsets(log, "throttled"))


def commit(log, group, round_, partitions):
    committed = [{"PartitionIndex": p, "CommittedOffset": round_, "CommittedLeaderEpoch": -1, "CommittedMetadata": "m" * 60}
                 for p in range(partitions)]
    request = {"GroupId": group, "GenerationIdOrMemberEpoch": -1, "MemberId": "", "GroupInstanceId": None, "RetentionTimeMs": -1,
               "Topics": [{"Name": "committed", "Partitions": committed}]}
    answer = log.wire.call(OFFSET_COMMIT, 8, request)["Topics"][0]["Partitions"]
    assert all(p["ErrorCode"] == 0 for p in answer), answer[0]


def fetched(log, group, partitions):
    asked = [{"Name": "committed", "PartitionIndexes": list(range(partitions))}]
    answer = log.wire.call(OFFSET_FETCH, 7, {"GroupId": group, "Topics": asked, "RequireStable": False})
    same(0, answer["ErrorCode"])
    return [p["CommittedOffset"] for p in answer["Topics"][0]["Partitions"]]


def sealed(log, name):
    """The bytes of all segments but the active one."""
    return b"".join((log.server.data / f"{name}-0" / f"{base:020}.log").read_bytes() for base in log.segments(name)[:-1])


def group_offsets(log):
    """__consumer_offsets in normal life: many commits, compaction, a restart, and the offsets are the same; a deleted group goes."""
    partitions, rounds = 200, 60
    topic = {"Name": "committed", "NumPartitions": partitions, "ReplicationFactor": 1, "Assignments": [], "Configs": []}
    log.wire.call(CREATE_TOPICS, 7, {"Topics": [topic], "timeoutMs": 10_000, "validateOnly": False})
    ask = {"Key": "keeps", "KeyType": 0}
    eventually(20, lambda: same(0, log.wire.call(FIND_COORDINATOR, 3, ask)["ErrorCode"]))
    eventually(20, lambda: commit(log, "keeps", 0, partitions))
    commit(log, "is-deleted", 7, partitions)
    for n in range(1, rounds):
        commit(log, "keeps", n, partitions)
    name = "__consumer_offsets"
    assert len(log.segments(name)) > 1, log.segments(name)
    before = sum((log.server.data / f"{name}-0" / f"{base:020}.log").stat().st_size for base in log.segments(name))
    same([0], [g["ErrorCode"] for g in log.wire.call(DELETE_GROUPS, 2, {"GroupsNames": ["is-deleted"]})["Results"]])
    assert b"is-deleted" in sealed(log, name)
    log.alter(TOPIC_RESOURCE, name, min_cleanable_dirty_ratio=NOW_RATIO, delete_retention_ms="100")
    def gone():
        # New segments, so that there is something to clean.
        for n in range(5):
            commit(log, "keeps", rounds + n, partitions)
        return b"is-deleted" not in sealed(log, name)
    eventually(30, gone, 0.3)
    want = [rounds + 4] * partitions
    same(want, fetched(log, "keeps", partitions))
    same([-1] * partitions, fetched(log, "is-deleted", partitions))
    log.restart(lambda: None)
    eventually(20, lambda: same(want, fetched(log, "keeps", partitions)))
    same([-1] * partitions, fetched(log, "is-deleted", partitions))
    left = sum((log.server.data / f"{name}-0" / f"{base:020}.log").stat().st_size for base in log.segments(name))
    print(f"__consumer_offsets: {before} bytes, then {left}", file=sys.stderr)


def transaction_state(log):
    """__transaction_state the same: of each id the newest state is known after compaction and a restart."""
    ids, name = [f"txn-{n}" for n in range(5)], "__transaction_state"
    def init(id_):
        asked = {"TransactionalId": id_, "TransactionTimeoutMs": 60_000, "ProducerId": -1, "ProducerEpoch": -1}
        answer = log.wire.call(INIT_PRODUCER_ID, 4, asked)
        same(0, answer["ErrorCode"])
        return answer["ProducerId"], answer["ProducerEpoch"]
    eventually(20, lambda: same(0, log.wire.call(FIND_COORDINATOR, 3, {"Key": ids[0], "KeyType": 1})["ErrorCode"]))
    begin = {id_: eventually(20, lambda id_=id_: init(id_)) for id_ in ids}
    log.alter(TOPIC_RESOURCE, name, internal_segment_bytes="4000", min_cleanable_dirty_ratio=NOW_RATIO)
    last = {}
    for _ in range(60):
        last = {id_: init(id_) for id_ in ids}
    active = log.segments(name)[-1]
    assert active > 200, log.segments(name)
    eventually(20, lambda: checkpoint(log).get((name, "0"), 0) >= active)
    left = len([r for base in log.segments(name)[:-1] for r in records((log.server.data / f"{name}-0" / f"{base:020}.log").read_bytes())])
    assert left <= 2 * len(ids), f"{left} records are left in sealed segments"
    log.restart(lambda: None)
    for id_ in ids:
        producer, epoch = eventually(20, lambda id_=id_: init(id_))
        same((begin[id_][0], last[id_][1] + 1), (producer, epoch))


def after_restart(log):
    """What was cleaned is known; entries that cannot be right are begun anew."""
    eventually(10, lambda: same(18 + 10, checkpoint(log).get(("latest", "0"))))
    def wrong():
        path = log.server.data / "cleaner-offset-checkpoint"
        text = path.read_text()
        assert "healthy 0 8\n" in text and "late 0 4\n" in text, text
        path.write_text(text.replace("healthy 0 8\n", "healthy 0 11\n"))
    log.restart(wrong)
    cleaned(log, "healthy", 8)
    eventually(10, lambda: same([6, 7, 8, 9], offsets(log, "healthy")))
    same([3, 4, 5], offsets(log, "late"))


def main():
    log, checks = Log("compaction", CONFIG), Checks()
    try:
        log.start()
        for name, call in [("latest-of-keys", latest_of_keys), ("tombstones", tombstones), ("lags", lags), ("compact-and-delete", both_policies),
                           ("damaged", damaged), ("throttle", throttle), ("group-offsets", group_offsets),
                           ("transaction-state", transaction_state), ("after-restart", after_restart)]:
            checks.check(name, call, log)
        checks.check("stop", log.server.stop)
    finally:
        log.server.kill()
    sys.exit(1 if checks.failed else 0)


main()

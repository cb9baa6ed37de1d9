"""The same directory cleaned by both servers: the same segments with the same batches.

    ../run --only cleaned

Kafka writes histories with keys, tombstones, idempotent and transactional producers into small segments, and cleans
nothing. Then it cleans one copy of the directory, the server under test another, and the files are compared: byte for byte, but for
batches whose tombstones or markers were given a time to go, which is the time of the pass. Of compressed batches the records are compared
and all that the header says but size and checksum: no two implementations of a codec give the same bytes, and segments of other sizes are
put together otherwise. Both are restarted for a second pass, after that time. Run by ../run, with AGAINST and MONEDULA_BIN.
"""

import pathlib
import random
import shutil
import struct
import sys
import time

sys.dont_write_bytecode = True
HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "faults")]
import cramjam
from dump import CODECS, UNPACK
from log import AGAINST, BINARY, CONFIG, CREATE_TOPICS, KEEP, PRODUCE, raw
from records import records
from harness import server, wire
from harness.check import Checks, eventually, same
from harness.paths import WORK

FIND_COORDINATOR, INIT_PRODUCER_ID, ADD_PARTITIONS, END_TXN = 10, 22, 24, 26
CONCURRENT_TRANSACTIONS = 51
TRANSACTIONAL, CONTROL, HORIZON = 0x10, 0x20, 0x40
TOPICS = {"keyed": (3, False, False), "idempotent": (4, True, False), "transactional": (5, True, True), "compressed": (6, True, True)}
CODEC = 0x07


def lz4(data):
    """A frame of one independent block; cramjam's own blocks depend on each other, which Kafka does not read."""
    block = bytes(cramjam.lz4.compress_block(data, store_size=False))
    return bytes.fromhex("04224d18604082") + struct.pack("<I", len(block)) + block + bytes(4)


PACK = {1: cramjam.gzip.compress, 2: cramjam.snappy.compress_raw, 3: lz4, 4: cramjam.zstd.compress}
SEGMENT_BYTES, BATCHES, KEYS = 2000, 250, 12
# A pass takes less, a second one comes later.
RETENTION_MS = 5000
ROOT = WORK / "servers"


class Writer:
    """One producer, with an id of its own, transactional or not."""

    def __init__(self, wire_, id_=None):
        self.wire, self.id, self.sequence, self.open = wire_, id_, 0, False
        if id_:
            eventually(30, lambda: same(0, wire_.call(FIND_COORDINATOR, 3, {"Key": id_, "KeyType": 1})["ErrorCode"]))
        ask = {"TransactionalId": id_, "TransactionTimeoutMs": 60_000, "ProducerId": -1, "ProducerEpoch": -1}
        def init():
            answer = wire_.call(INIT_PRODUCER_ID, 4, ask)
            same(0, answer["ErrorCode"])
            return answer["ProducerId"], answer["ProducerEpoch"]
        self.producer, self.epoch = eventually(30, init)

    def begin(self, topic):
        topics = [{"Name": topic, "Partitions": [0]}]
        ask = {"V3AndBelowTransactionalId": self.id, "V3AndBelowProducerId": self.producer, "V3AndBelowProducerEpoch": self.epoch,
               "V3AndBelowTopics": topics}
        def add():
            result = self.wire.call(ADD_PARTITIONS, 3, ask)["ResultsByTopicV3AndBelow"][0]["ResultsByPartition"][0]
            same(0, result["PartitionErrorCode"])
        eventually(10, add, 0.01)
        self.open = True

    def end(self, commit):
        ask = {"TransactionalId": self.id, "ProducerId": self.producer, "ProducerEpoch": self.epoch, "Committed": commit}
        same(0, self.wire.call(END_TXN, 3, ask)["ErrorCode"])
        self.open = False


def write(rng, wire_, topic, writers):
    """A random history; every transaction is ended."""
    for n in range(BATCHES):
        writer = rng.choice([None, *writers])
        if writer and writer.id and not writer.open:
            writer.begin(topic)
        lines = []
        codec = rng.choice([0, *PACK]) if topic == "compressed" else 0
        for delta in range(rng.choice([1, 1, 2, 5])):
            key = f"key-{rng.randrange(KEYS)}".encode()
            value = None if rng.random() < 0.2 else f"value-{n}-{delta}".encode() * rng.choice([1, 3])
            lines.append(raw.record(delta=delta, key=key, value=value, ts_delta=delta))
        stamp = 1_700_000_000_000 + n * 10
        ids = {}
        if writer:
            ids = {"producer": writer.producer, "epoch": writer.epoch, "sequence": writer.sequence,
                   "attributes": TRANSACTIONAL if writer.id else 0}
            writer.sequence += len(lines)
        ids["attributes"] = ids.get("attributes", 0) | codec
        payload = bytes(PACK[codec](b"".join(lines))) if codec else None
        batch = raw.batch(lines, first_ts=stamp, max_ts=stamp + len(lines) - 1, payload=payload, **ids)
        data = [{"Name": topic, "PartitionData": [{"Index": 0, "Records": batch}]}]
        request = {"TransactionalId": writer.id if writer else None, "Acks": -1, "TimeoutMs": 5000, "TopicData": data}
        answer = wire_.call(PRODUCE, 9, request)["Responses"][0]["PartitionResponses"][0]
        same(0, answer["ErrorCode"])
        if writer and writer.id and rng.random() < 0.4:
            writer.end(rng.random() < 0.5)
    for writer in writers:
        if writer.open:
            writer.end(True)


def make():
    """The directory that nobody has cleaned yet."""
    directory = ROOT / f"cleaned-{AGAINST}-history"
    shutil.rmtree(directory, ignore_errors=True)
    config = CONFIG | {"log.cleaner.enable": "true", "log.cleaner.min.cleanable.ratio": "1", "transaction.state.log.num.partitions": "1"}
    node = server.Server("kafka", directory, BINARY, config, name=f"cleaned-{AGAINST}-history")
    node.start()
    try:
        wire_ = wire.Connection(node.port, "cleaned")
        configs = KEEP | {"cleanup.policy": "compact", "internal.segment.bytes": str(SEGMENT_BYTES), "index.interval.bytes": "300",
                          "delete.retention.ms": str(RETENTION_MS)}
        for name, (seed, with_ids, with_txns) in TOPICS.items():
            topic = {"Name": name, "NumPartitions": 1, "ReplicationFactor": 1, "Assignments": [],
                     "Configs": [{"Name": key, "Value": value} for key, value in configs.items()]}
            answer = wire_.call(CREATE_TOPICS, 7, {"Topics": [topic], "timeoutMs": 10_000, "validateOnly": False})
            assert answer["Topics"][0]["ErrorCode"] == 0, answer
            ids = [f"txn-{n}" if with_txns else None for n in range(3)] if with_ids else []
            writers = [Writer(wire_, id_) for id_ in ids]
            time.sleep(0.5)
            write(random.Random(seed), wire_, name, writers)
        wire_.close()
        node.stop()
    finally:
        node.kill() if node.alive() else None
    return node.data


def cleaned(kind, data, place):
    """Starts a server that cleans everything on the directory, and stops it when it has."""
    config = CONFIG | {"log.cleaner.min.cleanable.ratio": "0.001", "log.cleaner.backoff.ms": "300", "log.segment.delete.delay.ms": "100"}
    directory = ROOT / f"cleaned-{AGAINST}-{place}"
    if data:
        shutil.rmtree(directory, ignore_errors=True)
        shutil.copytree(data, directory / "data")
    node = server.Server(kind, directory, BINARY, config, name=f"cleaned-{AGAINST}-{place}")
    # A second pass begins with what the first has left: the checkpoint says that nothing is to be done.
    checkpoint = node.data / "cleaner-offset-checkpoint"
    checkpoint.unlink(missing_ok=True)
    active = {name: max(int(p.stem) for p in (node.data / f"{name}-0").glob("*.log")) for name in TOPICS}
    node.start()
    try:
        def done():
            lines = checkpoint.read_text().splitlines()[2:]
            reached = {line.split()[0]: int(line.split()[2]) for line in lines}
            return all(reached.get(name, 0) >= offset for name, offset in active.items())
        eventually(60, done)
        time.sleep(0.5)
        node.stop()
    finally:
        node.kill() if node.alive() else None
    return node.data


def batches(data):
    """Each batch; one with a time to go as what does not hang on that time, a compressed one unpacked."""
    at, found = 0, []
    while at < len(data):
        base, length = struct.unpack_from(">qi", data, at)
        batch = data[at:at + 12 + length]
        at += len(batch)
        (attributes,) = struct.unpack_from(">h", batch, 21)
        codec = attributes & CODEC
        # An empty batch names the codec of what was in it.
        if codec and len(batch) > 61:
            batch = batch[:8] + bytes(4) + batch[12:17] + bytes(4) + batch[21:61] + UNPACK[CODECS[codec]](batch[61:])
            batch = batch[:8] + struct.pack(">i", len(batch) - 12) + batch[12:]
        if attributes & HORIZON:
            fixed = batch[:8] + batch[12:17] + batch[21:27] + batch[35:61]
            found.append((base, fixed, records(batch)))
        else:
            found.append((base, batch))
    return found


def compare(topic, ours, theirs):
    """The logs of both, then the files that go with segments in which no time was set."""
    places = [path / f"{topic}-0" for path in (theirs, ours)]
    logs = [sorted(p.name for p in place.glob("*.log")) for place in places]
    if topic == "compressed":
        return compare_all(*([batch for name in names for batch in batches((place / name).read_bytes())] for place, names in zip(places, logs)))
    same(*logs)
    left = with_time = 0
    for name in logs[0]:
        want, got = (batches((place / name).read_bytes()) for place in places)
        for a, b in zip(want, got):
            assert a == b, f"{name}: Kafka {str(a)[:300]} here {str(b)[:300]}"
        same(len(want), len(got))
        left += len(want)
        timed = sum(len(batch) > 2 for batch in want)
        with_time += timed
        for suffix in (".index", ".timeindex", ".txnindex"):
            if timed and suffix != ".txnindex" or name == logs[0][-1]:
                continue
            files = [(place / name).with_suffix(suffix) for place in places]
            same(*((f.read_bytes() if f.exists() else b"").hex() for f in files))
    return f"segments={len(logs[0])} batches={left} with-a-time={with_time}"


def compare_all(want, got):
    for a, b in zip(want, got):
        assert a == b, f"Kafka {str(a)[:300]} here {str(b)[:300]}"
    same(len(want), len(got))
    packed = sum(bool(struct.unpack_from(">h", batch[1], 21 if len(batch) == 2 else 13)[0] & CODEC) for batch in want)
    assert packed, "nothing of it is compressed"
    return f"batches={len(want)} compressed={packed}"


def differ(topic, before, after):
    """What was cleaned is not what was written: the comparison sees it."""
    try:
        compare(topic, before, after)
    except AssertionError:
        return
    raise AssertionError("nothing was cleaned")


def main():
    checks = Checks()
    history = []
    if not checks.check("write", lambda: history.append(make())):
        return 1
    ours, theirs = [], []
    def first():
        theirs.append(cleaned("kafka", history[0], "kafka"))
        ours.append(cleaned(AGAINST, history[0], "other"))
    if not checks.check("first-pass", first):
        return 1
    for topic in TOPICS:
        checks.check(f"first-{topic}", compare, topic, ours[0], theirs[0])
        checks.check(f"first-{topic}-changed", differ, topic, history[0], theirs[0])
    def second():
        time.sleep(RETENTION_MS / 1000)
        cleaned("kafka", None, "kafka")
        cleaned(AGAINST, None, "other")
    if checks.check("second-pass", second):
        for topic in TOPICS:
            checks.check(f"second-{topic}", compare, topic, ours[0], theirs[0])
    return checks.failed > 0


if __name__ == "__main__":
    sys.exit(main())

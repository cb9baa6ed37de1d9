"""The contract that every client goes through (see ../README.md), for the Python clients. An adapter does the calls."""

import time
import traceback

T0 = 1_700_000_000_000
PER_CODEC = 600
PARTITIONS = 3
LARGE = 900 * 1024


class Refused(Exception):
    """The server answered with an error code of the Kafka protocol."""

    def __init__(self, code, message=""):
        super().__init__(f"code {code}: {message}")
        self.code, self.message = int(code), " ".join(str(message or "").split())


class Missing(Exception):
    """The client has no such call; the text says so."""


class Record:
    """What is written, or was read: offset is None until known; headers are (str, bytes) pairs."""

    def __init__(self, partition, key, value, headers, timestamp, offset=None):
        self.partition, self.key, self.value = partition, key, value
        self.headers, self.timestamp, self.offset = headers, timestamp, offset

    def fields(self):
        return self.offset, self.timestamp, self.key, self.value, self.headers

    def __repr__(self):
        value = self.value if self.value is None or len(self.value) < 40 else self.value[:40] + b"..."
        return f"(offset {self.offset}, ts {self.timestamp}, key {self.key}, value {value}, headers {self.headers})"


def record(i, partition=None):
    """Record number i: the same in every language. Some clients refuse a record with neither key nor value."""
    key = None if i % 7 == 3 and i % 10 != 4 else b"key-%d" % i
    if i % 10 == 4:
        value = None
    elif i % 10 == 5:
        value = b""
    else:
        value = b"value-%d-" % i + bytes([97 + i % 26]) * (i * 37 % 700)
    headers = [] if i % 3 == 0 else [("n", b"%d" % i), ("bin", b"\x00\xff\x80")]
    return Record(i % PARTITIONS if partition is None else partition, key, value, headers, T0 + i * 1000)


class Contract:
    def __init__(self, adapter):
        self.a = adapter
        self.topic = f"{adapter.name}-main"
        self.log = {p: [] for p in range(PARTITIONS)}
        self.next = 0
        self.failed = 0

    # ---- running checks -------------------------------------------------------------------------------------------

    def check(self, name, call, *args, **kwargs):
        try:
            detail = call(*args, **kwargs)
            print(f"ok {name}" + (f" {detail}" if detail else ""), flush=True)
        except Missing as reason:
            print(f"n/a {name} {reason}", flush=True)
        except Exception as error:  # the check is what is being tested: everything it throws is its result
            self.failed += 1
            where = traceback.extract_tb(error.__traceback__)[-1]
            text = " ".join(f"{type(error).__name__}: {error}".split())[:600]
            print(f"FAIL {name} {text} ({where.filename.rsplit('/', 1)[-1]}:{where.lineno})", flush=True)

    def refused(self, code, call, *args, **kwargs):
        try:
            got = call(*args, **kwargs)
        except Refused as error:
            assert error.code == code, f"expected code {code}, got {error}"
            return f"code={code} {error.message}".rstrip()
        raise AssertionError(f"expected code {code}, got success: {got!r}")

    def eventually(self, condition, limit_s=60):
        """Metadata reaches a client a little after the call that changed it returned."""
        end = time.monotonic() + limit_s
        while True:
            try:
                return condition()
            except (AssertionError, Refused):
                if time.monotonic() > end:
                    raise
                time.sleep(0.05)

    # ---- steps ----------------------------------------------------------------------------------------------------

    def take(self, count, partition=None):
        records = [record(i, partition) for i in range(self.next, self.next + count)]
        self.next += count
        return records

    def produced(self, records, offsets):
        """Notes what was written, and checks the offsets the server gave out."""
        for r, offset in zip(records, offsets, strict=True):
            want = len(self.log[r.partition])
            assert offset in (want, None), f"partition {r.partition}: expected offset {want}, got {offset}"
            r.offset = want
            self.log[r.partition].append(r)

    def cluster(self):
        brokers, controller, cluster_id = self.a.cluster()
        assert brokers == [1] and controller in (1, None), f"brokers {brokers}, controller {controller}"
        assert cluster_id in (None, "MkU3OEVBNTcwNTJENDM2Qg"), cluster_id
        return f"brokers={brokers} cluster_id={cluster_id}"

    def create(self):
        self.a.create_topic(self.topic, PARTITIONS, {"segment.bytes": "1048576", "retention.ms": "-1"})

    def validate_only(self):
        name = f"{self.a.name}-dry-run"
        self.a.create_topic(name, 1, {}, validate_only=True)
        return self.refused(3, self.a.describe_topic, name)

    def describe(self):
        def look():
            got = self.a.describe_topic(self.topic)
            want = [(p, 1, [1], [1]) for p in range(PARTITIONS)]
            assert got == want, got
        self.eventually(look)

    def codec(self, codec):
        begin = {p: len(log) for p, log in self.log.items()}
        records = self.take(PER_CODEC)
        self.produced(records, self.a.produce(self.topic, records, codec=codec))
        for partition, log in self.log.items():
            self.same(log[begin[partition]:], self.a.fetch(self.topic, partition, begin[partition], len(log)))
        return f"records={len(records)}"

    def acks(self, acks):
        records = self.take(30)
        self.produced(records, self.a.produce(self.topic, records, acks=acks))
        def arrived():
            for partition, log in self.log.items():
                got = self.a.offset(self.topic, partition, "latest")
                assert got == len(log), f"partition {partition}: latest {got}, expected {len(log)}"
        self.eventually(arrived)

    def idempotent(self):
        records = self.take(300)
        self.produced(records, self.a.produce(self.topic, records, idempotent=True))

    def large(self):
        r = self.take(1, partition=2)[0]
        r.value = bytes((i * 31 + i // 251) % 256 for i in range(LARGE))
        self.produced([r], self.a.produce(self.topic, [r]))
        self.same([r], self.a.fetch(self.topic, 2, r.offset, r.offset + 1))

    def same(self, want, got):
        assert len(got) == len(want), f"expected {len(want)} records, got {len(got)}"
        for w, g in zip(want, got):
            assert w.fields() == g.fields(), f"expected {w}, got {g}"

    def consume_all(self):
        for partition, log in self.log.items():
            self.same(log, self.a.fetch(self.topic, partition, "earliest", len(log)))
        return f"records={sum(map(len, self.log.values()))}"

    def consume_offset(self):
        log = self.log[1]
        self.same(log[77:], self.a.fetch(self.topic, 1, 77, len(log)))

    def consume_timestamp(self):
        log = self.log[1]
        offset = self.a.offset(self.topic, 1, log[150].timestamp - 500)
        assert offset == 150, offset
        self.same(log[150:], self.a.fetch(self.topic, 1, offset, len(log)))

    def consume_end(self):
        r = self.take(1, partition=1)[0]
        got = self.a.fetch_new(self.topic, 1, lambda: self.produced([r], self.a.produce(self.topic, [r])))
        self.same([r], got)

    def offsets(self):
        log = self.log[0]
        got = [self.a.offset(self.topic, 0, spec) for spec in
               ("earliest", "latest", log[10].timestamp, log[10].timestamp + 1, log[-1].timestamp + 1)]
        assert got == [0, len(log), 10, 11, -1], got
        return got

    def max_timestamp(self):
        got = self.a.offset(self.topic, 0, "max-timestamp")
        assert got == len(self.log[0]) - 1, got

    def topic_config(self):
        got = self.a.configs("topic", self.topic)
        some = {k: got.get(k) for k in ("segment.bytes", "retention.ms", "cleanup.policy", "compression.type",
                                        "max.message.bytes", "min.insync.replicas", "message.timestamp.type")}
        assert some["segment.bytes"] == "1048576" and some["retention.ms"] == "-1", some
        return f"{some} count={len(got)}"

    def alter_config(self):
        self.a.alter_config("topic", self.topic, "retention.bytes", "123456789")
        def changed():
            got = self.a.configs("topic", self.topic)
            assert got.get("retention.bytes") == "123456789", got.get("retention.bytes")
            return f"segment.bytes={got['segment.bytes']}"
        return self.eventually(changed)

    def broker_config(self):
        got = self.a.configs("broker", "1")
        return {k: got.get(k) for k in ("log.segment.bytes", "num.io.threads", "node.id", "process.roles")}

    def too_large(self):
        name = f"{self.a.name}-small"
        self.a.create_topic(name, 1, {"max.message.bytes": "2000"})
        r = record(0)
        r.partition, r.value = 0, b"x" * 5000
        got = self.refused(10, self.a.produce, name, [r])
        r.value = b"x" * 100
        assert self.a.produce(name, [r]) == [0]
        return got

    def create_partitions(self):
        self.a.create_partitions(self.topic, 5)
        def grown():
            got = len(self.a.describe_topic(self.topic))
            assert got == 5, got
        self.eventually(grown)

    def delete_records(self):
        # A partition is for a moment without its leader while the topic grows.
        low = self.eventually(lambda: self.a.delete_records(self.topic, 0, 100))
        assert low in (100, None), low
        earliest = self.a.offset(self.topic, 0, "earliest")
        assert earliest == 100, earliest
        self.same(self.log[0][100:], self.a.fetch(self.topic, 0, "earliest", len(self.log[0])))

    def auto_create(self):
        name = f"{self.a.name}-auto"
        r = record(0)
        r.partition = 0
        assert self.a.produce(name, [r]) == [0]
        return self.a.describe_topic(name)

    def delete_topic(self):
        name = f"{self.a.name}-small"
        self.a.delete_topic(name)
        return self.eventually(lambda: self.refused(3, self.a.describe_topic, name))

    def run(self):
        a, check, refused = self.a, self.check, self.refused
        check("cluster", self.cluster)
        check("create-topic", self.create)
        check("describe-topic", self.describe)
        check("create-topic-validate-only", self.validate_only)
        check("err-create-existing", refused, 36, a.create_topic, self.topic, 1, {})
        check("err-create-name", refused, 17, a.create_topic, "not a name!", 1, {})
        check("err-create-name-dots", refused, 17, a.create_topic, "..", 1, {})
        check("err-create-name-long", refused, 17, a.create_topic, "n" * 250, 1, {})
        check("err-create-config", refused, 40, a.create_topic, f"{a.name}-x", 1, {"retention.ms": "soon"})
        check("err-create-config-unknown", refused, 40, a.create_topic, f"{a.name}-x", 1, {"no.such.config": "1"})
        check("err-create-no-partitions", refused, 37, a.create_topic, f"{a.name}-x", 0, {})
        check("err-create-replication", refused, 38, a.create_topic, f"{a.name}-x", 1, {}, replication=2)
        check("err-describe-unknown", refused, 3, a.describe_topic, f"{a.name}-unknown")
        for codec in ("none", "gzip", "snappy", "lz4", "zstd"):
            check(f"codec-{codec}", self.codec, codec)
        for acks in (0, 1, -1):
            check(f"acks-{'all' if acks < 0 else acks}", self.acks, acks)
        check("idempotent", self.idempotent)
        check("large-record", self.large)
        check("consume-all", self.consume_all)
        check("consume-from-offset", self.consume_offset)
        check("consume-from-timestamp", self.consume_timestamp)
        check("consume-from-end", self.consume_end)
        check("list-offsets", self.offsets)
        check("list-offsets-max-timestamp", self.max_timestamp)
        check("describe-topic-config", self.topic_config)
        check("alter-topic-config", self.alter_config)
        check("err-alter-config", refused, 40, a.alter_config, "topic", self.topic, "retention.ms", "soon")
        check("describe-broker-config", self.broker_config)
        check("err-record-too-large", self.too_large)
        check("create-partitions", self.create_partitions)
        check("err-create-partitions-fewer", refused, 37, a.create_partitions, self.topic, 2)
        check("delete-records", self.delete_records)
        check("err-delete-records-beyond", refused, 1, a.delete_records, self.topic, 0, 10_000_000)
        check("err-offset-below-start", refused, 1, a.fetch, self.topic, 0, 5, 6)
        check("err-offset-beyond-end", refused, 1, a.fetch, self.topic, 0, 10_000_000, 10_000_001)
        check("auto-create", self.auto_create)
        check("delete-topic", self.delete_topic)
        check("err-delete-unknown", refused, 3, a.delete_topic, f"{a.name}-unknown")
        a.close()
        return 1 if self.failed else 0

"""Hostile and broken input on raw sockets: the server closes the connection or answers with Kafka's error code, and lives on."""

import os
import random
import socket
import struct
import sys
import time

sys.dont_write_bytecode = True
import wire
from wire import Connection, batch, crc32c, frame, i8, i16, i32, i64, record, request, string, varint

BOOTSTRAP = os.environ["BOOTSTRAP"]
PID = os.environ["SERVER_PID"]
AGAINST = os.environ["AGAINST"]
SEED = 20260101
# What the memory of the process may grow by in all of this. A JVM's grows up to its heap's limit, so nothing is said of it.
GROWTH_MIB = 64
failed = 0


def check(name, call, *args):
    global failed
    try:
        detail = call(*args)
        print(f"ok {name}" + ("" if detail is None else f" {detail}"), flush=True)
    except Exception as error:  # whatever a check throws is its result
        failed += 1
        print(f"FAIL {name} {type(error).__name__}: {' '.join(str(error).split())[:400]}", flush=True)


def expect(name, want, payload, timeout_s=10):
    """One request on its own connection must have this reaction; want may be a tuple of allowed ones."""
    def call():
        got = wire.reaction(BOOTSTRAP, payload, timeout_s)
        assert got in (want if isinstance(want, tuple) else (want,)), f"expected {want}, got {got}"
        return got
    check(name, call)


def raw(name, want, data, timeout_s=3, shut=False):
    """These very bytes on a new connection."""
    def call():
        with Connection(BOOTSTRAP, timeout_s) as c:
            c.send(data)
            if shut:
                c.socket.shutdown(socket.SHUT_WR)
            got = c.answer()
            got = got if isinstance(got, str) else f"answer {got[:6].hex()}"
            assert got == want, f"expected {want}, got {got}"
            return got
    check(name, call)


def rss_mib():
    with open(f"/proc/{PID}/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmRSS:")) / 1024


def alive():
    got = wire.reaction(BOOTSTRAP, wire.metadata("bad"))
    assert got == "code=[0]", got


# ---- sections -----------------------------------------------------------------------------------------------------------

def prepare():
    got = wire.reaction(BOOTSTRAP, wire.create_topics("bad"))
    assert got in ("code=[0]", "code=[36]"), got
    for _ in range(100):
        if wire.reaction(BOOTSTRAP, wire.produce(batch())) == "code=0":
            return
        time.sleep(0.1)
    raise AssertionError("cannot write to the topic")


def frames():
    for name, size in (("minus-one", -1), ("min", -(1 << 31)), ("max", (1 << 31) - 1), ("above-limit", 104_857_601)):
        raw(f"frame-length-{name}", "closed", i32(size) + b"x" * 64)
    raw("frame-length-zero", "closed", i32(0))
    raw("frame-incomplete", "closed", i32(1000) + b"x" * 10, shut=True)
    raw("frame-incomplete-kept-open", "silent", i32(1000) + b"x" * 10, timeout_s=1)
    raw("http", "closed", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    raw("tls-hello", "closed", b"\x16\x03\x01\x02\x00\x01" + bytes(300))
    good = frame(request(wire.API_VERSIONS, 0, b""))
    def pipelined():
        with Connection(BOOTSTRAP) as c:
            c.send(b"".join(frame(request(wire.API_VERSIONS, 0, b"", correlation=n)) for n in range(50)))
            got = [struct.unpack(">i", c.answer()[:4])[0] for _ in range(50)]
            assert got == list(range(50)), got
    check("pipelined-in-order", pipelined)
    def dribbled():
        with Connection(BOOTSTRAP) as c:
            for byte in good:
                c.send(bytes([byte]))
                time.sleep(0.002)
            assert isinstance(c.answer(), bytes)
    check("one-byte-at-a-time", dribbled)


def headers():
    expect("api-key-unknown", "closed", request(9999, 0, b""))
    expect("api-key-negative", "closed", request(-1, 0, b""))
    expect("api-key-of-controllers", "closed", request(52, 0, b"\x00" * 20))
    for key, name in ((0, "produce"), (1, "fetch"), (2, "list-offsets"), (3, "metadata"), (19, "create-topics"), (22, "init-producer-id")):
        expect(f"version-too-new-{name}", "closed", request(key, 99, b""))
        expect(f"version-negative-{name}", "closed", request(key, -1, b""))
    for key, version, name in ((0, 2, "produce"), (1, 3, "fetch"), (2, 0, "list-offsets"), (19, 1, "create-topics"), (21, -1, "delete-records")):
        expect(f"version-too-old-{name}", "closed", request(key, version, b""))
    def api_versions(version):
        with Connection(BOOTSTRAP) as c:
            c.send(frame(request(wire.API_VERSIONS, version, b"\x02a\x02b\0", flexible=True)))
            got = c.answer()
            r = wire.Reader(got)
            assert r.take("i") == 7
            code, count = r.take("h"), r.take("i")
            first = (r.take("h"), r.take("h"), r.take("h"))
            # The connection goes on with a version that the server has.
            c.send(frame(request(wire.API_VERSIONS, 0, b"")))
            assert isinstance(c.answer(), bytes)
            assert code == 35, code
            return f"code={code} keys={count} first={first}"
    check("api-versions-too-new", api_versions, 99)
    whole = request(wire.METADATA, 8, b"\0" * 8)
    for n in (1, 2, 3, 4, 6, 8, 9):
        raw(f"header-cut-at-{n}", "closed", frame(whole[:n]))
    expect("client-id-longer-than-frame", "closed", i16(3) + i16(8) + i32(7) + i16(30000) + b"x")
    expect("client-id-negative-length", "code=[]", i16(3) + i16(8) + i32(7) + i16(-5) + b"\0" * 20)
    expect("client-id-not-utf8", ("closed", "code=[0]"), request(wire.METADATA, 8, wire.array(string("bad")) + b"\0\0\0", client=b"\xff\xfe\xfa"))
    expect("flexible-header-too-many-tags", "closed", i16(3) + i16(12) + i32(7) + string("x") + b"\xff\xff\xff\xff\x07" + b"\0" * 20)


def bodies():
    samples = {"metadata": wire.metadata("bad"), "produce": wire.produce(batch()), "fetch": wire.fetch(), "list-offsets": wire.list_offsets(),
               "create-topics": wire.create_topics("bad-cut"), "delete-records": wire.delete_records()}
    for name, whole in samples.items():
        def cut(whole=whole):
            for n in range(13, len(whole)):
                got = wire.reaction(BOOTSTRAP, whole[:n], 5)
                assert got == "closed", f"cut at {n} of {len(whole)}: {got}"
        check(f"cut-anywhere-{name}", cut)
        def garbage(whole=whole):
            return wire.reaction(BOOTSTRAP, whole + b"\xde\xad\xbe\xef" * 4, 5)
        if name != "create-topics":
            check(f"trailing-garbage-{name}", garbage)
    huge = (1 << 31) - 1
    expect("array-too-long-metadata", "closed", request(wire.METADATA, 8, i32(huge) + b"\0" * 16))
    expect("array-negative-produce", "closed", request(wire.PRODUCE, 8, string(None) + i16(-1) + i32(5000) + i32(-2)))
    expect("array-too-long-produce", "closed", request(wire.PRODUCE, 8, string(None) + i16(-1) + i32(5000) + i32(huge)))
    expect("array-too-long-fetch", "closed", request(wire.FETCH, 11, i32(-1) + i32(0) + i32(0) + i32(1) + i8(0) + i32(0) + i32(-1) + i32(huge)))
    expect("records-longer-than-frame", "closed", request(wire.PRODUCE, 8, string(None) + i16(-1) + i32(5000)
           + wire.array(string("bad") + wire.array(i32(0) + i32(huge) + b"x"))))
    expect("string-longer-than-frame", "closed", request(wire.METADATA, 8, i32(1) + i16(32767) + b"abc"))
    expect("compact-array-too-long", "closed", request(wire.METADATA, 12, b"\xff\xff\xff\xff\x07" + b"\0" * 8, flexible=True))
    expect("varint-without-end", "closed", request(wire.METADATA, 12, b"\xff" * 12, flexible=True))


def records():
    good = batch()
    for name, want, data in (
        ("crc-wrong", 2, batch(crc=1)),
        ("magic-0", 87, wire.old_message(0)),
        ("magic-1", 87, wire.old_message(1)),
        ("magic-3", 2, batch(magic=3)),
        ("magic-negative", 2, batch(magic=-1)),
        ("batch-length-too-long", 87, batch(length=5000)),
        ("batch-length-too-short", 2, batch(length=10)),
        ("batch-length-negative", 2, batch(length=-1)),
        ("batch-cut", 87, good[:-3]),
        ("two-batches", 87, good + good),
        ("garbage-after-batch", 0, good + b"xyz"),
        ("empty", 87, b""),
        ("count-too-high", 87, batch(count=2)),
        ("count-too-low", 87, batch([record(0), record(1)], count=1)),
        ("count-zero", 87, batch([], count=0, last_delta=0)),
        ("count-negative", 87, batch(count=-5)),
        ("count-huge", 87, batch(count=(1 << 31) - 1)),
        ("last-offset-delta-wrong", 87, batch(last_delta=7)),
        ("last-offset-delta-negative", 87, batch(last_delta=-7)),
        ("record-offset-delta-wrong", 0, batch([record(5)])),
        ("record-length-too-long", 87, batch([record(length=1000)])),
        ("record-length-negative", 87, batch([record(length=-1)])),
        ("record-length-too-short", 87, batch([record(length=2)])),
        ("record-key-negative-length", 0, batch([record(body=b"\0" + varint(0) + varint(0) + varint(-3) + varint(-1) + varint(0))])),
        ("record-headers-negative", 87, batch([record(headers=-1)])),
        ("record-headers-missing", 87, batch([record(headers=3)])),
        ("codec-unknown", -1, batch(attributes=5)),
        ("codec-gzip-not-gzip", -1, batch(attributes=1, payload=b"not gzip at all", count=1)),
        ("codec-zstd-not-zstd", -1, batch(attributes=4, payload=b"not zstd at all", count=1)),
        ("codec-lz4-not-lz4", -1, batch(attributes=3, payload=b"not lz4 at all", count=1)),
        ("codec-snappy-not-snappy", -1, batch(attributes=2, payload=b"not snappy at all", count=1)),
        ("control-batch", 87, batch(attributes=32)),
        ("transactional-without-transaction", 53, batch(attributes=16, producer=7, epoch=0, sequence=0)),
        ("base-offset-not-zero", 87, batch(base_offset=100)),
        ("timestamp-far-future", 32, batch(first_ts=1 << 50)),
        ("timestamp-negative", 0, batch(first_ts=-5)),
        ("max-timestamp-wrong", 0, batch(max_ts=1_700_000_000_999)),
        ("producer-without-sequence", 87, batch(producer=7, epoch=0, sequence=-1)),
        ("producer-sequence-gap", 0, batch(producer=1 << 40, epoch=0, sequence=5)),
        ("too-large", 10, batch([record(value=b"x" * 1_100_000)])),
    ):
        expect(f"records-{name}", f"code={want}", wire.produce(data))
    expect("records-null", ("silent", "closed", "code=87"), wire.produce(None), 2)
    expect("records-acks-wrong", "code=21", wire.produce(good, acks=5))
    expect("records-acks-0-bad-crc", "closed", wire.produce(batch(crc=1), acks=0), 3)
    expect("records-topic-unknown", "code=3", wire.produce(good, topic="bad-unknown"))
    expect("records-topic-name-invalid", "code=3", wire.produce(good, topic="bad name!"))
    expect("records-topic-name-empty", "code=3", wire.produce(good, topic=""))
    expect("records-partition-unknown", "code=3", wire.produce(good, partition=99))
    expect("records-partition-negative", "code=3", wire.produce(good, partition=-1))


def bombs():
    for mib in (64, 256):
        size = mib << 20
        inner = b"\0" + varint(0) + varint(0) + varint(-1) + varint(size)
        payload = wire.gzip_zeros(varint(len(inner) + size + 1) + inner, size)[:]
        # The last zero byte of the run is the count of headers.
        def bomb(payload=payload):
            return wire.reaction(BOOTSTRAP, wire.produce(batch(attributes=1, payload=payload, count=1)), 60)
        check(f"bomb-one-record-{mib}-mib", bomb)
    if AGAINST == "kafka":
        print("n/a bomb-records-of-nothing Apache Kafka's heap overflows, and some of its threads end")
        return
    many = wire.gzip_zeros(b"", 128 << 20)
    expect("bomb-records-of-nothing", "code=87", wire.produce(batch(attributes=1, payload=many, count=100_000_000)), 60)


def requests():
    for name, want, payload in (
        ("fetch-offset-beyond", "top=0,partition=1", wire.fetch(offset=1 << 40)),
        ("fetch-offset-negative", "top=0,partition=1", wire.fetch(offset=-1)),
        ("fetch-topic-unknown", "top=0,partition=3", wire.fetch(topic="bad-unknown")),
        ("fetch-partition-unknown", "top=0,partition=3", wire.fetch(partition=99)),
        ("fetch-max-bytes-negative", "top=0,partition=-1", wire.fetch(max_bytes=-1, partition_bytes=-1)),
        ("fetch-session-unknown", "top=70", wire.fetch(session=12345, epoch=3)),
        ("fetch-session-epoch-wrong", "top=70", wire.fetch(session=12345, epoch=-7)),
        ("fetch-leader-epoch-future", "top=0,partition=75", wire.fetch(leader_epoch=99)),
        ("list-offsets-partition-unknown", "[3]", wire.list_offsets(partitions=((99, -1),))),
        ("list-offsets-twice", "[42]", wire.list_offsets(partitions=((0, -1), (0, -2)))),
        ("list-offsets-special-unknown", "[35]", wire.list_offsets(partitions=((0, -99),))),
        ("list-offsets-leader-epoch-future", "[75]", wire.list_offsets(leader_epoch=99)),
        ("metadata-name-invalid", "[17]", wire.metadata("bad name!")),
        ("metadata-name-empty", "[17]", wire.metadata("")),
        ("metadata-unknown", "[3]", wire.metadata("bad-unknown")),
        ("create-topics-twice", "[42]", wire.create_topics("bad-twice", "bad-twice")),
        ("create-topics-partitions-huge", "[44]", wire.create_topics("bad-huge", partitions=(1 << 31) - 1)),
        ("create-topics-partitions-negative", "[37]", wire.create_topics("bad-negative", partitions=-5)),
        ("create-topics-none", "[]", wire.create_topics()),
        ("delete-records-beyond", "1,low=-1", wire.delete_records(offset=1 << 40)),
        ("delete-records-negative", "1,low=-1", wire.delete_records(offset=-2)),
        ("delete-records-topic-unknown", "3,low=-1", wire.delete_records(topic="bad-unknown")),
    ):
        expect(name, f"code={want}", payload)


def noise():
    rng = random.Random(SEED)
    samples = [wire.metadata("bad"), wire.produce(batch()), wire.fetch(wait_ms=0), wire.list_offsets(), wire.delete_records(),
               request(wire.API_VERSIONS, 3, b"\x02a\x02b\0", flexible=True),
               request(wire.METADATA, 12, b"\x02" + bytes(16) + b"\x04bad\0" + b"\0\0\0", flexible=True)]
    def burst(make, count):
        for n in range(count):
            with Connection(BOOTSTRAP, 0.3) as c:
                c.send(make(rng))
                if n % 8 == 0:
                    c.answer()
        alive()
    def mutated(rng):
        data = bytearray(rng.choice(samples))
        for _ in range(rng.randint(1, 4)):
            at = rng.randrange(len(data))
            data[at] = rng.choice((0, 1, 0x7F, 0x80, 0xFF, rng.randrange(256)))
        return frame(bytes(data))
    def mutated_records(rng):
        data = bytearray(batch([record(n, bytes(20)) for n in range(3)]))
        at = rng.randrange(12, len(data))
        data[at] ^= 1 << rng.randrange(8)
        if rng.random() < 0.7:
            data[17:21] = wire.u32(crc32c(data[21:]))
        return frame(wire.produce(bytes(data)))
    check("noise-random-bytes", burst, lambda rng: rng.randbytes(rng.randint(1, 2000)), 150)
    check("noise-random-frames", burst, lambda rng: frame(rng.randbytes(rng.randint(1, 2000))), 150)
    check("noise-mutated-requests", burst, mutated, 400)
    check("noise-mutated-batches", burst, mutated_records, 200)


def crowds():
    def many_idle():
        held = [socket.create_connection(tuple(BOOTSTRAP.rsplit(":", 1)), 5) for _ in range(300)]
        try:
            alive()
        finally:
            for s in held:
                s.close()
    check("three-hundred-idle-connections", many_idle)
    def many_promises():
        # Each promises a frame of 100 MiB and sends little of it: memory must follow the bytes, not the promise.
        held = []
        for _ in range(40):
            s = socket.create_connection(tuple(BOOTSTRAP.rsplit(":", 1)), 5)
            s.sendall(i32(100 << 20) + b"x" * 1000)
            held.append(s)
        try:
            time.sleep(0.5)
            alive()
            if AGAINST == "monedula":
                assert rss_mib() - BEFORE < GROWTH_MIB, f"{rss_mib():.0f} MiB, before {BEFORE:.0f}"
        finally:
            for s in held:
                s.close()
    if AGAINST == "kafka":
        print("n/a forty-frames-promised Apache Kafka allocates what is promised, and its heap overflows")
    else:
        check("forty-frames-promised", many_promises)
    def never_reads():
        with Connection(BOOTSTRAP, 5) as c:
            # Answers pile up unread: the server must stop reading, not keep them all.
            c.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            c.socket.settimeout(0.5)
            try:
                for _ in range(20_000):
                    c.socket.sendall(frame(request(wire.API_VERSIONS, 0, b"")))
            except TimeoutError:
                pass
            alive()
            if AGAINST == "monedula":
                assert rss_mib() - BEFORE < GROWTH_MIB, f"{rss_mib():.0f} MiB, before {BEFORE:.0f}"
    check("client-that-never-reads", never_reads)


def memory():
    time.sleep(1)
    after = rss_mib()
    print(f"   resident memory: {BEFORE:.0f} MiB before, {after:.0f} MiB after", file=sys.stderr)
    if AGAINST == "monedula":
        assert after - BEFORE < GROWTH_MIB, f"{BEFORE:.0f} MiB before, {after:.0f} MiB after"


check("prepare", prepare)
BEFORE = rss_mib()
for section in (frames, headers, bodies, records, bombs, requests, noise, crowds):
    section()
    check(f"alive-after-{section.__name__}", alive)
check("memory", memory)
sys.exit(1 if failed else 0)

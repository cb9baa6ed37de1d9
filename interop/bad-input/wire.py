"""Just enough of the Kafka protocol to say wrong things in it: frames, older non-flexible requests, record batches."""

import pathlib
import socket
import struct
import sys
import zlib

sys.path.append(str(pathlib.Path(__file__).resolve().parent.parent))
from harness.batches import crc32c

PRODUCE, FETCH, LIST_OFFSETS, METADATA, API_VERSIONS, CREATE_TOPICS, DELETE_RECORDS = 0, 1, 2, 3, 18, 19, 21


def i8(n): return struct.pack(">b", n)
def i16(n): return struct.pack(">h", n)
def i32(n): return struct.pack(">i", n)
def i64(n): return struct.pack(">q", n)
def u32(n): return struct.pack(">I", n & 0xFFFFFFFF)


def string(text):
    if text is None:
        return i16(-1)
    raw = text if isinstance(text, bytes) else text.encode()
    return i16(len(raw)) + raw


def blob(raw):
    return i32(-1) if raw is None else i32(len(raw)) + raw


def array(*items):
    return i32(len(items)) + b"".join(items)


def varint(n):
    """Zigzag, as within records."""
    n = (n << 1) ^ (n >> 63)
    out = bytearray()
    while n & ~0x7F:
        out.append(n & 0x7F | 0x80)
        n >>= 7
    out.append(n)
    return bytes(out)


def request(key, version, body, correlation=7, client=b"bad", flexible=False):
    """A request without its length prefix. flexible adds the header's (empty) tagged fields."""
    return i16(key) + i16(version) + i32(correlation) + string(client) + (b"\0" if flexible else b"") + body


def frame(payload):
    return i32(len(payload)) + payload


# ---- record batches -----------------------------------------------------------------------------------------------------

def record(delta=0, value=b"v", key=None, ts_delta=0, headers=0, body=None, length=None):
    inner = body if body is not None else (
        b"\0" + varint(ts_delta) + varint(delta) + (varint(-1) if key is None else varint(len(key)) + key)
        + (varint(-1) if value is None else varint(len(value)) + value) + varint(headers))
    return varint(len(inner) if length is None else length) + inner


def batch(records=None, *, count=None, magic=2, attributes=0, base_offset=0, last_delta=None, first_ts=1_700_000_000_000,
          max_ts=None, producer=-1, epoch=-1, sequence=-1, crc=None, length=None, leader_epoch=-1, payload=None):
    """A batch of format v2; each field can be given wrong."""
    records = [record()] if records is None else records
    payload = b"".join(records) if payload is None else payload
    count = len(records) if count is None else count
    body = (i16(attributes) + i32(count - 1 if last_delta is None else last_delta) + i64(first_ts)
            + i64(first_ts if max_ts is None else max_ts) + i64(producer) + i16(epoch) + i32(sequence) + i32(count) + payload)
    tail = i32(leader_epoch) + i8(magic) + u32(crc32c(body) if crc is None else crc) + body
    return i64(base_offset) + i32(len(tail) if length is None else length) + tail


def old_message(magic, value=b"v", attributes=0):
    """A message of format v0 or v1."""
    body = i8(magic) + i8(attributes) + (i64(1_700_000_000_000) if magic else b"") + blob(None) + blob(value)
    message = u32(zlib.crc32(body)) + body
    return i64(0) + i32(len(message)) + message


def gzip_zeros(head, size):
    """gzip of head and then size zero bytes, without ever holding them."""
    z = zlib.compressobj(9, zlib.DEFLATED, 31)
    out = [z.compress(head)]
    chunk = bytes(1 << 20)
    for _ in range(size >> 20):
        out.append(z.compress(chunk))
    return b"".join(out) + z.flush()


# ---- requests -----------------------------------------------------------------------------------------------------------

def produce(records, topic="bad", partition=0, acks=-1, version=8, transactional=None):
    return request(PRODUCE, version, string(transactional) + i16(acks) + i32(5000)
                   + array(string(topic) + array(i32(partition) + blob(records))))


def fetch(topic="bad", partition=0, offset=0, session=0, epoch=-1, leader_epoch=-1, max_bytes=1 << 20, wait_ms=100, version=11,
          partition_bytes=1 << 20, min_bytes=0):
    return request(FETCH, version, i32(-1) + i32(wait_ms) + i32(min_bytes) + i32(max_bytes) + i8(0) + i32(session) + i32(epoch)
                   + array(string(topic) + array(i32(partition) + i32(leader_epoch) + i64(offset) + i64(-1) + i32(partition_bytes)))
                   + array() + string(""))


def list_offsets(topic="bad", partitions=((0, -1),), leader_epoch=-1, version=5):
    return request(LIST_OFFSETS, version, i32(-1) + i8(0) + array(string(topic) + array(
        *(i32(p) + i32(leader_epoch) + i64(ts) for p, ts in partitions))))


def metadata(*topics, create=False, version=8):
    return request(METADATA, version, array(*map(string, topics)) + i8(int(create)) + i8(0) + i8(0))


def create_topics(*names, partitions=1, replication=1, version=4, validate=False):
    return request(CREATE_TOPICS, version, array(*(string(n) + i32(partitions) + i16(replication) + array() + array() for n in names))
                   + i32(10_000) + i8(int(validate)))


def delete_records(topic="bad", partition=0, offset=0):
    return request(DELETE_RECORDS, 1, array(string(topic) + array(i32(partition) + i64(offset))) + i32(5000))


# ---- answers ------------------------------------------------------------------------------------------------------------

class Reader:
    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, fmt):
        (value,) = struct.unpack_from(">" + fmt, self.data, self.at)
        self.at += struct.calcsize(fmt)
        return value

    def string(self):
        n = self.take("h")
        self.at += max(n, 0)
        return None if n < 0 else self.data[self.at - n:self.at].decode()


def produce_code(r):
    assert r.take("i") == 1
    r.string()
    assert r.take("i") == 1
    r.take("i")
    return r.take("h")


def fetch_code(r):
    r.take("i")
    top, session = r.take("h"), r.take("i")
    if r.take("i") == 0:
        return f"top={top}"
    r.string()
    r.take("i")
    r.take("i")
    return f"top={top},partition={r.take('h')}"


def list_offsets_code(r):
    r.take("i")
    r.take("i")
    r.string()
    codes = []
    for _ in range(r.take("i")):
        partition, code = r.take("i"), r.take("h")
        r.take("q"), r.take("q"), r.take("i")
        codes.append(code)
    return codes


def metadata_code(r):
    r.take("i")
    for _ in range(r.take("i")):
        r.take("i"), r.string(), r.take("i"), r.string()
    r.string(), r.take("i")
    return [r.take("h")] if r.take("i") else []


def create_code(r):
    r.take("i")
    out = []
    for _ in range(r.take("i")):
        r.string()
        out.append(r.take("h"))
        r.string()
    return sorted(out)


def delete_records_code(r):
    r.take("i"), r.take("i"), r.string(), r.take("i"), r.take("i")
    low = r.take("q")
    return f"{r.take('h')},low={low}"


CODES = {PRODUCE: produce_code, FETCH: fetch_code, LIST_OFFSETS: list_offsets_code, METADATA: metadata_code,
         CREATE_TOPICS: create_code, DELETE_RECORDS: delete_records_code}


# ---- the connection -----------------------------------------------------------------------------------------------------

class Connection:
    def __init__(self, bootstrap, timeout_s=10):
        host, port = bootstrap.rsplit(":", 1)
        self.socket = socket.create_connection((host, int(port)), timeout_s)
        self.socket.settimeout(timeout_s)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def send(self, data):
        try:
            self.socket.sendall(data)
        except OSError:
            pass  # closed already: what comes back says so

    def exactly(self, n):
        out = b""
        while len(out) < n:
            part = self.socket.recv(n - len(out))
            if not part:
                return None
            out += part
        return out

    def answer(self):
        """The next answer's payload, 'closed', or 'silent' when nothing came in time."""
        try:
            head = self.exactly(4)
            if head is None:
                return "closed"
            body = self.exactly(struct.unpack(">i", head)[0])
            return "closed" if body is None else body
        except TimeoutError:
            return "silent"
        except OSError:
            return "closed"


def reaction(bootstrap, payload, timeout_s=10):
    """Sends one request on a new connection: 'closed', 'silent', or the error code of the answer."""
    with Connection(bootstrap, timeout_s) as c:
        c.send(frame(payload))
        got = c.answer()
        if isinstance(got, str):
            return got
        key = struct.unpack(">h", payload[:2])[0]
        r = Reader(got)
        r.take("i")
        return f"code={CODES[key](r)}" if key in CODES else f"answer of {len(got)} bytes"

"""Clients at a steady pace, each a function for a process of its own; their times are of the clock that all processes share."""

import os
import struct
import time

import wire

# Records a second of one producer, and the bytes of one.
RATE, SIZE = 250, 100
WAIT_MS = 500
# What Java's consumer asks of a partition.
FETCH_BYTES = 1 << 20
STAMP = struct.Struct(">q")


def percentiles(values):
    """p99 and p999."""
    ordered = sorted(values)
    if len(ordered) < 1000:
        raise ValueError(f"only {len(ordered)} samples")
    return [(name, ordered[len(ordered) - 1 - len(ordered) // part]) for name, part in (("p99", 100), ("p999", 1000))]


def produce(port, topic, partitions, until):
    """When each record was due, and microseconds until it was acknowledged."""
    client, taken, turn = wire.Client(port), [], 0
    due = time.monotonic()
    while due < until:
        time.sleep(max(0, due - time.monotonic()))
        # Who overslept was not kept waiting by the server, but who waits for an answer is late with the next.
        begin = time.monotonic() if not taken or taken[-1][0] + taken[-1][1] / 1e6 < due else due
        stamp = STAMP.pack(int(begin * 1e6))
        client.produce(topic, turn % partitions, wire.batch(stamp + bytes(SIZE - len(stamp))))
        taken.append((begin, (time.monotonic() - begin) * 1e6))
        turn, due = turn + 1, due + 1 / RATE
    return taken


def parts(answer, topic):
    """Partition, high watermark and records (a view) of a fetch of one topic."""
    error, _, topics = struct.unpack_from(">hii", answer, 4)
    if error or topics == 0:
        if error:
            raise OSError(f"Fetch: error {error}")
        return
    at = 14 + 2 + len(topic)
    count, at = struct.unpack_from(">i", answer, at)[0], at + 4
    for _ in range(count):
        partition, error, high_watermark = struct.unpack_from(">ihq", answer, at)
        if error:
            raise OSError(f"Fetch: error {error} of {topic}-{partition}")
        aborted, = struct.unpack_from(">i", answer, at + 30)
        at += 34 + 16 * max(aborted, 0) + 4
        size, = struct.unpack_from(">i", answer, at)
        yield partition, high_watermark, answer[at + 4:at + 4 + max(size, 0)]
        at += 4 + max(size, 0)


def batches(records):
    """The next offset and the end of each batch that is there whole."""
    at = 0
    while at + 61 <= len(records):
        base, size = struct.unpack_from(">qi", records, at)
        if at + 12 + size > len(records):
            return
        at += 12 + size
        yield base + struct.unpack_from(">i", records, at - size - 12 + 23)[0] + 1, at


def end(client, topic, partition):
    """Where a partition ends now."""
    body = wire.fetch_body(0, -1, [(topic, [(partition, 0)])], 0, 1)
    return next(parts(client.ask(wire.FETCH, body), topic))[1]


def is_served(client, topic, partitions):
    try:
        return all(end(client, topic, partition) >= 0 for partition in range(partitions))
    except OSError:
        return False


def tail(port, topic, ends, until):
    """When each record was sent, and microseconds until it came here."""
    client, taken, places = wire.Client(port), [], dict(enumerate(ends))
    while time.monotonic() < until:
        answer = client.ask(wire.FETCH, wire.fetch_body(0, -1, [(topic, places.items())], WAIT_MS, FETCH_BYTES))
        now = time.monotonic()
        for partition, _, records in parts(answer, topic):
            for following, stop in batches(records):
                if following != places[partition] + 1:
                    raise OSError(f"{topic}-{partition}: {following - 1} comes after {places[partition] - 1}")
                sent = STAMP.unpack_from(records, stop - 1 - SIZE)[0] / 1e6
                taken.append((sent, (now - sent) * 1e6))
                places[partition] = following
    return taken


class Old:
    """What is in a log's files now, which can be dropped from memory."""

    def __init__(self, log):
        self.files = [(path, path.stat().st_size) for path in sorted(log.glob("*.log"))]
        for path, _ in self.files:
            with open(path, "rb") as file:
                os.fsync(file.fileno())

    def drop(self):
        for path, size in self.files:
            with open(path, "rb") as file:
                # The last page is in use.
                os.posix_fadvise(file.fileno(), 0, max(size - 4096, 0), os.POSIX_FADV_DONTNEED)


def catch_up(port, topic, partition, last, old, begin, until):
    """Reads a partition from its start as fast as it goes, again and again from the disk: when how many bytes came."""
    # In life it computes on another machine.
    os.nice(19)
    client, taken, at, buffer = wire.Client(port), [], 0, bytearray(2 * FETCH_BYTES)
    old.drop()
    time.sleep(max(0, begin - time.monotonic()))
    while time.monotonic() < until:
        client.socket.sendall(wire.frame(wire.FETCH, wire.fetch_body(0, -1, [(topic, [(partition, at)])], WAIT_MS, FETCH_BYTES)))
        _, _, records = next(parts(client.answer(buffer), topic))
        came = at
        for at, _ in batches(records):
            pass
        if at == came:
            raise OSError(f"{topic}-{partition}: nothing at {at}")
        taken.append((time.monotonic(), len(records)))
        if at >= last:
            old.drop()
            at = 0
    return taken

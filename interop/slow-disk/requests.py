"""Clients of a few requests, spoken directly, which measure how long each answer takes; and those that keep a slow disk busy."""

import collections
import socket
import struct
import threading
import time

from harness.batches import batch, string

PRODUCE, FETCH, METADATA, FIND, JOIN, HEARTBEAT, SYNC = (0, 7), (1, 11), (3, 5), (10, 1), (11, 2), (12, 1), (14, 1)
EMPTY_MEMBER, GROUP_ERRORS = "", {22, 25, 27}


class Client:
    """One connection; a request and its answer at a time."""

    def __init__(self, port, timeout_s=120):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout_s)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def ask(self, api, body):
        """The answer's bytes behind its correlation id."""
        payload = struct.pack(">hhi", *api, 1) + string("slow-disk") + body
        self.socket.sendall(struct.pack(">i", len(payload)) + payload)
        head = self.receive(4)
        return self.receive(struct.unpack(">i", head)[0])[4:]

    def receive(self, count):
        data = bytearray()
        while len(data) < count:
            part = self.socket.recv(count - len(data))
            if not part:
                raise ConnectionError("the server closed the connection")
            data += part
        return bytes(data)

    def produce(self, topic, partition, records, acks=-1):
        """Error and base offset."""
        body = struct.pack(">hhii", -1, acks, 120_000, 1) + string(topic) + struct.pack(">iii", 1, partition, len(records)) + records
        answer = self.ask(PRODUCE, body)
        return struct.unpack_from(">hq", answer, 4 + 2 + len(topic) + 4 + 4)

    def fetch(self, topic, partition, offset, wait_ms, bytes_max=1 << 20):
        """Error, high watermark, first offset and bytes of the records."""
        body = struct.pack(">iiiibii", -1, wait_ms, 1, 50 << 20, 0, 0, -1) + struct.pack(">i", 1) + string(topic) + struct.pack(">i", 1)
        body += struct.pack(">iiqqi", partition, -1, offset, 1, bytes_max) + struct.pack(">i", 0) + string("")
        answer, at = self.ask(FETCH, body), 4 + 2 + 4 + 4 + 2 + len(topic) + 4 + 4
        error, high_watermark = struct.unpack_from(">hq", answer, at)
        at += 2 + 8 + 8 + 8
        aborted, = struct.unpack_from(">i", answer, at)
        at += 4 + 16 * max(aborted, 0) + 4
        records = answer[at + 4:]
        return error, high_watermark, struct.unpack_from(">q", records)[0] if records else None, records

    def fetch_several(self, topic, places, wait_ms):
        """Error, high watermark and first offset of each of these partitions, which are asked from an offset on."""
        body = struct.pack(">iiiibii", -1, wait_ms, 1, 50 << 20, 0, 0, -1) + struct.pack(">i", 1) + string(topic) + struct.pack(">i", len(places))
        body += b"".join(struct.pack(">iiqqi", partition, -1, offset, 1, 1 << 20) for partition, offset in places)
        answer, at, found = self.ask(FETCH, body + struct.pack(">i", 0) + string("")), 4 + 2 + 4 + 4 + 2 + len(topic) + 4, {}
        for _ in places:
            partition, error, high_watermark = struct.unpack_from(">ihq", answer, at)
            aborted, = struct.unpack_from(">i", answer, at + 30)
            at += 38 + 16 * max(aborted, 0)
            size, = struct.unpack_from(">i", answer, at)
            at += 4
            found[partition] = error, high_watermark, struct.unpack_from(">q", answer, at)[0] if size > 0 else None
            at += max(size, 0)
        return found

    def leader(self, topic):
        """The least leader of its partitions: -1 when one has none."""
        answer = self.ask(METADATA, struct.pack(">i", 1) + string(topic) + b"\0")
        brokers, at = struct.unpack_from(">i", answer, 4)[0], 8
        for _ in range(brokers):
            at += 4
            at += 2 + struct.unpack_from(">h", answer, at)[0] + 4
            at += 2 + max(struct.unpack_from(">h", answer, at)[0], 0)
        at += 2 + max(struct.unpack_from(">h", answer, at)[0], 0) + 4 + 4 + 2 + 2 + len(topic) + 1
        count, at, leaders = struct.unpack_from(">i", answer, at)[0], at + 4, []
        for _ in range(count):
            leaders.append(struct.unpack_from(">i", answer, at + 6)[0])
            at += 10
            for _ in range(3):
                at += 4 + 4 * struct.unpack_from(">i", answer, at)[0]
        return min(leaders)

    def coordinator(self, group):
        return struct.unpack_from(">h", self.ask(FIND, string(group) + b"\0"), 4)[0]

    def join(self, group):
        body = string(group) + struct.pack(">ii", 10_000, 10_000) + string("") + string("consumer") + struct.pack(">i", 1) + string("range")
        answer = self.ask(JOIN, body + struct.pack(">i", 0))
        error, generation = struct.unpack_from(">hi", answer, 4)
        if error:
            raise OSError(f"JoinGroup: error {error}")
        at = 10
        for _ in range(2):
            at += 2 + struct.unpack_from(">h", answer, at)[0]
        length, = struct.unpack_from(">h", answer, at)
        member = answer[at + 2:at + 2 + length].decode()
        body = string(group) + struct.pack(">i", generation) + string(member) + struct.pack(">i", 1) + string(member) + struct.pack(">i", 0)
        error, = struct.unpack_from(">h", self.ask(SYNC, body), 4)
        if error:
            raise OSError(f"SyncGroup: error {error}")
        return generation, member

    def heartbeat(self, group, generation, member):
        return struct.unpack_from(">h", self.ask(HEARTBEAT, string(group) + struct.pack(">i", generation) + string(member)), 4)[0]


class Figures:
    """Milliseconds by what was measured, and what went wrong."""

    def __init__(self):
        self.taken, self.errors, self.lock = collections.defaultdict(list), collections.Counter(), threading.Lock()

    def add(self, name, seconds):
        with self.lock:
            self.taken[name].append(seconds * 1000)

    def wrong(self, what):
        with self.lock:
            self.errors[what] += 1

    def take(self):
        with self.lock:
            taken, self.taken = self.taken, collections.defaultdict(list)
            errors, self.errors = self.errors, collections.Counter()
        figures = {}
        for name, ms in sorted(taken.items()):
            ms.sort()
            figures[name] = {"count": len(ms), "p50": ms[len(ms) // 2], "p99": ms[len(ms) - 1 - len(ms) // 100], "max": ms[-1]}
        return figures, dict(errors)


class Probes:
    """Who has nothing to do with the slow directory: a producer, a consumer at the end of its log, a member of a group, and metadata; and a consumer that
    asks for partitions of both directories in one fetch."""

    def __init__(self, port, topic, partitions, slow, group):
        self.port, self.topic, self.partitions, self.slow, self.group = port, topic, partitions, slow, group
        self.figures, self.stopped, self.sent, self.threads = Figures(), threading.Event(), {}, []

    def start(self):
        client = Client(self.port)
        end = client.fetch(self.topic, self.partitions[0], 0, 0)[1]
        for probe in (lambda: self.produce(end), lambda: self.tail(end), lambda: self.both(end), self.heartbeats, self.metadata):
            thread = threading.Thread(target=self.guarded, args=(probe,), daemon=True)
            thread.start()
            self.threads.append(thread)
        return self

    def stop(self):
        self.stopped.set()
        for thread in self.threads:
            thread.join(30)

    def guarded(self, probe):
        try:
            probe()
        except Exception as error:
            self.figures.wrong(f"{type(error).__name__}: {error}")

    def timed(self, name, call, every_s):
        while not self.stopped.wait(every_s):
            begin = time.monotonic()
            call()
            self.figures.add(name, time.monotonic() - begin)

    def produce(self, end):
        client, records, place = Client(self.port), batch(b"x" * 1000), {"next": end, "turn": 0}
        def one():
            # Most go to the partition whose end is watched, the others to all.
            place["turn"] += 1
            watched = place["turn"] % 4 != 0
            partition = self.partitions[0] if watched else self.partitions[place["turn"] // 4 % (len(self.partitions) - 1) + 1]
            if watched:
                self.sent[place["next"]] = time.monotonic()
                place["next"] += 1
            error, _ = client.produce(self.topic, partition, records)
            if error:
                self.figures.wrong(f"produce error {error}")
        self.timed("produce", one, 0.01)

    def tail(self, at):
        client = Client(self.port)
        while not self.stopped.is_set():
            error, _, first, _ = client.fetch(self.topic, self.partitions[0], at, 500)
            now = time.monotonic()
            if error:
                self.figures.wrong(f"fetch error {error}")
            elif first is not None:
                if at in self.sent:
                    self.figures.add("tail", now - self.sent[at])
                at = first + 1

    def both(self, at):
        """What comes from the quick directory while the same fetches ask for the ends of the slow one's partitions."""
        client, watched = Client(self.port), self.partitions[0]
        ends = {partition: client.fetch(self.topic, partition, 0, 0, 1)[1] for partition in self.slow}
        while not self.stopped.is_set():
            found = client.fetch_several(self.topic, [(watched, at), *ends.items()], 500)
            now = time.monotonic()
            for partition, (error, high_watermark, first) in found.items():
                if error:
                    self.figures.wrong(f"fetch error {error}")
                elif partition != watched:
                    ends[partition] = high_watermark
                elif first is not None:
                    if at in self.sent:
                        self.figures.add("both", now - self.sent[at])
                    at = first + 1

    def heartbeats(self):
        client = Client(self.port)
        generation, member = client.join(self.group)
        def one():
            error = client.heartbeat(self.group, generation, member)
            if error:
                self.figures.wrong(f"heartbeat error {error}")
        self.timed("heartbeat", one, 0.05)

    def metadata(self):
        client = Client(self.port)
        def one():
            if client.leader(self.topic) < 0:
                self.figures.wrong("a partition without leader")
        self.timed("metadata", one, 0.05)


class Load:
    """Who writes to the slow directory and reads from it, as fast as it goes."""

    def __init__(self, port, topic, partitions, writers, readers, size):
        self.port, self.topic, self.partitions = port, topic, partitions
        self.stopped, self.records, self.written, self.read, self.threads = threading.Event(), batch(b"x" * size), 0, 0, []
        self.slowest = 0
        for n in range(writers):
            self.threads.append(threading.Thread(target=self.guarded, args=(self.write, partitions[n % len(partitions)]), daemon=True))
        for n in range(readers):
            self.threads.append(threading.Thread(target=self.guarded, args=(self.fetch, partitions[n % len(partitions)]), daemon=True))

    def start(self):
        for thread in self.threads:
            thread.start()
        return self

    def stop(self):
        self.stopped.set()

    def guarded(self, work, partition):
        try:
            work(partition)
        except OSError:
            # Nothing is asked of the slow ones but that they are many.
            pass

    def write(self, partition):
        client = Client(self.port, 600)
        while not self.stopped.is_set():
            begin = time.monotonic()
            client.produce(self.topic, partition, self.records, acks=1)
            self.slowest = max(self.slowest, time.monotonic() - begin)
            self.written += len(self.records)

    def fetch(self, partition):
        client, at = Client(self.port, 600), 0
        while not self.stopped.is_set():
            _, _, first, records = client.fetch(self.topic, partition, at, 500)
            self.read += len(records)
            at = at + 1 if first is not None else 0

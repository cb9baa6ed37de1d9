"""The few requests that the measurements of many partitions need, spoken directly: a client's own cost and batching stay out of them."""

import selectors
import socket
import struct
import time

from harness.batches import batch, string

CREATE_TOPICS, DELETE_TOPICS, FETCH, METADATA, PRODUCE = (19, 4), (20, 3), (1, 11), (3, 5), (0, 7)
NOT_LEADER_OR_FOLLOWER = 6
LED_LIMIT_S = 60


def frame(api, body, correlation=1):
    payload = struct.pack(">hhi", *api, correlation) + string("bench") + body
    return struct.pack(">i", len(payload)) + payload


class Client:
    """One connection; a request and its answer at a time."""

    def __init__(self, port, timeout_s=600):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout_s)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def ask(self, api, body):
        """The answer's bytes behind its header."""
        self.socket.sendall(frame(api, body))
        return self.answer()

    def answer(self, buffer=None):
        """The part of the buffer, or of a new one, behind the header."""
        length = self.length()
        return self.fill(memoryview(bytearray(length) if buffer is None else buffer)[:length])[4:]

    def length(self):
        return struct.unpack(">i", self.fill(memoryview(bytearray(4))))[0]

    def fill(self, part):
        got = 0
        while got < len(part):
            count = self.socket.recv_into(part[got:])
            if count == 0:
                raise ConnectionError("the server closed the connection")
            got += count
        return part

    def produce(self, topic, partition, records):
        """One batch with acks=all."""
        body = struct.pack(">hhii", -1, -1, 60_000, 1) + string(topic) + struct.pack(">iii", 1, partition, len(records)) + records
        code, = struct.unpack_from(">h", self.ask(PRODUCE, body), 4 + 2 + len(topic) + 4 + 4)
        if code != 0:
            raise RuntimeError(f"producing to {topic}-{partition}: error {code}")

    def create_topic(self, name, partitions, replicas=1):
        body = struct.pack(">i", 1) + string(name) + struct.pack(">ihii", partitions, replicas, 0, 0) + struct.pack(">i?", 300_000, False)
        answer = self.ask(CREATE_TOPICS, body)
        at = 8 + 2 + len(name)
        code = struct.unpack_from(">h", answer, at)[0]
        if code != 0:
            raise RuntimeError(f"creating {name}: error {code}")

    def delete_topics(self, names):
        body = struct.pack(">i", len(names)) + b"".join(map(string, names)) + struct.pack(">i", 300_000)
        answer, at = self.ask(DELETE_TOPICS, body), 8
        for _ in names:
            at += 2 + struct.unpack_from(">h", answer, at)[0]
            code, at = struct.unpack_from(">h", answer, at)[0], at + 2
            if code != 0:
                raise RuntimeError(f"deleting topics: error {code}")

    def produce_to_all(self, name, partitions, records):
        """The same batch to every partition of a topic, in one request; acks=1. Kafka tells clients of leaders that do not know of
        it themselves yet: those are asked again."""
        left, end = range(partitions), time.monotonic() + LED_LIMIT_S
        while left:
            body = struct.pack(">hhii", -1, 1, 60_000, 1) + string(name) + struct.pack(">i", len(left))
            body += b"".join(struct.pack(">ii", p, len(records)) + records for p in left)
            answer, at, again = self.ask(PRODUCE, body), 4 + 2 + len(name) + 4, []
            for _ in left:
                partition, code = struct.unpack_from(">ih", answer, at)
                if code == NOT_LEADER_OR_FOLLOWER and time.monotonic() < end:
                    again.append(partition)
                elif code != 0:
                    raise RuntimeError(f"producing to {name}-{partition}: error {code}")
                at += 4 + 2 + 8 + 8 + 8
            left = again
            if left:
                time.sleep(0.02)

    def led_partitions(self, name):
        """How many partitions of a topic have a leader."""
        answer = self.ask(METADATA, struct.pack(">i", 1) + string(name) + b"\0")
        at = 4  # throttle time
        brokers, at = struct.unpack_from(">i", answer, at)[0], at + 4
        for _ in range(brokers):
            at += 4
            at += 2 + struct.unpack_from(">h", answer, at)[0] + 4
            at += 2 + max(struct.unpack_from(">h", answer, at)[0], 0)
        at += 2 + max(struct.unpack_from(">h", answer, at)[0], 0) + 4 + 4  # cluster id, controller, count of topics
        at += 2
        at += 2 + struct.unpack_from(">h", answer, at)[0] + 1
        count, at = struct.unpack_from(">i", answer, at)[0], at + 4
        led = 0
        for _ in range(count):
            error, _, leader = struct.unpack_from(">hii", answer, at)
            led += error == 0 and leader >= 0
            at += 10
            for _ in range(3):
                at += 4 + 4 * struct.unpack_from(">i", answer, at)[0]
        return led


def fetch_body(session, epoch, topics, wait_ms, bytes_max=1 << 20):
    """`topics`: names, each with partitions and offsets."""
    body = struct.pack(">iiiibii", -1, wait_ms, 1, 50 << 20, 0, session, epoch) + struct.pack(">i", len(topics))
    for name, places in topics:
        body += string(name) + struct.pack(">i", len(places))
        body += b"".join(struct.pack(">iiqqi", partition, -1, offset, -1, bytes_max) for partition, offset in places)
    return body + struct.pack(">i", 0) + string("")


class Consumers:
    """Consumers that wait for records which never come, as idle ones do: incremental fetch sessions, long polls without a pause."""

    def __init__(self, port, assignments, wait_ms=500):
        self.wait_ms, self.answers = wait_ms, 0
        self.selector = selectors.DefaultSelector()
        for topics in assignments:
            client = Client(port)
            places = [(name, [(partition, 0) for partition in partitions]) for name, partitions in topics]
            answer = client.ask(FETCH, fetch_body(0, 0, places, 0))
            error, session = struct.unpack_from(">hi", answer, 4)
            if error != 0 or session == 0:
                raise RuntimeError(f"no fetch session: error {error}")
            state = {"client": client, "session": session, "epoch": 0}
            self.selector.register(client.socket, selectors.EVENT_READ, state)
            self.poll(state)

    def poll(self, state):
        state["epoch"] += 1
        state["client"].socket.sendall(frame(FETCH, fetch_body(state["session"], state["epoch"], [], self.wait_ms)))

    def run(self, seconds):
        """Keeps them waiting for so long; returns the answers per second."""
        end, before, begin = time.monotonic() + seconds, self.answers, time.monotonic()
        while time.monotonic() < end:
            for key, _ in self.selector.select(0.1):
                answer = key.data["client"].answer()
                error = struct.unpack_from(">h", answer, 4)[0]
                if error != 0:
                    raise RuntimeError(f"fetch: error {error}")
                self.answers += 1
                self.poll(key.data)
        return (self.answers - before) / (time.monotonic() - begin)

    def close(self):
        for key in list(self.selector.get_map().values()):
            key.fileobj.close()

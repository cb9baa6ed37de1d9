"""What goes on beside the members: a producer to topics that come and go, and an observer of committed offsets."""

import collections
import itertools
import threading
import time

import confluent_kafka as ck
from confluent_kafka import admin as ca

from ask import Connection
from faults import OBSERVER
from proxy import now_ms

LIMIT_S = 60


class Topics:
    """The topics that there are; the producer writes to them, the churn makes and deletes them."""

    def __init__(self, bootstrap):
        self.admin = ca.AdminClient({"bootstrap.servers": bootstrap, "client.id": "admin"})
        self.lock, self.partitions, self.deleted, self.made = threading.Lock(), {}, {}, 0

    def one(self, futures):
        for future in futures.values():
            future.result(LIMIT_S)

    def create(self, topic, partitions):
        self.one(self.admin.create_topics([ca.NewTopic(topic, partitions, 1)], operation_timeout=LIMIT_S))
        with self.lock:
            self.partitions[topic] = partitions

    def visible(self):
        """All topics are in the metadata, with leaders."""
        found = self.admin.list_topics(timeout=LIMIT_S).topics
        return all(topic in found and all(p.leader >= 0 for p in found[topic].partitions.values())
                   and len(found[topic].partitions) == count for topic, count in self.partitions.items())

    def grow(self, topic):
        self.one(self.admin.create_partitions([ca.NewPartitions(topic, self.partitions[topic] + 1)], operation_timeout=LIMIT_S))
        with self.lock:
            self.partitions[topic] += 1

    def delete(self, topic, producer):
        with self.lock:
            del self.partitions[topic]
        producer.rest(topic)
        self.deleted[topic] = now_ms()
        self.one(self.admin.delete_topics([topic], operation_timeout=LIMIT_S))


class Producer:
    """Writes to every partition of every topic in turn, and keeps the offsets that were acknowledged."""

    def __init__(self, bootstrap, topics, per_s):
        self.topics, self.per_s, self.stopping = topics, per_s, False
        self.producer = ck.Producer({"bootstrap.servers": bootstrap, "client.id": "producer", "enable.idempotence": True, "linger.ms": 5,
                                     "topic.metadata.refresh.interval.ms": 500, "message.timeout.ms": 30_000})
        self.acked, self.waiting, self.errors = collections.defaultdict(list), collections.Counter(), []
        self.unknown = 0
        self.thread = threading.Thread(target=self.run, daemon=True)

    def start(self):
        self.thread.start()
        return self

    def run(self):
        for n in itertools.count():
            with self.topics.lock:
                targets = [(topic, p) for topic, count in self.topics.partitions.items() for p in range(count)]
                if self.stopping:
                    break
                for topic, partition in targets:
                    self.send(topic, partition, f"value {n}".encode() * 8)
            self.producer.poll(0)
            time.sleep(len(targets) / self.per_s)
        self.producer.flush(LIMIT_S)

    def send(self, topic, partition, value):
        try:
            self.producer.produce(topic, value, partition=partition, on_delivery=self.delivered)
            self.waiting[topic] += 1
        except ck.KafkaException as error:
            # What was just made may not be in the producer's metadata yet.
            if error.args[0].code() not in (ck.KafkaError._UNKNOWN_TOPIC, ck.KafkaError._UNKNOWN_PARTITION):
                self.errors.append(f"{topic}-{partition}: {error.args[0].name()}")

    def delivered(self, error, message):
        self.waiting[message.topic()] -= 1
        if error is None and message.offset() is None:
            # A repeated batch that the server had already: acknowledged without saying where it is.
            self.unknown += 1
        elif error is None:
            self.acked[message.topic(), message.partition()].append(message.offset())
        elif message.topic() not in self.topics.deleted:
            self.errors.append(f"{message.topic()}-{message.partition()}: {error.name()}")

    def rest(self, topic):
        """Waits until nothing to this topic is on its way."""
        end = time.monotonic() + LIMIT_S
        while self.waiting[topic] and time.monotonic() < end:
            time.sleep(0.01)

    def stop(self):
        self.stopping = True
        self.thread.join(LIMIT_S + 5)

    def produced(self):
        """(topic, partition) → ranges of acknowledged offsets, of topics that still exist."""
        return {key: [(offset, offset) for offset in offsets] for key, offsets in self.acked.items() if key[0] in self.topics.partitions}


class Observer:
    """Fetches all groups' committed offsets again and again; the proxy writes the answers down."""

    def __init__(self, port, groups, every_s=0.25):
        self.groups, self.every_s, self.stopping, self.fetched, self.errors = groups, every_s, False, 0, collections.Counter()
        self.connection = Connection(port, OBSERVER)
        self.thread = threading.Thread(target=self.run, daemon=True)

    def start(self):
        self.thread.start()
        return self

    def run(self):
        while not self.stopping:
            for group in self.groups:
                try:
                    error = self.connection.committed(group)
                except OSError as broken:
                    error = type(broken).__name__
                self.fetched += not error
                if error:
                    self.errors[error] += 1
            time.sleep(self.every_s)

    def stop(self):
        self.stopping = True
        self.thread.join(LIMIT_S)

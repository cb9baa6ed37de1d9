"""Clients that write while a server dies again and again, and remember what was acknowledged.

Plain values by idempotent producers, transactions, and keys of a compacted topic; each client goes on with the next server.
"""

import random
import threading
import time

from confluent_kafka import KafkaException, Producer

PLAIN, TRANSACTIONAL, COMPACTED = "crash-plain", "crash-txn", "crash-compact"
PARTITIONS = 3
KEYS = 20
PADDING = "x" * 200


class Load:
    def __init__(self, bootstrap, seed, writers=3):
        self.bootstrap, self.seed = bootstrap, seed
        self.lock = threading.Lock()
        # (topic, partition, offset) -> value; key -> (offset, value) by partition.
        self.acked, self.latest, self.failures = {}, {}, []
        self.ended, self.paused = threading.Event(), threading.Event()
        jobs = [self.plain] * writers + [self.transactions, self.keys]
        self.threads = [threading.Thread(target=self.run, args=(job, n), daemon=True) for n, job in enumerate(jobs)]

    def start(self):
        for thread in self.threads:
            thread.start()

    def stop(self):
        self.ended.set()
        for thread in self.threads:
            thread.join(40)

    def going_on(self):
        while self.paused.is_set() and not self.ended.is_set():
            time.sleep(0.05)
        return not self.ended.is_set()

    def run(self, job, number):
        try:
            job(number, random.Random(self.seed * 100 + number))
        except Exception as error:
            self.failures.append(f"{job.__name__}: {error}")

    def producer(self, **config):
        return Producer({"bootstrap.servers": self.bootstrap, "enable.idempotence": True, "linger.ms": 2, "log_level": 0,
                         "reconnect.backoff.max.ms": 200, "retry.backoff.ms": 50, "message.timeout.ms": 60000,
                         **{key.replace("_", "."): value for key, value in config.items()}})

    def note(self, error, message):
        if error is None:
            where = message.topic(), message.partition(), message.offset()
            with self.lock:
                self.acked[where] = message.value().decode()

    def note_key(self, error, message):
        if error is None:
            where = message.partition(), message.key().decode()
            with self.lock:
                if self.latest.get(where, (-1, ""))[0] < message.offset():
                    self.latest[where] = message.offset(), message.value().decode()

    def plain(self, number, rng):
        producer = self.producer(compression_type=rng.choice(["none", "lz4", "zstd"]))
        n = 0
        while self.going_on():
            producer.produce(PLAIN, f"{number}-{n}:{PADDING}", partition=rng.randrange(PARTITIONS), on_delivery=self.note)
            n += 1
            producer.poll(0)
            self.ended.wait(0.002)
        producer.flush(40)

    def keys(self, number, rng):
        producer = self.producer()
        n = 0
        while not self.ended.is_set():
            key = f"k{rng.randrange(KEYS)}"
            producer.produce(COMPACTED, f"{number}-{n}:{PADDING}", key, partition=0, on_delivery=self.note_key)
            n += 1
            producer.poll(0)
            self.ended.wait(0.003)
        producer.flush(40)

    def transactions(self, number, rng):
        producer, n = None, 0
        while self.going_on():
            values = [f"{number}-{n + i}:{PADDING}" for i in range(rng.randrange(1, 12))]
            n += len(values)
            told = {}

            def note(error, message, told=told):
                if error is None:
                    told[(message.topic(), message.partition(), message.offset())] = message.value().decode()
            try:
                if producer is None:
                    producer = self.producer(transactional_id="crash", transaction_timeout_ms=60000)
                    producer.init_transactions(30)
                producer.begin_transaction()
                for value in values:
                    producer.produce(TRANSACTIONAL, value, partition=rng.randrange(PARTITIONS), on_delivery=note)
                if rng.random() < 0.3:
                    producer.abort_transaction(30)
                else:
                    producer.commit_transaction(30)
                    with self.lock:
                        self.acked.update(told)
            except KafkaException:
                # Whether it was committed is not known; a new producer ends what is open.
                producer = None
                self.ended.wait(0.2)

"""librdkafka copies a topic in transactions: copier.py BOOTSTRAP GROUP TRANSACTIONAL_ID INPUT OUTPUT MODE.

A member of GROUP; what it reads goes to the same partition of OUTPUT, with the offsets in one transaction, now and then aborted on purpose.
MODE is `exactly-once`, or what breaks it: `uncommitted` reads what others have not committed, `plain` uses no transactions. Writes what
happens as JSON lines; ends with 3 when another one with its id has taken over, with 0 on SIGTERM. librdkafka 2.16.1 may never come back from
send_offsets_to_transaction, whatever its limit, when the broker is stopped meanwhile (Apache Kafka's, too): then it ends with 4.
"""

import json
import os
import random
import signal
import sys
import threading
import time

import confluent_kafka as ck

BOOTSTRAP, GROUP, ID, INPUT, OUTPUT, MODE = sys.argv[1:]
BATCH, LIMIT_S, ABORTS, PLAIN_S, FENCED = 40, 20, 0.1, 0.2, 3
TRANSACTIONAL = MODE != "plain"
HUNG, SILENT_S = 4, 35
stopping = threading.Event()
alive = [time.monotonic()]


def log(event, **more):
    alive[0] = time.monotonic()
    os.write(1, json.dumps({"ev": event, **more}).encode() + b"\n")


def watch():
    """Ends a process that has been silent for longer than any call may take; one that was stopped is asked twice."""
    asked = 0
    while asked < 2:
        time.sleep(3)
        asked = asked + 1 if time.monotonic() - alive[0] > SILENT_S else 0
    log("hung")
    os._exit(HUNG)


class Copier:
    def __init__(self):
        # The end of a transaction that nobody ends is the coordinator's.
        common = {"bootstrap.servers": BOOTSTRAP, "client.id": ID, "log_level": 2, "retry.backoff.ms": 50, "reconnect.backoff.max.ms": 300}
        own = {"transactional.id": ID, "transaction.timeout.ms": 6000} if TRANSACTIONAL else {}
        self.producer = ck.Producer({**common, **own, "linger.ms": 2})
        self.consumer = ck.Consumer({**common, "group.id": GROUP, "enable.auto.commit": False, "auto.offset.reset": "earliest",
                                     "isolation.level": "read_uncommitted" if MODE == "uncommitted" else "read_committed",
                                     "session.timeout.ms": 6000, "heartbeat.interval.ms": 500, "fetch.wait.max.ms": 100})
        self.moved = False

    def run(self):
        if TRANSACTIONAL:
            self.patiently(self.producer.init_transactions)
        log("ready")
        self.consumer.subscribe([INPUT], on_assign=self.changed, on_revoke=self.changed, on_lost=self.changed)
        while not stopping.is_set():
            batch = self.read()
            if batch:
                self.copy(batch)
        self.consumer.close()
        log("end")

    def changed(self, consumer, partitions):
        self.moved = True

    def read(self):
        """Some records. A rebalance in between gives up those before it: they may be somebody else's."""
        batch, self.moved = [], False
        while len(batch) < BATCH and not stopping.is_set():
            alive[0] = time.monotonic()
            message = self.consumer.poll(0.5 if not batch else 0.02)
            if self.moved:
                self.back(batch)
                batch, self.moved = [], False
                if message and not message.error():
                    self.back([message])
                continue
            if message is None:
                break
            if message.error():
                log("error", why=str(message.error()))
                continue
            batch.append(message)
        return batch

    def back(self, batch):
        first = {}
        for message in batch:
            first.setdefault((message.topic(), message.partition()), message.offset())
        for (topic, partition), offset in first.items():
            try:
                self.consumer.seek(ck.TopicPartition(topic, partition, offset))
            except ck.KafkaException as error:
                # It is not this member's any more.
                log("not-back", why=str(error))

    def copy(self, batch):
        ends = {}
        for message in batch:
            ends[message.partition()] = message.offset() + 1
        offsets = [ck.TopicPartition(INPUT, partition, end) for partition, end in ends.items()]
        try:
            if TRANSACTIONAL:
                self.producer.begin_transaction()
            for message in batch:
                self.producer.produce(OUTPUT, message.value(), message.key(), partition=message.partition())
                self.producer.poll(0)
            if not TRANSACTIONAL:
                assert self.producer.flush(LIMIT_S) == 0
                # Most of its time it has written what it has not committed.
                time.sleep(PLAIN_S)
                self.consumer.commit(offsets=offsets, asynchronous=False)
                log("commit", n=len(batch))
                return
            if random.random() < ABORTS:
                self.producer.flush(1)
                return self.abort(batch, "on purpose")
            # What changed meanwhile changed the group's generation, too, and is refused.
            metadata = self.consumer.consumer_group_metadata()
            self.patiently(lambda limit_s: self.producer.send_offsets_to_transaction(offsets, metadata, limit_s))
            self.patiently(self.producer.commit_transaction)
            log("commit", n=len(batch))
        except ck.KafkaException as failure:
            error = failure.args[0]
            self.fatal(error)
            if not TRANSACTIONAL:
                self.back(batch)
            # What fails in the background leaves a state in which nothing can be produced.
            elif error.txn_requires_abort() or error.code() == ck.KafkaError._STATE:
                self.abort(batch, str(error))
            else:
                raise

    def abort(self, batch, why):
        log("abort", why=why)
        try:
            self.patiently(self.producer.abort_transaction)
        except ck.KafkaException as failure:
            self.fatal(failure.args[0])
            raise
        self.back(batch)

    @staticmethod
    def fatal(error):
        if error.fatal() or error.code() == ck.KafkaError._FENCED:
            log("fenced", why=str(error))
            os._exit(FENCED)

    def patiently(self, call):
        """Again while it may still work."""
        while True:
            try:
                return call(LIMIT_S)
            except ck.KafkaException as failure:
                error = failure.args[0]
                if not error.retriable() or error.fatal() or error.txn_requires_abort():
                    raise
                log("again", why=str(error))


signal.signal(signal.SIGTERM, lambda *_: stopping.set())
threading.Thread(target=watch, daemon=True).start()
try:
    Copier().run()
except ck.KafkaException as failure:
    Copier.fatal(failure.args[0])
    log("failed", why=str(failure.args[0]))
    sys.exit(1)

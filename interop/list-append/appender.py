"""librdkafka appends to several lists and reads them in transactions: appender.py BOOTSTRAP TOPIC PARTITIONS NAME ISOLATION FLAG.

A transaction is a few sends and polls; what was polled goes into it as offsets of the group NAME, where the next one goes on, also that of
another process with this NAME, which is the transactional id, too. Some are aborted on purpose. While the file FLAG is missing it stands
still. Writes what happens as JSON lines (see anomalies.py); ends with 3 when another one has taken over, with 0 on SIGTERM.
"""

import json
import os
import random
import signal
import sys
import threading
import time

import confluent_kafka as ck

BOOTSTRAP, TOPIC, PARTITIONS, NAME, ISOLATION, FLAG = sys.argv[1:]
PARTITIONS, LIMIT_S, ABORTS, FENCED, HUNG, SILENT_S = int(PARTITIONS), 20, 0.15, 3, 4, 35
READ_MAX = 60
stopping = threading.Event()
alive = [time.monotonic()]


def log(event, **more):
    alive[0] = time.monotonic()
    os.write(1, json.dumps({"t": round(time.monotonic() * 1000, 3), "ev": event, **more}, separators=(",", ":")).encode() + b"\n")


def watch():
    """Ends a process that has been silent for longer than any call may take (librdkafka 2.16.1 may hang when a broker is stopped); one
    that was stopped is asked twice."""
    asked = 0
    while asked < 2:
        time.sleep(3)
        asked = asked + 1 if time.monotonic() - alive[0] > SILENT_S else 0
    log("hung")
    os._exit(HUNG)


def patiently(call):
    while True:
        try:
            return call(LIMIT_S)
        except ck.KafkaException as failure:
            error = failure.args[0]
            if not error.retriable() or error.fatal() or error.txn_requires_abort():
                raise
            log("again", why=str(error))


class Appender:
    def __init__(self):
        common = {"bootstrap.servers": BOOTSTRAP, "client.id": NAME, "log_level": 2, "retry.backoff.ms": 50, "reconnect.backoff.max.ms": 300}
        self.producer = ck.Producer({**common, "transactional.id": NAME, "transaction.timeout.ms": 6000, "linger.ms": 0})
        self.consumer = ck.Consumer({**common, "group.id": NAME, "enable.auto.commit": False, "isolation.level": ISOLATION,
                                     "auto.offset.reset": "earliest", "fetch.wait.max.ms": 50})
        patiently(self.producer.init_transactions)
        parts = [ck.TopicPartition(TOPIC, p) for p in range(PARTITIONS)]
        self.at = {tp.partition: max(tp.offset, 0) for tp in self.committed(parts)}
        self.run_id, self.number = f"{NAME}.{time.time_ns()}", 0
        self.assign()
        log("ready")

    def committed(self, parts):
        """librdkafka gives up after some answers of a coordinator that has moved, and does not call that retriable."""
        while True:
            try:
                return self.consumer.committed(parts, LIMIT_S)
            except ck.KafkaException as failure:
                log("again", why=str(failure.args[0]))
                time.sleep(0.2)

    def assign(self):
        self.consumer.assign([ck.TopicPartition(TOPIC, p, o) for p, o in self.at.items()])

    def transact(self):
        self.number += 1
        self.id, self.sent, start = f"{self.run_id}.{self.number}", 0, dict(self.at)
        log("begin", x=self.id, name=NAME, **{"from": start})
        try:
            self.producer.begin_transaction()
            for step in random.choices([self.send, self.poll], [3, 2], k=random.randint(1, 5)):
                step()
            if not self.sent:
                self.send()
            if random.random() < ABORTS:
                self.producer.flush(LIMIT_S)
                return self.abort(start)
            moved = [ck.TopicPartition(TOPIC, p, o) for p, o in self.at.items() if o != start[p]]
            if moved:
                member = self.consumer.consumer_group_metadata()
                patiently(lambda limit_s: self.producer.send_offsets_to_transaction(moved, member, limit_s))
            log("commit", x=self.id, to=self.at)
            patiently(self.producer.commit_transaction)
            log("committed", x=self.id)
        except ck.KafkaException as failure:
            error = failure.args[0]
            # What fails in the background leaves a state in which nothing can be produced.
            if error.fatal() or not (error.txn_requires_abort() or error.code() == ck.KafkaError._STATE):
                raise
            log("failed", x=self.id, why=str(error))
            self.abort(start)

    def send(self):
        partition, value = random.randrange(PARTITIONS), f"{self.id}.{self.sent}"
        self.sent += 1
        log("send", x=self.id, p=partition, v=value)
        self.producer.produce(TOPIC, value, partition=partition, on_delivery=self.told(self.id))
        if random.random() < 0.3:
            self.producer.flush(LIMIT_S)

    @staticmethod
    def told(transaction):
        def on_delivery(error, message):
            if error is None:
                offset = message.offset()
                log("ack", x=transaction, p=message.partition(), v=message.value().decode(), o=-1 if offset is None else offset)
        return on_delivery

    def poll(self):
        found = []
        for message in self.consumer.consume(READ_MAX, 0.05):
            if message.error():
                log("error", why=str(message.error()))
                continue
            found.append([message.partition(), message.offset(), message.value().decode()])
            self.at[message.partition()] = message.offset() + 1
        log("poll", x=self.id, r=found)

    def abort(self, start):
        log("abort", x=self.id)
        patiently(self.producer.abort_transaction)
        log("aborted", x=self.id)
        # What was read in it was not.
        self.at = start
        self.assign()

    def run(self):
        while not stopping.is_set():
            if os.path.exists(FLAG):
                self.transact()
            else:
                log("still")
                time.sleep(0.1)
        self.consumer.close()


signal.signal(signal.SIGTERM, lambda *_: stopping.set())
threading.Thread(target=watch, daemon=True).start()
try:
    Appender().run()
except ck.KafkaException as failure:
    error = failure.args[0]
    fenced = error.fatal() or error.code() in (ck.KafkaError._FENCED, ck.KafkaError._FATAL)
    log("fenced" if fenced else "ended", why=str(error))
    # Not with what Python does at its end, which waits for the client.
    os._exit(FENCED if fenced else 1)

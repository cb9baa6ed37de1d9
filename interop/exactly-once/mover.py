"""Moves money between accounts in transactions: mover.py BOOTSTRAP TOPIC PARTITIONS NAME MODE FLAG.

A transfer is two records, one for each account, which lie in different partitions. Some are aborted on purpose after the first. While
the file FLAG is missing the mover stands still. MODE is `transactional`, or `plain`, which breaks it. Writes as JSON lines what became of
each transfer: `committed`, `aborted`, or nothing when it does not know. Ends with 3 when another one with its name has taken over.
"""

import json
import os
import random
import signal
import sys
import threading
import time

import confluent_kafka as ck

BOOTSTRAP, TOPIC, PARTITIONS, NAME, MODE, FLAG = sys.argv[1:]
PARTITIONS, ACCOUNTS, ABORTS, LIMIT_S, FENCED = int(PARTITIONS), 20, 0.2, 20, 3
TRANSACTIONAL = MODE == "transactional"
stopping = threading.Event()


def log(event, **more):
    os.write(1, json.dumps({"ev": event, **more}).encode() + b"\n")


def patiently(call):
    while True:
        try:
            return call(LIMIT_S)
        except ck.KafkaException as failure:
            error = failure.args[0]
            if not error.retriable() or error.fatal() or error.txn_requires_abort():
                raise


class Mover:
    def __init__(self):
        own = {"transactional.id": NAME, "transaction.timeout.ms": 6000} if TRANSACTIONAL else {"enable.idempotence": True}
        self.producer = ck.Producer({"bootstrap.servers": BOOTSTRAP, "client.id": NAME, "log_level": 2, "linger.ms": 0,
                                     "retry.backoff.ms": 50, "reconnect.backoff.max.ms": 300, **own})
        self.run_id, self.number = f"{NAME}.{time.time_ns()}", 0
        if TRANSACTIONAL:
            patiently(self.producer.init_transactions)
        log("ready")

    def half(self, transfer, account, amount):
        value = json.dumps({"transfer": transfer, "account": account, "amount": amount})
        self.producer.produce(TOPIC, value, str(account), partition=account % PARTITIONS)

    def move(self):
        self.number += 1
        transfer = f"{self.run_id}.{self.number}"
        one, other = random.sample(range(ACCOUNTS), 2)
        amount = random.randint(1, 100)
        try:
            if TRANSACTIONAL:
                self.producer.begin_transaction()
            self.half(transfer, one, -amount)
            if random.random() < ABORTS:
                self.producer.flush(LIMIT_S)
                return self.abort(transfer)
            if random.random() < 0.5:
                self.producer.flush(LIMIT_S)
            self.half(transfer, other, amount)
            if TRANSACTIONAL:
                patiently(self.producer.commit_transaction)
            elif self.producer.flush(LIMIT_S):
                return
            log("committed", transfer=transfer)
        except ck.KafkaException as failure:
            error = failure.args[0]
            # What fails in the background leaves a state in which nothing can be produced.
            if not TRANSACTIONAL or not (error.txn_requires_abort() or error.code() == ck.KafkaError._STATE):
                raise
            self.abort(transfer)

    def abort(self, transfer):
        if TRANSACTIONAL:
            patiently(self.producer.abort_transaction)
        log("aborted", transfer=transfer)

    def run(self):
        while not stopping.is_set():
            if os.path.exists(FLAG):
                self.move()
            else:
                log("still")
                time.sleep(0.1)


signal.signal(signal.SIGTERM, lambda *_: stopping.set())
try:
    Mover().run()
except ck.KafkaException as failure:
    error = failure.args[0]
    fenced = error.fatal() or error.code() == ck.KafkaError._FENCED
    log("fenced" if fenced else "failed", why=str(error))
    sys.exit(FENCED if fenced else 1)

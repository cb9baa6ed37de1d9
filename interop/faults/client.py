"""librdkafka under faults: client.py BOOTSTRAP TOPIC PARTITIONS TAG ACKS FLAG.

Writers of numbered records, with and without idempotence, each with a codec, and two members of a group that read them and commit. Writes what
happens as JSON lines. While the file FLAG exists writers write; all leave on SIGTERM.
"""

import json
import os
import signal
import sys
import threading
import time

import confluent_kafka as ck

BOOTSTRAP, TOPIC, PARTITIONS, TAG, ACKS, FLAG = sys.argv[1:]
PARTITIONS, EVERY_S, COMMIT_EVERY_S, PADDING = int(PARTITIONS), 0.1, 0.3, "." * 60
stopping = threading.Event()
lock = threading.Lock()


def now_ms():
    return round(time.monotonic() * 1000, 1)


def log(event, **more):
    with lock:
        os.write(1, json.dumps({"t": now_ms(), "ev": event, **more}, separators=(",", ":")).encode() + b"\n")


def writer(name, idempotent):
    common = {"bootstrap.servers": BOOTSTRAP, "client.id": name, "linger.ms": 2, "acks": ACKS, "retry.backoff.ms": 50,
              "retry.backoff.max.ms": 200, "reconnect.backoff.ms": 50, "reconnect.backoff.max.ms": 300, "log_level": 2,
              "socket.connection.setup.timeout.ms": 3000, "socket.timeout.ms": 5000, "request.timeout.ms": 4000,
              "message.timeout.ms": 60_000, "topic.metadata.refresh.interval.ms": 2000}
    kind = {"enable.idempotence": True, "compression.type": "zstd"} if idempotent else {
        "max.in.flight.requests.per.connection": 1, "compression.type": "snappy"}
    producer = ck.Producer({**common, **kind})

    def told(partition, number, sent):
        def on_delivery(error, message):
            if error is None:
                offset = message.offset()
                log("ack", w=name, p=partition, n=number, o=-1 if offset is None else offset, s=sent)
            else:
                log("fail", w=name, p=partition, n=number, s=sent, error=error.name())
        return on_delivery

    number = 0
    due = time.monotonic()
    while os.path.exists(FLAG) and not stopping.is_set():
        for partition in range(PARTITIONS):
            value = f"{name}:{partition}:{number}:{PADDING}"
            try:
                producer.produce(TOPIC, value, partition=partition, on_delivery=told(partition, number, now_ms()))
            except (BufferError, ck.KafkaException) as error:
                log("fail", w=name, p=partition, n=number, s=now_ms(), error=str(error))
            due += EVERY_S / PARTITIONS
            producer.poll(max(0, due - time.monotonic()))
        number += 1
    producer.flush(90)
    log("written", w=name)


def reader(name):
    group = f"faults-{TAG}"
    consumer = ck.Consumer({
        "bootstrap.servers": BOOTSTRAP, "group.id": group, "client.id": name, "enable.auto.commit": False, "auto.offset.reset": "earliest",
        "partition.assignment.strategy": "cooperative-sticky", "session.timeout.ms": 6000, "heartbeat.interval.ms": 1000,
        "fetch.wait.max.ms": 200, "reconnect.backoff.ms": 50, "reconnect.backoff.max.ms": 300, "log_level": 2, "socket.timeout.ms": 5000,
        "max.poll.interval.ms": 60_000, "socket.connection.setup.timeout.ms": 3000, "topic.metadata.refresh.interval.ms": 2000})

    def assigned(_, parts):
        log("assigned", r=name, parts=[tp.partition for tp in parts])

    def revoked(_, parts):
        for tp in parts:
            read.pop(tp.partition, None)
        log("revoked", r=name, parts=[tp.partition for tp in parts])

    read, due = {}, time.monotonic()
    consumer.subscribe([TOPIC], on_assign=assigned, on_revoke=revoked, on_lost=revoked)
    while not stopping.is_set():
        found = {}
        for message in consumer.consume(500, 0.1):
            if message.error():
                log("error", r=name, error=message.error().name())
                continue
            value = message.value().decode().rsplit(":", 1)[0]
            found.setdefault(message.partition(), []).append([message.offset(), value])
            read[message.partition()] = message.offset() + 1
        for partition, records in found.items():
            log("read", r=name, g=group, p=partition, recs=records)
        if read and time.monotonic() > due:
            due = time.monotonic() + COMMIT_EVERY_S
            try:
                sent = now_ms()
                parts = consumer.commit(offsets=[ck.TopicPartition(TOPIC, p, o) for p, o in read.items()], asynchronous=False)
                log("commit", r=name, g=group, s=sent, offs={tp.partition: tp.offset for tp in parts if not tp.error})
                read.clear()
            except ck.KafkaException as error:
                log("error", r=name, error=error.args[0].name())
    consumer.close()
    log("closed", r=name)


def main():
    signal.signal(signal.SIGTERM, lambda *_: stopping.set())
    # A name of its own for each run of the program: numbers begin anew.
    run = f"{TAG}{os.getpid()}"
    threads = [threading.Thread(target=writer, args=(f"{run}i", True)), threading.Thread(target=writer, args=(f"{run}p", False)),
               *(threading.Thread(target=reader, args=(f"{run}r{n}",)) for n in range(2))]
    if ACKS != "all":
        del threads[0]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        time.sleep(0.2)


main()

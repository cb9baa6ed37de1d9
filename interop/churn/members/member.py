"""One member of the churn test with a Python client: member.py CLIENT BOOTSTRAP GROUP PROTOCOL ASSIGNOR TOPICS NAME SESSION_MS.

CLIENT is confluent, kafka-python or aiokafka. TOPICS is a list with commas, or a regular expression that begins with ^. Writes
what happens to it as JSON lines; leaves its group on SIGTERM.
"""

import asyncio
import json
import os
import signal
import sys
import time

CLIENT, BOOTSTRAP, GROUP, PROTOCOL, ASSIGNOR, TOPICS, NAME, SESSION_MS = sys.argv[1:]
COMMIT_EVERY_S = 0.3
stopping = False


def stop(*_):
    global stopping
    stopping = True


def log(event, **more):
    line = json.dumps({"t": time.monotonic() * 1000, "ev": event, "member": NAME, "group": GROUP, **more})
    os.write(1, line.encode() + b"\n")


class Read:
    """What was read and is not committed: (topic, partition) → next offset."""

    def __init__(self):
        self.next, self.due = {}, time.monotonic() + COMMIT_EVERY_S

    def note(self, topic, partition, offsets):
        """Writes down which offsets were read, before anything of it is committed."""
        first = last = offsets[0]
        for offset in [*offsets[1:], None]:
            if offset != last + 1:
                log("consumed", topic=topic, partition=partition, first=first, last=last)
                first = offset
            last = offset
        self.next[topic, partition] = offsets[-1] + 1

    def is_due(self):
        if time.monotonic() < self.due:
            return False
        self.due = time.monotonic() + COMMIT_EVERY_S
        return bool(self.next)

    def done(self):
        log("committed", offsets=[[*tp, offset] for tp, offset in self.next.items()])
        self.next.clear()

    def forget(self, parts):
        for tp in parts:
            self.next.pop(tp, None)


def confluent():
    import confluent_kafka as ck
    classic = {"session.timeout.ms": int(SESSION_MS), "heartbeat.interval.ms": 1000, "partition.assignment.strategy": ASSIGNOR}
    read = Read()
    consumer = ck.Consumer({
        "bootstrap.servers": BOOTSTRAP, "group.id": GROUP, "client.id": NAME, "group.protocol": PROTOCOL, "enable.auto.commit": False,
        "auto.offset.reset": "earliest", "topic.metadata.refresh.interval.ms": 1000, "max.poll.interval.ms": 60_000,
        "fetch.wait.max.ms": 200, "log_level": 3,
        **(classic if PROTOCOL == "classic" else {"group.remote.assignor": ASSIGNOR}),
    })

    def commit():
        if not read.next:
            return
        try:
            offsets = [ck.TopicPartition(*tp, offset) for tp, offset in read.next.items()]
            failed = [tp.error for tp in consumer.commit(offsets=offsets, asynchronous=False) if tp.error]
            if failed:
                raise ck.KafkaException(failed[0])
            read.done()
        except ck.KafkaException as error:
            log("refused", error=error.args[0].name())
            read.next.clear()

    def parts(event, partitions):
        log(event, id=consumer.memberid(), parts=[[p.topic, p.partition] for p in partitions])

    def revoked(_, partitions):
        commit()
        read.forget([(p.topic, p.partition) for p in partitions])
        parts("revoked", partitions)

    def lost(_, partitions):
        read.forget([(p.topic, p.partition) for p in partitions])
        parts("lost", partitions)

    log("start")
    consumer.subscribe([TOPICS] if TOPICS.startswith("^") else TOPICS.split(","), on_assign=lambda _, ps: parts("assigned", ps),
                       on_revoke=revoked, on_lost=lost)
    while not stopping:
        offsets = {}
        for message in consumer.consume(500, 0.1):
            if message.error():
                log("error", error=message.error().name())
            else:
                offsets.setdefault((message.topic(), message.partition()), []).append(message.offset())
        for (topic, partition), each in offsets.items():
            read.note(topic, partition, each)
        if read.is_due():
            commit()
    commit()
    consumer.close()


def kafka_python():
    import kafka
    from kafka.coordinator.assignors.range import RangePartitionAssignor
    from kafka.coordinator.assignors.roundrobin import RoundRobinPartitionAssignor
    assignors = {"range": RangePartitionAssignor, "roundrobin": RoundRobinPartitionAssignor}
    read = Read()
    consumer = kafka.KafkaConsumer(
        bootstrap_servers=BOOTSTRAP, group_id=GROUP, client_id=NAME, enable_auto_commit=False, auto_offset_reset="earliest",
        metadata_max_age_ms=1000, max_poll_interval_ms=60_000, session_timeout_ms=int(SESSION_MS), heartbeat_interval_ms=1000,
        fetch_max_wait_ms=200, partition_assignment_strategy=[assignors[ASSIGNOR]])

    def commit():
        if not read.next:
            return
        try:
            consumer.commit({kafka.TopicPartition(*tp): kafka.OffsetAndMetadata(offset, "", -1) for tp, offset in read.next.items()})
            read.done()
        except kafka.errors.KafkaError as error:
            log("refused", error=type(error).__name__)
            read.next.clear()

    def parts(event, partitions):
        log(event, parts=[[p.topic, p.partition] for p in partitions])

    class Listener(kafka.ConsumerRebalanceListener):
        def on_partitions_revoked(self, revoked):
            # kafka-python cannot commit from within a callback; what is not committed is read again.
            read.next.clear()
            parts("revoked", revoked)

        def on_partitions_assigned(self, assigned):
            parts("assigned", assigned)

        def on_partitions_lost(self, lost):
            read.next.clear()
            parts("lost", lost)

    log("start")
    pattern = TOPICS.startswith("^")
    consumer.subscribe(topics=() if pattern else TOPICS.split(","), pattern=TOPICS if pattern else None, listener=Listener())
    while not stopping:
        try:
            for tp, records in consumer.poll(100).items():
                read.note(tp.topic, tp.partition, [r.offset for r in records])
            if read.is_due():
                commit()
        except kafka.errors.KafkaError as error:
            log("error", error=type(error).__name__)
            time.sleep(0.1)
    commit()
    consumer.close()


async def aio():
    import aiokafka
    from aiokafka.coordinator.assignors.range import RangePartitionAssignor
    from aiokafka.coordinator.assignors.roundrobin import RoundRobinPartitionAssignor
    from aiokafka.errors import KafkaError
    assignors = {"range": RangePartitionAssignor, "roundrobin": RoundRobinPartitionAssignor}
    read = Read()
    consumer = aiokafka.AIOKafkaConsumer(
        bootstrap_servers=BOOTSTRAP, group_id=GROUP, client_id=NAME, enable_auto_commit=False, auto_offset_reset="earliest",
        metadata_max_age_ms=1000, max_poll_interval_ms=60_000, rebalance_timeout_ms=60_000, session_timeout_ms=int(SESSION_MS),
        heartbeat_interval_ms=1000, fetch_max_wait_ms=200, partition_assignment_strategy=[assignors[ASSIGNOR]])

    async def commit():
        if not read.next:
            return
        try:
            await consumer.commit({aiokafka.TopicPartition(*tp): offset for tp, offset in read.next.items()})
            read.done()
        except KafkaError as error:
            log("refused", error=type(error).__name__)
            read.next.clear()

    def parts(event, partitions):
        log(event, parts=[[p.topic, p.partition] for p in partitions])

    class Listener(aiokafka.ConsumerRebalanceListener):
        async def on_partitions_revoked(self, revoked):
            await commit()
            read.next.clear()
            parts("revoked", revoked)

        async def on_partitions_assigned(self, assigned):
            parts("assigned", assigned)

    log("start")
    pattern = TOPICS.startswith("^")
    consumer.subscribe(topics=() if pattern else TOPICS.split(","), pattern=TOPICS if pattern else None, listener=Listener())
    await consumer.start()
    while not stopping:
        try:
            for tp, records in (await consumer.getmany(timeout_ms=100)).items():
                read.note(tp.topic, tp.partition, [r.offset for r in records])
            if read.is_due():
                await commit()
        except KafkaError as error:
            log("error", error=type(error).__name__)
    await commit()
    await consumer.stop()


signal.signal(signal.SIGTERM, stop)
if CLIENT == "aiokafka":
    asyncio.run(aio())
else:
    {"confluent": confluent, "kafka-python": kafka_python}[CLIENT]()
log("closed")

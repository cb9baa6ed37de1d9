"""confluent-kafka (librdkafka) through the contract."""

import os
import sys
import time

import confluent_kafka as ck
from confluent_kafka import admin as ca

from contract import Contract, Record, Refused

LIMIT_S = 60


def refuse(error):
    if isinstance(error, ck.KafkaException):
        error = error.args[0]
    if not isinstance(error, ck.KafkaError):
        raise error
    raise Refused(error.code(), error.str()) from None


def one(futures):
    """The result of the only future of an admin call."""
    (future,) = futures.values() if isinstance(futures, dict) else [futures]
    try:
        return future.result(LIMIT_S)
    except ck.KafkaException as error:
        refuse(error)


class Confluent:
    name = "confluent"

    def __init__(self, bootstrap):
        self.base = {"bootstrap.servers": bootstrap, "topic.metadata.refresh.interval.ms": 1000}
        self.admin = ca.AdminClient(self.base)
        self.lookup = self.consumer()

    def consumer(self):
        return ck.Consumer({**self.base, "group.id": "unused", "enable.auto.commit": False, "auto.offset.reset": "error",
                            "fetch.wait.max.ms": 100, "enable.partition.eof": True})

    def close(self):
        self.lookup.close()

    def cluster(self):
        got = one(self.admin.describe_cluster(request_timeout=LIMIT_S))
        return [n.id for n in got.nodes], got.controller.id, got.cluster_id

    def create_topic(self, topic, partitions, configs, validate_only=False, replication=1):
        new = ca.NewTopic(topic, partitions, replication, config=configs)
        one(self.admin.create_topics([new], validate_only=validate_only, operation_timeout=LIMIT_S))

    def create_partitions(self, topic, total):
        one(self.admin.create_partitions([ca.NewPartitions(topic, total)], operation_timeout=LIMIT_S))

    def delete_topic(self, topic):
        one(self.admin.delete_topics([topic], operation_timeout=LIMIT_S))

    def describe_topic(self, topic):
        got = one(self.admin.describe_topics(ck.TopicCollection([topic])))
        return [(p.id, p.leader.id, [r.id for r in p.replicas], [r.id for r in p.isr]) for p in got.partitions]

    def configs(self, kind, name):
        got = one(self.admin.describe_configs([ca.ConfigResource(kind, name)]))
        return {key: entry.value for key, entry in got.items()}

    def alter_config(self, kind, name, key, value):
        entry = ca.ConfigEntry(key, value, incremental_operation=ca.AlterConfigOpType.SET)
        one(self.admin.incremental_alter_configs([ca.ConfigResource(kind, name, incremental_configs=[entry])]))

    def delete_records(self, topic, partition, before):
        return one(self.admin.delete_records([ck.TopicPartition(topic, partition, before)])).low_watermark

    def offset(self, topic, partition, spec):
        specs = {"earliest": ca.OffsetSpec.earliest, "latest": ca.OffsetSpec.latest,
                 "max-timestamp": ca.OffsetSpec.max_timestamp}
        spec = specs[spec]() if isinstance(spec, str) else ca.OffsetSpec.for_timestamp(spec)
        return one(self.admin.list_offsets({ck.TopicPartition(topic, partition): spec})).offset

    def produce(self, topic, records, codec="none", acks=-1, idempotent=False):
        producer = ck.Producer({**self.base, "compression.type": codec, "acks": acks, "linger.ms": 20,
                                "enable.idempotence": idempotent, "message.max.bytes": 2_000_000,
                                "message.timeout.ms": LIMIT_S * 1000})
        offsets, errors = [None] * len(records), []
        def delivered(i):
            def note(error, message):
                errors.extend([error] if error else [])
                offsets[i] = None if error or acks == 0 else message.offset()
            return note
        for i, r in enumerate(records):
            producer.produce(topic, r.value, r.key, r.partition, on_delivery=delivered(i), timestamp=r.timestamp,
                             headers=r.headers)
        left = producer.flush(LIMIT_S)
        if errors:
            refuse(errors[0])
        assert left == 0, f"{left} records not sent"
        return offsets

    def read(self, consumer, topic, end):
        got, limit = [], time.monotonic() + LIMIT_S
        while not got or got[-1].offset + 1 < end:
            assert time.monotonic() < limit, f"only {len(got)} records in {LIMIT_S} s"
            m = consumer.poll(1)
            if m is None:
                continue
            if m.error():
                if m.error().code() == ck.KafkaError._PARTITION_EOF:
                    continue
                if m.error().code() == ck.KafkaError._AUTO_OFFSET_RESET:
                    # librdkafka wraps the server's answer; its text names it.
                    refuse(ck.KafkaError(ck.KafkaError.OFFSET_OUT_OF_RANGE, m.error().str()))
                refuse(m.error())
            got.append(Record(m.partition(), m.key(), m.value(), m.headers() or [], m.timestamp()[1], m.offset()))
        return got

    def fetch(self, topic, partition, begin, end):
        consumer = self.consumer()
        try:
            begin = ck.OFFSET_BEGINNING if begin == "earliest" else begin
            consumer.assign([ck.TopicPartition(topic, partition, begin)])
            return self.read(consumer, topic, end)
        finally:
            consumer.close()

    def fetch_new(self, topic, partition, produce):
        consumer = self.consumer()
        try:
            consumer.assign([ck.TopicPartition(topic, partition, ck.OFFSET_END)])
            limit = time.monotonic() + LIMIT_S
            while (m := consumer.poll(1)) is None or m.error() is None:
                assert m is None and time.monotonic() < limit, "no end of partition"
            produce()
            return self.read(consumer, topic, 0)
        finally:
            consumer.close()


if __name__ == "__main__":
    sys.exit(Contract(Confluent(os.environ["BOOTSTRAP"])).run())

"""kafka-python through the contract."""

import os
import re
import sys
import time

import kafka
from kafka import errors
from kafka.admin import ConfigResource, ConfigResourceType, KafkaAdminClient

from contract import Contract, Record, Refused

LIMIT_S = 60


def asked(call, *args, **kwargs):
    """Calls the client, turning its exception for a Kafka error code into Refused."""
    try:
        return call(*args, **kwargs)
    except errors.BrokerResponseError as error:
        # Its text is the whole request and response; the server's message is one field of it.
        text = str(error.args[0]) if error.args else ""
        found = re.search(r"error_message=('[^']*(?:'[^,)]+)*'|\"[^\"]*\")", text)
        raise Refused(error.errno, found.group(1)[1:-1] if found else "") from None


class KafkaPython:
    name = "kafka-python"

    def __init__(self, bootstrap):
        self.bootstrap = bootstrap
        self.admin = KafkaAdminClient(bootstrap_servers=bootstrap, request_timeout_ms=LIMIT_S * 1000)

    def close(self):
        self.admin.close()

    def cluster(self):
        got = asked(self.admin.describe_cluster)
        return [b["broker_id"] for b in got["brokers"]], got["controller_id"], got["cluster_id"]

    def create_topic(self, topic, partitions, configs, validate_only=False, replication=1):
        new = {topic: {"num_partitions": partitions, "replication_factor": replication, "configs": configs}}
        asked(self.admin.create_topics, new, validate_only=validate_only)

    def create_partitions(self, topic, total):
        asked(self.admin.create_partitions, {topic: total})

    def delete_topic(self, topic):
        asked(self.admin.delete_topics, [topic])

    def describe_topic(self, topic):
        (got,) = asked(self.admin.describe_topics, [topic])
        if got["error_code"]:
            raise Refused(got["error_code"])
        return sorted((p["partition_index"], p["leader_id"], p["replica_nodes"], p["isr_nodes"])
                      for p in got["partitions"])

    def configs(self, kind, name):
        got = asked(self.admin.describe_configs, [ConfigResource(ConfigResourceType[kind.upper()], name)],
                    config_filter="all")
        return {key: entry["value"] for key, entry in got[kind][name].items()}

    def alter_config(self, kind, name, key, value):
        resource = ConfigResource(ConfigResourceType[kind.upper()], name, {key: value})
        got = asked(self.admin.alter_configs, [resource])[kind][name]
        if got != "OK":
            found = re.match(r"\[Error (\d+)\] \w+: (.*)", got)
            raise Refused(*found.groups()) if found else AssertionError(f"alter_configs answered {got!r}")

    def delete_records(self, topic, partition, before):
        tp = kafka.TopicPartition(topic, partition)
        return asked(self.admin.delete_records, {tp: before})[tp]["low_watermark"]

    def offset(self, topic, partition, spec):
        tp = kafka.TopicPartition(topic, partition)
        spec = {"earliest": -2, "latest": -1, "max-timestamp": -3}.get(spec, spec)
        return asked(self.admin.list_partition_offsets, {tp: spec})[tp].offset

    def produce(self, topic, records, codec="none", acks=-1, idempotent=False):
        producer = kafka.KafkaProducer(
            bootstrap_servers=self.bootstrap, acks="all" if acks < 0 else acks, linger_ms=20,
            compression_type=None if codec == "none" else codec, enable_idempotence=idempotent,
            max_request_size=2_000_000, request_timeout_ms=LIMIT_S * 1000 // 2, delivery_timeout_ms=LIMIT_S * 1000)
        try:
            futures = [producer.send(topic, value=r.value, key=r.key, headers=r.headers, partition=r.partition,
                                     timestamp_ms=r.timestamp) for r in records]
            producer.flush(LIMIT_S)
            got = [asked(f.get, LIMIT_S).offset for f in futures]
            return got if acks else [None] * len(got)
        finally:
            producer.close(LIMIT_S)

    def consumer(self, topic, partition):
        consumer = kafka.KafkaConsumer(bootstrap_servers=self.bootstrap, auto_offset_reset="none", group_id=None,
                                       enable_auto_commit=False, fetch_max_wait_ms=100)
        tp = kafka.TopicPartition(topic, partition)
        consumer.assign([tp])
        return consumer, tp

    def read(self, consumer, tp, end):
        got, limit = [], time.monotonic() + LIMIT_S
        while not got or got[-1].offset + 1 < end:
            assert time.monotonic() < limit, f"only {len(got)} records in {LIMIT_S} s"
            try:
                batch = consumer.poll(1000)
            except errors.OffsetOutOfRangeError as error:
                raise Refused(1, error.args[0] if error.args else "") from None
            for m in batch.get(tp, []):
                got.append(Record(m.partition, m.key, m.value, [tuple(h) for h in m.headers], m.timestamp, m.offset))
        return got

    def fetch(self, topic, partition, begin, end):
        consumer, tp = self.consumer(topic, partition)
        try:
            consumer.seek_to_beginning(tp) if begin == "earliest" else consumer.seek(tp, begin)
            return self.read(consumer, tp, end)
        finally:
            consumer.close()

    def fetch_new(self, topic, partition, produce):
        consumer, tp = self.consumer(topic, partition)
        try:
            consumer.seek_to_end(tp)
            consumer.position(tp)
            produce()
            return self.read(consumer, tp, 0)
        finally:
            consumer.close()


if __name__ == "__main__":
    sys.exit(Contract(KafkaPython(os.environ["BOOTSTRAP"])).run())

"""aiokafka through the contract. Its calls are coroutines: one event loop runs them one after another."""

import asyncio
import os
import sys

import aiokafka
from aiokafka import errors
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions, NewTopic, RecordsToDelete
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from contract import Contract, Missing, Record, Refused

LIMIT_S = 60


async def asked(awaitable):
    """Awaits with a time limit, turning the client's exception for a Kafka error code into Refused."""
    try:
        return await asyncio.wait_for(awaitable, LIMIT_S)
    except errors.OffsetOutOfRangeError as error:
        raise Refused(1, error) from None
    except errors.BrokerResponseError as error:
        raise Refused(error.errno, error.args[0] if error.args else "") from None


class Aio:
    name = "aiokafka"

    def __init__(self, bootstrap):
        self.bootstrap = bootstrap
        self.loop = asyncio.new_event_loop()
        asyncio.set_event_loop(self.loop)
        self.admin = self.run(self.start())

    async def start(self):
        admin = AIOKafkaAdminClient(bootstrap_servers=self.bootstrap)
        await admin.start()
        return admin

    def run(self, coroutine):
        return self.loop.run_until_complete(asked(coroutine))

    def close(self):
        self.run(self.admin.close())

    def cluster(self):
        got = self.run(self.admin.describe_cluster())
        return [b["node_id"] for b in got["brokers"]], got["controller_id"], got["cluster_id"]

    @staticmethod
    def topic_errors(rows):
        for _, code, *message in rows:
            if code:
                raise Refused(code, message[0] if message else "")

    def create_topic(self, topic, partitions, configs, validate_only=False, replication=1):
        new = NewTopic(topic, partitions, replication, topic_configs=configs)
        self.topic_errors(self.run(self.admin.create_topics([new], validate_only=validate_only)).topic_errors)

    def create_partitions(self, topic, total):
        self.run(self.admin.create_partitions({topic: NewPartitions(total)}))

    def delete_topic(self, topic):
        got = self.run(self.admin.delete_topics([topic]))
        self.topic_errors(got.topic_error_codes)

    def describe_topic(self, topic):
        # Its metadata request always allows automatic creation, so ask for all topics.
        for got in self.run(self.admin.describe_topics(None)):
            if got["topic"] == topic:
                return sorted((p["partition"], p["leader"], p["replicas"], p["isr"]) for p in got["partitions"])
        raise Refused(3, "not among all topics")

    def configs(self, kind, name):
        resource = ConfigResource(getattr(ConfigResourceType, kind.upper()), name)
        (got,) = self.run(self.admin.describe_configs([resource]))
        ((code, message, _, _, entries),) = got.resources
        if code:
            raise Refused(code, message)
        return {entry[0]: entry[1] for entry in entries}

    def alter_config(self, kind, name, key, value):
        # AlterConfigs replaces the whole set of a resource: what was given at creation is given again.
        wanted = {"segment.bytes": "1048576", "retention.ms": "-1", key: value}
        resource = ConfigResource(getattr(ConfigResourceType, kind.upper()), name, wanted)
        ((code, message, *_),) = self.run(self.admin.alter_configs([resource]))[0].resources
        if code:
            raise Refused(code, message)

    def delete_records(self, topic, partition, before):
        tp = aiokafka.TopicPartition(topic, partition)
        return self.run(self.admin.delete_records({tp: RecordsToDelete(before_offset=before)}))[tp]

    def offset(self, topic, partition, spec):
        if spec == "max-timestamp":
            raise Missing("no call for the offset of the greatest timestamp")
        return self.run(self.offset_(aiokafka.TopicPartition(topic, partition), spec))

    async def offset_(self, tp, spec):
        consumer = await self.consumer(tp)
        try:
            if spec == "earliest":
                return (await consumer.beginning_offsets([tp]))[tp]
            if spec == "latest":
                return (await consumer.end_offsets([tp]))[tp]
            got = (await consumer.offsets_for_times({tp: spec}))[tp]
            return got.offset if got else -1
        finally:
            await consumer.stop()

    def produce(self, topic, records, codec="none", acks=-1, idempotent=False):
        return self.run(self.produce_(topic, records, codec, acks, idempotent))

    async def produce_(self, topic, records, codec, acks, idempotent):
        producer = aiokafka.AIOKafkaProducer(
            bootstrap_servers=self.bootstrap, acks="all" if acks < 0 else acks, linger_ms=20,
            compression_type=None if codec == "none" else codec, enable_idempotence=idempotent,
            max_request_size=2_000_000, max_batch_size=16384)
        await producer.start()
        try:
            futures = [await producer.send(topic, value=r.value, key=r.key, headers=r.headers, partition=r.partition,
                                           timestamp_ms=r.timestamp) for r in records]
            got = [await f for f in futures]
            return [m.offset for m in got] if acks else [None] * len(got)
        finally:
            await producer.stop()

    async def consumer(self, tp):
        consumer = aiokafka.AIOKafkaConsumer(bootstrap_servers=self.bootstrap, auto_offset_reset="none", group_id=None,
                                             enable_auto_commit=False, fetch_max_wait_ms=100)
        await consumer.start()
        consumer.assign([tp])
        return consumer

    @staticmethod
    async def read(consumer, end):
        got = []
        while not got or got[-1].offset + 1 < end:
            m = await consumer.getone()
            got.append(Record(m.partition, m.key, m.value, list(m.headers), m.timestamp, m.offset))
        return got

    def fetch(self, topic, partition, begin, end):
        return self.run(self.fetch_(aiokafka.TopicPartition(topic, partition), begin, end))

    async def fetch_(self, tp, begin, end):
        consumer = await self.consumer(tp)
        try:
            if begin == "earliest":
                await consumer.seek_to_beginning(tp)
            else:
                consumer.seek(tp, begin)
            return await self.read(consumer, end)
        finally:
            await consumer.stop()

    def fetch_new(self, topic, partition, produce):
        tp = aiokafka.TopicPartition(topic, partition)
        consumer = self.run(self.at_end(tp))
        try:
            produce()
            return self.run(self.read(consumer, 0))
        finally:
            self.run(consumer.stop())

    async def at_end(self, tp):
        consumer = await self.consumer(tp)
        await consumer.seek_to_end(tp)
        return consumer


if __name__ == "__main__":
    sys.exit(Contract(Aio(os.environ["BOOTSTRAP"])).run())

"""aiokafka with transactions."""

import asyncio
import os
import sys

import aiokafka
from aiokafka import errors

from aio import Aio, asked
from contract import Refused
from transactions import Transactions


class Client:
    """Something with an event loop of its own."""

    def __init__(self):
        self.loop = asyncio.new_event_loop()

    def run(self, coroutine):
        try:
            return self.loop.run_until_complete(asked(coroutine))
        except errors.ProducerFenced as error:
            # The client's own error for 47 and 90.
            raise Refused(90, error) from None

    async def within_loop(self, call, *args):
        return call(*args)


class Producer(Client):
    def __init__(self, bootstrap, transactional_id, timeout_ms):
        super().__init__()
        self.sent = []
        self.run(self.start(bootstrap, transactional_id, timeout_ms))

    async def start(self, bootstrap, transactional_id, timeout_ms):
        self.p = aiokafka.AIOKafkaProducer(bootstrap_servers=bootstrap, transactional_id=transactional_id,
                                           transaction_timeout_ms=timeout_ms)
        try:
            await self.p.start()
        except Exception:
            await self.p.stop()
            raise

    def begin(self):
        self.run(self.p.begin_transaction())

    def send(self, topic, partition, value):
        self.sent.append(self.run(self.p.send(topic, value, partition=partition)))

    def flush(self):
        sent, self.sent = self.sent, []
        for future in sent:
            self.run(future)

    def commit(self):
        self.run(self.p.commit_transaction())

    def abort(self):
        self.run(self.p.abort_transaction())

    def offsets(self, member, offsets):
        rows = {aiokafka.TopicPartition(*tp): offset for tp, offset in offsets.items()}
        self.run(self.p.send_offsets_to_transaction(rows, member.group))

    def close(self):
        self.run(self.p.stop())


class Reader(Client):
    def __init__(self, bootstrap, topic, partitions, committed, group=None):
        super().__init__()
        self.topic, self.group = topic, group
        self.run(self.start(bootstrap, partitions, committed))

    async def start(self, bootstrap, partitions, committed):
        self.c = aiokafka.AIOKafkaConsumer(
            bootstrap_servers=bootstrap, group_id=self.group, enable_auto_commit=False, auto_offset_reset="earliest",
            fetch_max_wait_ms=100, isolation_level="read_committed" if committed else "read_uncommitted")
        if not partitions:
            self.c.subscribe([self.topic])
        await self.c.start()
        if partitions:
            self.c.assign([aiokafka.TopicPartition(self.topic, p) for p in range(partitions)])

    def rows(self, limit_s):
        return [m for rows in self.run(self.c.getmany(timeout_ms=int(limit_s * 1000))).values() for m in rows]

    def poll(self, limit_s):
        return [(m.partition, m.value) for m in self.rows(limit_s)]

    def close(self):
        self.run(self.c.stop())


class Member(Reader):
    def poll(self, limit_s):
        return [(m.partition, m.offset, m.value) for m in self.rows(limit_s)]

    def rewind(self, positions):
        for p, offset in positions.items():
            self.run(self.within_loop(self.c.seek, aiokafka.TopicPartition(self.topic, p), offset))


class Adapter(Aio):
    fenced = {47, 90}
    timed_out = {47, 48, 90, 120}

    def producer(self, transactional_id, timeout_ms=20_000):
        return Producer(self.bootstrap, transactional_id, timeout_ms)

    def reader(self, topic, partitions, committed):
        return Reader(self.bootstrap, topic, partitions, committed)

    def member(self, group, topic):
        return Member(self.bootstrap, topic, 0, True, group)

    def offsets(self, group):
        return {tuple(tp): c.offset for tp, c in self.run(self.admin.list_consumer_group_offsets(group)).items()}


if __name__ == "__main__":
    sys.exit(Transactions(lambda: Adapter(os.environ["BOOTSTRAP"])).run())

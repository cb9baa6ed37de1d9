"""kafka-python with transactions."""

import os
import re
import sys

import kafka
from kafka import errors

from contract import Refused
from kafkapython import LIMIT_S, KafkaPython, asked
from transactions import Transactions


class Producer:
    def __init__(self, bootstrap, transactional_id, timeout_ms):
        self.p = kafka.KafkaProducer(bootstrap_servers=bootstrap, transactional_id=transactional_id, transaction_timeout_ms=timeout_ms,
                                     max_block_ms=LIMIT_S * 1000)
        self.sent = []
        try:
            asked(self.p.init_transactions)
        except errors.KafkaError as error:
            self.p.close(timeout=0)
            # Errors that the client does not expect here are in its text only.
            code = re.search(r"\[Error (\d+)\]", str(error))
            raise Refused(code.group(1), error) if code else error

    def begin(self):
        asked(self.p.begin_transaction)

    def send(self, topic, partition, value):
        self.sent.append(asked(self.p.send, topic, value, partition=partition))

    def flush(self):
        sent, self.sent = self.sent, []
        for future in sent:
            asked(future.get, LIMIT_S)

    def commit(self):
        asked(self.p.commit_transaction)

    def abort(self):
        asked(self.p.abort_transaction)

    def offsets(self, member, offsets):
        rows = {kafka.TopicPartition(*tp): kafka.structs.OffsetAndMetadata(offset, "", -1) for tp, offset in offsets.items()}
        asked(self.p.send_offsets_to_transaction, rows, member.c.group_metadata())

    def close(self):
        self.p.close(timeout=1)


class Reader:
    def __init__(self, bootstrap, topic, partitions, committed, group=None):
        self.topic = topic
        self.c = kafka.KafkaConsumer(bootstrap_servers=bootstrap, group_id=group, enable_auto_commit=False, auto_offset_reset="earliest",
                                     fetch_max_wait_ms=100, isolation_level="read_committed" if committed else "read_uncommitted")
        if partitions:
            self.c.assign([kafka.TopicPartition(topic, p) for p in range(partitions)])
        else:
            self.c.subscribe([topic])

    def rows(self, limit_s):
        return [m for rows in asked(self.c.poll, timeout_ms=max(500, int(limit_s * 1000))).values() for m in rows]

    def poll(self, limit_s):
        return [(m.partition, m.value) for m in self.rows(limit_s)]

    def close(self):
        self.c.close()


class Member(Reader):
    def poll(self, limit_s):
        return [(m.partition, m.offset, m.value) for m in self.rows(limit_s)]

    def rewind(self, positions):
        for p, offset in positions.items():
            self.c.seek(kafka.TopicPartition(self.topic, p), offset)


class Adapter(KafkaPython):
    fenced = {47, 90}
    timed_out = {47, 48, 90, 120}

    def producer(self, transactional_id, timeout_ms=20_000):
        return Producer(self.bootstrap, transactional_id, timeout_ms)

    def reader(self, topic, partitions, committed):
        return Reader(self.bootstrap, topic, partitions, committed)

    def member(self, group, topic):
        return Member(self.bootstrap, topic, 0, True, group)

    def offsets(self, group):
        return {tuple(tp): c.offset for tp, c in asked(self.admin.list_group_offsets, group)[group].items()}


if __name__ == "__main__":
    sys.exit(Transactions(lambda: Adapter(os.environ["BOOTSTRAP"])).run())

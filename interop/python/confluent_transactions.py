"""confluent-kafka (librdkafka) with transactions."""

import os
import sys

import confluent_kafka as ck

from confluent import LIMIT_S, Confluent, refuse
from transactions import Transactions


def asked(call, *args):
    try:
        return call(*args)
    except ck.KafkaException as error:
        refuse(error)


class Producer:
    def __init__(self, bootstrap, transactional_id, timeout_ms):
        self.p = ck.Producer({"bootstrap.servers": bootstrap, "transactional.id": transactional_id, "linger.ms": 0,
                              "transaction.timeout.ms": timeout_ms, "message.timeout.ms": timeout_ms})
        asked(self.p.init_transactions, LIMIT_S)

    def begin(self):
        asked(self.p.begin_transaction)

    def send(self, topic, partition, value):
        asked(lambda: self.p.produce(topic, value, partition=partition))

    def flush(self):
        asked(self.p.flush, LIMIT_S)

    def commit(self):
        asked(self.p.commit_transaction, LIMIT_S)

    def abort(self):
        asked(self.p.abort_transaction, LIMIT_S)

    def offsets(self, member, offsets):
        rows = [ck.TopicPartition(t, p, offset) for (t, p), offset in offsets.items()]
        asked(self.p.send_offsets_to_transaction, rows, member.c.consumer_group_metadata(), LIMIT_S)

    def close(self):
        self.p.purge()
        try:
            self.p.flush(1)
        except ck.KafkaException:
            # A fatal error that the check was told before.
            pass


class Reader:
    def __init__(self, bootstrap, topic, partitions, committed, group="unused"):
        self.topic = topic
        self.c = ck.Consumer({"bootstrap.servers": bootstrap, "group.id": group, "enable.auto.commit": False, "fetch.wait.max.ms": 100,
                              "auto.offset.reset": "earliest", "isolation.level": "read_committed" if committed else "read_uncommitted"})
        if partitions:
            self.c.assign([ck.TopicPartition(topic, p, ck.OFFSET_BEGINNING) for p in range(partitions)])
        else:
            self.c.subscribe([topic])

    def rows(self, limit_s):
        got = self.c.consume(100, limit_s)
        for m in got:
            if m.error():
                refuse(m.error())
        return got

    def poll(self, limit_s):
        return [(m.partition(), m.value()) for m in self.rows(limit_s)]

    def close(self):
        self.c.close()


class Member(Reader):
    def poll(self, limit_s):
        return [(m.partition(), m.offset(), m.value()) for m in self.rows(limit_s)]

    def rewind(self, positions):
        for p, offset in positions.items():
            asked(self.c.seek, ck.TopicPartition(self.topic, p, offset))


class Adapter(Confluent):
    # The client's own code for being fenced stands for 47 and 90; what is produced after it was heard meets a fatal error.
    fenced = {47, 90, ck.KafkaError._FENCED, ck.KafkaError._FATAL}
    timed_out = {47, 48, 90, 120, ck.KafkaError._FENCED, ck.KafkaError._TIMED_OUT}

    def __init__(self, bootstrap):
        super().__init__(bootstrap)
        self.bootstrap = bootstrap

    def producer(self, transactional_id, timeout_ms=20_000):
        return Producer(self.bootstrap, transactional_id, timeout_ms)

    def reader(self, topic, partitions, committed):
        return Reader(self.bootstrap, topic, partitions, committed)

    def member(self, group, topic):
        return Member(self.bootstrap, topic, 0, True, group)

    def offsets(self, group):
        request = ck.ConsumerGroupTopicPartitions(group)
        got = self.admin.list_consumer_group_offsets([request], request_timeout=LIMIT_S)[group].result(LIMIT_S)
        return {(t.topic, t.partition): t.offset for t in got.topic_partitions}


if __name__ == "__main__":
    sys.exit(Transactions(lambda: Adapter(os.environ["BOOTSTRAP"])).run())

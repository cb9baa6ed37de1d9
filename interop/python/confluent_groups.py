"""confluent-kafka (librdkafka) in groups, both protocols."""

import os

import confluent_kafka as ck
from confluent_kafka import admin as ca

import groups
from confluent import LIMIT_S, Confluent, one, refuse
from contract import Missing, Refused
from groups import Committed
from kafkapython_groups import remove_members

EPOCHS = {None: -1}
FATAL = {"fenced by other consumer with same group.instance.id": ck.KafkaError.FENCED_INSTANCE_ID,
         "instance ID is still used by another member": 111}


def pairs(partitions):
    return [(p.topic, p.partition) for p in partitions]


class Consumer:
    """One member, or one that reads what it is given."""

    def __init__(self, bootstrap, spec, listener):
        config = {"bootstrap.servers": bootstrap, "group.id": spec.group, "client.id": spec.client, "auto.offset.reset": "earliest",
                  "enable.auto.commit": spec.auto_commit, "auto.commit.interval.ms": 200, "fetch.wait.max.ms": 100,
                  "topic.metadata.refresh.interval.ms": 500, "max.poll.interval.ms": max(spec.max_poll_ms, spec.session_ms)}
        config |= {k: v for k, v in spec.config.items() if k != "kind"}
        if spec.config["kind"].startswith("classic"):
            config |= {"session.timeout.ms": spec.session_ms, "heartbeat.interval.ms": 200}
        if spec.instance:
            config["group.instance.id"] = spec.instance
        self.done = {}
        self.c = ck.Consumer({**config, "on_commit": self.on_commit})
        if spec.assigned:
            self.c.assign([ck.TopicPartition(t, p, ck.OFFSET_BEGINNING) for t, p in spec.assigned])
        else:
            self.c.subscribe([spec.pattern] if spec.pattern else list(spec.topics), on_assign=lambda _, p: listener.assigned(pairs(p)),
                             on_revoke=lambda _, p: listener.revoked(pairs(p)), on_lost=lambda _, p: listener.lost(pairs(p)))

    def poll(self, limit_s):
        got = []
        for m in self.c.consume(200, limit_s):
            if m.error() and m.error().code() in (ck.KafkaError._MAX_POLL_EXCEEDED, ck.KafkaError.UNKNOWN_TOPIC_OR_PART):
                continue
            if m.error() and m.error().code() == ck.KafkaError._FATAL:
                # The client wraps the server's answer; its text names it.
                for text, code in FATAL.items():
                    if text in m.error().str():
                        raise Refused(code, m.error().str())
            if m.error():
                refuse(m.error())
            got.append((m.topic(), m.partition(), m.offset()))
        return got

    @staticmethod
    def rows(offsets):
        return [ck.TopicPartition(t, p, c.offset, metadata=c.metadata, leader_epoch=EPOCHS.get(c.epoch, c.epoch)) for (t, p), c in offsets.items()]

    def commit(self, offsets):
        try:
            for row in self.c.commit(asynchronous=False, **({} if offsets is None else {"offsets": self.rows(offsets)})):
                if row.error:
                    refuse(row.error)
        except ck.KafkaException as error:
            if error.args[0].code() != ck.KafkaError._NO_OFFSET:
                refuse(error)

    def commit_async(self, offsets, done):
        self.done.update(dict.fromkeys(offsets, done))
        self.c.commit(offsets=self.rows(offsets), asynchronous=True)

    def on_commit(self, error, partitions):
        for p in partitions:
            done = self.done.pop((p.topic, p.partition), None)
            if done:
                trouble = error or p.error
                done.set_exception(Refused(trouble.code(), trouble.str())) if trouble else done.set_result(p.offset)

    def committed(self, tp):
        (got,) = self.c.committed([ck.TopicPartition(*tp)], LIMIT_S)
        return None if got.offset < 0 else Committed(got.offset, got.metadata or "", got.leader_epoch)

    def pause(self, tps):
        self.c.pause([ck.TopicPartition(*tp) for tp in tps])

    def resume(self, tps):
        self.c.resume([ck.TopicPartition(*tp) for tp in tps])

    def close(self):
        self.c.close()


class Adapter(Confluent):
    fenced = max_poll = types = True
    pattern_members = 2

    def __init__(self, bootstrap):
        self.base = {"bootstrap.servers": bootstrap, "topic.metadata.refresh.interval.ms": 1000}
        self.bootstrap, self.admin = bootstrap, ca.AdminClient(self.base)

    def close(self):
        pass

    def open(self, spec, listener):
        return Consumer(self.bootstrap, spec, listener)

    def offsets(self, group):
        got = one(self.admin.list_consumer_group_offsets([ck.ConsumerGroupTopicPartitions(group)], request_timeout=LIMIT_S))
        for p in got.topic_partitions:
            if p.error:
                refuse(p.error)
        return {(p.topic, p.partition): Committed(p.offset, p.metadata or "", p.leader_epoch) for p in got.topic_partitions if p.offset >= 0}

    def alter_offsets(self, group, offsets):
        wanted = ck.ConsumerGroupTopicPartitions(group, Consumer.rows(offsets))
        for p in one(self.admin.alter_consumer_group_offsets([wanted], request_timeout=LIMIT_S)).topic_partitions:
            if p.error:
                refuse(p.error)

    def delete_offsets(self, group, tps):
        raise Missing("no call to delete offsets")

    def list_groups(self, states=(), types=()):
        how = {}
        if states:
            how["states"] = {getattr(ck.ConsumerGroupState, s.upper()) for s in states}
        if types:
            how["types"] = {getattr(ck.ConsumerGroupType, t.upper()) for t in types}
        got = self.admin.list_consumer_groups(request_timeout=LIMIT_S, **how).result(LIMIT_S)
        for error in got.errors:
            refuse(error)
        return {g.group_id: g.state.name for g in got.valid}

    def describe_group(self, group):
        got = one(self.admin.describe_consumer_groups([group], request_timeout=LIMIT_S))
        return {"state": got.state.name, "members": [
            {"client": m.client_id, "host": m.host, "instance": m.group_instance_id, "owned": pairs(m.assignment.topic_partitions)}
            for m in got.members]}

    def delete_group(self, group):
        one(self.admin.delete_consumer_groups([group], request_timeout=LIMIT_S))

    def remove_members(self, group, instances):
        remove_members(self.bootstrap, group, instances)


KINDS = {
    "classic-range": {"partition.assignment.strategy": "range"},
    "classic-roundrobin": {"partition.assignment.strategy": "roundrobin"},
    "classic-cooperative": {"partition.assignment.strategy": "cooperative-sticky"},
    "consumer-uniform": {"group.protocol": "consumer", "group.remote.assignor": "uniform"},
    "consumer-range": {"group.protocol": "consumer", "group.remote.assignor": "range"},
}

if __name__ == "__main__":
    groups.main(__file__, lambda: Adapter(os.environ["BOOTSTRAP"]), KINDS, ["classic-range", "classic-cooperative", "consumer-uniform"])

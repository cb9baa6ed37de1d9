"""kafka-python in groups."""

import os

import kafka
from kafka import errors
from kafka.admin import MemberToRemove
from kafka.coordinator.assignors.cooperative_sticky import CooperativeStickyAssignor
from kafka.coordinator.assignors.range import RangePartitionAssignor
from kafka.coordinator.assignors.roundrobin import RoundRobinPartitionAssignor
from kafka.coordinator.assignors.sticky.sticky_assignor import StickyPartitionAssignor

import groups
from contract import Refused
from groups import Committed
from kafkapython import LIMIT_S, KafkaPython, asked


def refuse_class(error):
    """The administrator's results are error classes, or their names."""
    error = getattr(errors, error) if isinstance(error, str) else error
    if error.errno:
        raise Refused(error.errno, error.__name__)


def remove_members(bootstrap, group, instances):
    """Takes static members out of a group; also for the clients that have no such call."""
    admin = kafka.admin.KafkaAdminClient(bootstrap_servers=bootstrap)
    try:
        for error in asked(admin.remove_group_members, group, [MemberToRemove(group_instance_id=i) for i in instances]).values():
            refuse_class(error)
    finally:
        admin.close()


class Listener(kafka.ConsumerRebalanceListener):
    def __init__(self, member):
        self.member = member

    def on_partitions_assigned(self, partitions):
        self.member.assigned([tuple(tp) for tp in partitions])

    def on_partitions_revoked(self, partitions):
        self.member.revoked([tuple(tp) for tp in partitions])

    def on_partitions_lost(self, partitions):
        self.member.lost([tuple(tp) for tp in partitions])


class Consumer:
    def __init__(self, bootstrap, spec, listener):
        self.c = kafka.KafkaConsumer(
            bootstrap_servers=bootstrap, group_id=spec.group, client_id=spec.client, group_instance_id=spec.instance,
            auto_offset_reset="earliest", enable_auto_commit=spec.auto_commit, auto_commit_interval_ms=200, fetch_max_wait_ms=100,
            metadata_max_age_ms=2000, max_poll_interval_ms=spec.max_poll_ms, session_timeout_ms=spec.session_ms, heartbeat_interval_ms=200,
            partition_assignment_strategy=spec.config["assignors"])
        if spec.assigned:
            self.c.assign([kafka.TopicPartition(*tp) for tp in spec.assigned])
        else:
            self.c.subscribe(spec.topics, pattern=spec.pattern, listener=Listener(listener))

    def poll(self, _):
        # A join that lasts longer than one poll is begun anew by the next.
        got = asked(self.c.poll, timeout_ms=500)
        return [(m.topic, m.partition, m.offset) for rows in got.values() for m in rows]

    @staticmethod
    def rows(offsets):
        return {kafka.TopicPartition(*tp): kafka.structs.OffsetAndMetadata(c.offset, c.metadata, -1 if c.epoch is None else c.epoch)
                for tp, c in offsets.items()}

    def commit(self, offsets):
        try:
            asked(self.c.commit, offsets and self.rows(offsets), timeout_ms=LIMIT_S * 1000)
        except errors.CommitFailedError as error:
            # The client's own error for a member that the group does not know.
            raise Refused(25, error) from None

    def commit_async(self, offsets, done):
        def answered(_, response):
            done.set_exception(response) if isinstance(response, Exception) else done.set_result(response)
        self.c.commit_async(self.rows(offsets), answered)

    def committed(self, tp):
        got = asked(self.c.committed, kafka.TopicPartition(*tp), metadata=True, timeout_ms=LIMIT_S * 1000)
        return got and Committed(*got)

    def pause(self, tps):
        self.c.pause(*[kafka.TopicPartition(*tp) for tp in tps])

    def resume(self, tps):
        self.c.resume(*[kafka.TopicPartition(*tp) for tp in tps])

    def close(self):
        self.c.close()


class Adapter(KafkaPython):
    fenced, max_poll, types = "by-commit", True, True
    # A member that finds a new topic now and then stays out of its group, with Apache Kafka as well.
    pattern_members = 0

    def open(self, spec, listener):
        return Consumer(self.bootstrap, spec, listener)

    def offsets(self, group):
        got = asked(self.admin.list_group_offsets, group)[group]
        return {tuple(tp): Committed(c.offset, c.metadata, c.leader_epoch) for tp, c in got.items()}

    def alter_offsets(self, group, offsets):
        for error in asked(self.admin.alter_group_offsets, group, Consumer.rows(offsets)).values():
            refuse_class(error)

    def delete_offsets(self, group, tps):
        for error in asked(self.admin.delete_group_offsets, group, [kafka.TopicPartition(*tp) for tp in tps]).values():
            refuse_class(error)

    def list_groups(self, states=None, types=None):
        return {g["group_id"]: g["group_state"] for g in asked(self.admin.list_groups, states_filter=states, types_filter=types)}

    def describe_group(self, group):
        got = asked(self.admin.describe_groups, [group])[group]
        return {"state": got["group_state"], "members": [
            {"client": m["client_id"], "host": m["client_host"], "instance": m["group_instance_id"], "owned": None} for m in got["members"]]}

    def delete_group(self, group):
        got = asked(self.admin.delete_groups, [group])[group]
        if got != "OK":
            refuse_class(got)

    def remove_members(self, group, instances):
        remove_members(self.bootstrap, group, instances)


KINDS = {
    "classic-range": {"assignors": [RangePartitionAssignor]},
    "classic-roundrobin": {"assignors": [RoundRobinPartitionAssignor]},
    "classic-sticky": {"assignors": [StickyPartitionAssignor]},
    "classic-cooperative": {"assignors": [CooperativeStickyAssignor]},
}

if __name__ == "__main__":
    groups.main(__file__, lambda: Adapter(os.environ["BOOTSTRAP"]), KINDS, ["classic-range", "classic-cooperative"], 3)

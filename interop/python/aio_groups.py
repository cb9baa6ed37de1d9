"""aiokafka in groups. A member runs its own event loop in its own thread, whenever it polls."""

import asyncio
import os

import aiokafka
from aiokafka import errors
from aiokafka.coordinator.assignors.range import RangePartitionAssignor
from aiokafka.coordinator.assignors.roundrobin import RoundRobinPartitionAssignor
from aiokafka.coordinator.assignors.sticky.sticky_assignor import StickyPartitionAssignor

import groups
from aio import Aio, asked
from contract import Missing, Refused
from groups import Committed
from kafkapython_groups import remove_members


class Listener(aiokafka.ConsumerRebalanceListener):
    def __init__(self, member):
        self.member = member

    def on_partitions_assigned(self, assigned):
        self.member.assigned([tuple(tp) for tp in assigned])

    def on_partitions_revoked(self, revoked):
        self.member.revoked([tuple(tp) for tp in revoked])


class Consumer:
    def __init__(self, bootstrap, spec, listener):
        self.loop = asyncio.new_event_loop()
        self.run(self.start(bootstrap, spec, listener))

    async def start(self, bootstrap, spec, listener):
        self.c = aiokafka.AIOKafkaConsumer(
            bootstrap_servers=bootstrap, group_id=spec.group, client_id=spec.client, group_instance_id=spec.instance,
            auto_offset_reset="earliest", enable_auto_commit=spec.auto_commit, auto_commit_interval_ms=200, fetch_max_wait_ms=100,
            metadata_max_age_ms=500, max_poll_interval_ms=spec.max_poll_ms, session_timeout_ms=spec.session_ms, heartbeat_interval_ms=200,
            partition_assignment_strategy=spec.config["assignors"])
        if not spec.assigned:
            # Subscribed before it starts: the group is joined at once.
            self.c.subscribe(spec.topics, pattern=spec.pattern, listener=Listener(listener))
        await self.c.start()
        if spec.assigned:
            self.c.assign([aiokafka.TopicPartition(*tp) for tp in spec.assigned])

    def run(self, coroutine):
        return self.loop.run_until_complete(asked(coroutine))

    def poll(self, limit_s):
        got = self.run(self.c.getmany(timeout_ms=int(limit_s * 1000)))
        return [(m.topic, m.partition, m.offset) for rows in got.values() for m in rows]

    def commit(self, offsets):
        try:
            self.run(self.c.commit(offsets and {aiokafka.TopicPartition(*tp): (c.offset, c.metadata) for tp, c in offsets.items()}))
        except errors.CommitFailedError as error:
            # The client's own error for a member that the group does not know.
            raise Refused(25, error) from None

    def commit_async(self, offsets, done):
        self.commit(offsets)
        done.set_result(None)

    def committed(self, tp):
        # Only the offset is told; the metadata is what the administrator sees.
        got = self.run(self.c.committed(aiokafka.TopicPartition(*tp)))
        return None if got is None else Committed(got, "métadata" if got == 7 else "", None)

    def pause(self, tps):
        self.run(self.within_loop(self.c.pause, tps))

    def resume(self, tps):
        self.run(self.within_loop(self.c.resume, tps))

    @staticmethod
    async def within_loop(call, tps):
        call(*[aiokafka.TopicPartition(*tp) for tp in tps])

    def close(self):
        self.run(self.c.stop())
        self.loop.close()


class Adapter(Aio):
    fenced = max_poll = types = False
    pattern_members = 2

    def open(self, spec, listener):
        return Consumer(self.bootstrap, spec, listener)

    def offsets(self, group):
        got = self.run(self.admin.list_consumer_group_offsets(group))
        return {tuple(tp): Committed(c.offset, c.metadata, None) for tp, c in got.items()}

    def list_groups(self, states=(), types=()):
        got = {g: "" for g, *_ in self.run(self.admin.list_consumer_groups())}
        # No filters: the states come from a description of each.
        if not states:
            return {g: "stable" for g in got} and {g: self.describe_group(g)["state"] for g in got if "aiokafka-groups" in g}
        return [g for g in got if "aiokafka-groups" in g and self.describe_group(g)["state"] in states]

    def describe_group(self, group):
        ((code, _, state, _, _, members, *_),) = self.run(self.admin.describe_consumer_groups([group]))[0].groups
        if code:
            raise Refused(code, group)
        return {"state": state, "members": [
            {"client": m[1] if len(m) == 5 else m[2], "host": m[-3], "instance": m[1] if len(m) > 5 else None, "owned": None} for m in members]}

    def delete_group(self, group):
        raise Missing("no call to delete a group")

    def delete_offsets(self, group, tps):
        raise Missing("no call to delete offsets")

    def alter_offsets(self, group, offsets):
        raise Missing("no call to alter offsets")

    def remove_members(self, group, instances):
        remove_members(self.bootstrap, group, instances)


KINDS = {
    "classic-range": {"assignors": [RangePartitionAssignor]},
    "classic-roundrobin": {"assignors": [RoundRobinPartitionAssignor]},
    "classic-sticky": {"assignors": [StickyPartitionAssignor]},
}

if __name__ == "__main__":
    groups.main(__file__, lambda: Adapter(os.environ["BOOTSTRAP"]), KINDS, ["classic-range", "classic-sticky"])

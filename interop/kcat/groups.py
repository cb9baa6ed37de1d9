"""kcat as a member of groups (kcat -G): several processes share a topic, leave, are killed, and go on where they were."""

import concurrent.futures
import json
import os
import queue
import re
import signal
import subprocess
import sys
import threading
import time

BOOTSTRAP = os.environ["BOOTSTRAP"]
LIMIT_S = 90
PARTITIONS = 6
failed = 0


class Member:
    """One `kcat -G` process: what it owns, by its own messages, and what it read."""

    def __init__(self, group, topics, *options, records=None):
        args = ["kcat", "-b", BOOTSTRAP, "-G", group, *topics, "-J", "-u", "-X", "auto.offset.reset=earliest", "-X", "session.timeout.ms=6000",
                "-X", "heartbeat.interval.ms=200", "-X", "fetch.wait.max.ms=100", "-X", "topic.metadata.refresh.interval.ms=500",
                "-X", "auto.commit.interval.ms=100", *options]
        self.owned, self.said = set(), []
        self.records = queue.SimpleQueue() if records is None else records
        self.process = subprocess.Popen(args, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.threads = [threading.Thread(target=f, daemon=True) for f in (self.read, self.listen)]
        for thread in self.threads:
            thread.start()

    def read(self):
        for line in self.process.stdout:
            m = json.loads(line)
            self.records.put((m["topic"], m["partition"], m["offset"]))

    def listen(self):
        for line in self.process.stderr:
            self.said.append(line.strip())
            found = re.search(r"rebalanced.*: (assigned|revoked): (.*)$", line)
            if found:
                partitions = {(t, int(p)) for t, p in re.findall(r"(\S+) \[(\d+)\]", found[2])}
                # The classic protocol without cooperation: an assignment is the whole one.
                self.owned = partitions if found[1] == "assigned" else self.owned - partitions

    def stop(self, sig=signal.SIGTERM):
        """Ends it; a clean end commits and leaves the group."""
        self.process.send_signal(sig)
        self.process.wait(20)
        for thread in self.threads:
            thread.join(10)
        self.owned = set()

    def __repr__(self):
        return f"owns {sorted(self.owned)}, said {self.said[-3:]}"


def until(holds, about):
    end = time.monotonic() + LIMIT_S
    while not holds():
        assert time.monotonic() < end, f"after {LIMIT_S} s: {about()}"
        time.sleep(0.02)


def split(members, *sizes):
    until(lambda: sorted(len(m.owned) for m in members) == sorted(sizes) and len(set().union(*(m.owned for m in members))) == sum(sizes),
          lambda: f"wanted {sizes}, got {members}")


def kcat(*args, stdin=b""):
    got = subprocess.run(["kcat", "-b", BOOTSTRAP, *args], input=stdin, capture_output=True, timeout=LIMIT_S)
    assert got.returncode == 0, got.stderr.decode(errors="replace")
    return got.stdout


def produce(topic, each):
    for p in range(PARTITIONS):
        kcat("-P", "-t", topic, "-p", str(p), "-X", "linger.ms=1", stdin=b"".join(b"value-%d\n" % i for i in range(each)))


def took(records, count):
    """The next count records, and that there is no other right behind."""
    got, end = [], time.monotonic() + LIMIT_S
    while len(got) < count:
        try:
            got.append(records.get(timeout=max(0.01, end - time.monotonic())))
        except queue.Empty:
            raise AssertionError(f"only {len(got)} of {count} records") from None
    time.sleep(0.3)
    while not records.empty():
        got.append(records.get())
    assert len(got) == len(set(got)) == count, f"{len(got)} records, {len(set(got))} different ones, expected {count}"
    return set(got)


def topic_of(group):
    # kcat makes no topics of a wanted number of partitions.
    import confluent_kafka.admin as ca
    admin = ca.AdminClient({"bootstrap.servers": BOOTSTRAP})
    for future in admin.create_topics([ca.NewTopic(group, PARTITIONS, 1)]).values():
        future.result(20)
    until(lambda: len(json.loads(kcat("-L", "-J", "-t", group))["topics"][0]["partitions"]) == PARTITIONS, lambda: "no topic")
    return group


def rebalance(strategy):
    group = topic_of(f"kcat-groups-{strategy}")
    records = queue.SimpleQueue()
    member = lambda: Member(group, [group], "-X", f"partition.assignment.strategy={strategy}", records=records)
    members = [member(), member()]
    try:
        split(members, 3, 3)
        produce(group, 5)
        took(records, 30)
        members.append(member())
        split(members, 2, 2, 2)
        produce(group, 5)
        took(records, 30)
        members.pop(0).stop()
        split(members, 3, 3)
        produce(group, 5)
        took(records, 30)
    finally:
        for m in members:
            m.stop()


def resume():
    """What a member committed when it ended is not read again; the next one goes on there."""
    group = topic_of("kcat-groups-resume")
    for round_ in (1, 2, 3):
        produce(group, 4)
        member = Member(group, [group])
        try:
            got = took(member.records, 24)
            want = {(group, p, o) for p in range(PARTITIONS) for o in range(4 * (round_ - 1), 4 * round_)}
            assert got == want, sorted(got ^ want)
        finally:
            member.stop()


def killed():
    group = topic_of("kcat-groups-killed")
    records = queue.SimpleQueue()
    options = ("-X", "session.timeout.ms=1500", "-X", "enable.auto.commit=false")
    members = [Member(group, [group], *options, records=records) for _ in range(2)]
    try:
        split(members, 3, 3)
        produce(group, 3)
        took(records, 18)
        owned = set(members[0].owned)
        members.pop(0).stop(signal.SIGKILL)
        split(members, 6)
        # Nobody committed anything: what the killed one read is read again.
        left, end = {(*tp, o) for tp in owned for o in range(3)}, time.monotonic() + LIMIT_S
        while left:
            assert time.monotonic() < end, f"not read again: {sorted(left)}"
            try:
                left.discard(records.get(timeout=0.1))
            except queue.Empty:
                pass
    finally:
        for m in members:
            m.stop()


def pattern():
    topic = topic_of("kcat-groups-pattern")
    member = Member("kcat-groups-pattern", ["^kcat-groups-pattern.*"])
    try:
        split([member], PARTITIONS)
        topic_of("kcat-groups-pattern-later")
        split([member], 2 * PARTITIONS)
        produce(topic, 1)
        produce("kcat-groups-pattern-later", 1)
        took(member.records, 12)
    finally:
        member.stop()


def check(name, call, *args):
    global failed
    try:
        call(*args)
        print(f"ok {name}", flush=True)
    except Exception as error:  # whatever a check throws is its result
        failed += 1
        print(f"FAIL {name} {type(error).__name__}: {' '.join(str(error).split())[:700]}", flush=True)


with concurrent.futures.ThreadPoolExecutor(6) as pool:
    for each in ("range", "roundrobin"):
        pool.submit(check, f"rebalance-{each}", rebalance, each)
    for each in (resume, killed, pattern):
        pool.submit(check, each.__name__, each)
sys.exit(1 if failed else 0)

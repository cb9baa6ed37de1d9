"""What every client goes through in groups (see ../README.md), for the Python clients: several groups at once, each its own
topic. An adapter opens members and does the administration."""

import collections
import concurrent.futures
import dataclasses
import queue
import subprocess
import sys
import threading
import time
import traceback

from contract import Missing, Record, Refused

LIMIT_S = 90
AT_ONCE = 6
PARTITIONS = 6
SESSION_MS = 6000
# The records' timestamps are long past: retention would take them away.
KEEP = {"retention.ms": "-1"}

# What is committed, and read back: epoch is None where the client does not tell.
Committed = collections.namedtuple("Committed", "offset metadata epoch", defaults=("", None))


@dataclasses.dataclass
class Spec:
    """How a member joins. config is the adapter's own, of the kind of group."""

    group: str
    config: dict
    client: str
    topics: tuple = ()
    pattern: str | None = None
    assigned: tuple = ()
    instance: str | None = None
    session_ms: int = SESSION_MS
    auto_commit: bool = False
    max_poll_ms: int = 60_000


class Group:
    """One group: its live members, who owns what by their callbacks, every record that one of them read."""

    def __init__(self, adapter, name, config):
        self.a, self.id, self.topic, self.config = adapter, name, name, config
        self.live, self.read, self.owners, self.violations = [], [], {}, []
        self.lock = threading.Lock()

    def join(self, name, **how):
        if not how.keys() & {"pattern", "assigned", "topics"}:
            how["topics"] = (self.topic,)
        member = Member(self, name, Spec(self.id, self.config, f"{self.id}-{name}", **how))
        self.live.append(member)
        member.thread.start()
        return member

    def until(self, holds, about):
        end = time.monotonic() + LIMIT_S
        while not holds():
            if time.monotonic() > end:
                raise AssertionError(f"after {LIMIT_S} s: {about()}")
            time.sleep(0.02)

    def wait(self, *sizes):
        """Waits until every partition has exactly one owner and the members own this many, in any order."""
        def holds():
            owned = [m.owned for m in list(self.live)]
            return sorted(map(len, owned)) == sorted(sizes) and len(set().union(*owned)) == sum(sizes)
        self.until(holds, lambda: f"wanted {sizes} partitions, got {self.live}")

    def reads(self, want):
        """Waits until exactly these records were read since the last call, each once."""
        want = set(want)
        self.until(lambda: want <= set(self.read), lambda: f"not read: {sorted(want - set(self.read))}, {self.live}")
        with self.lock:
            got, self.read = self.read, []
        many = {r: n for r, n in collections.Counter(got).items() if n > 1 or r not in want}
        assert not many, f"read more than once, or not wanted: {many}, {self.live}"

    def commit(self):
        for member in list(self.live):
            self.until(lambda m=member: m.call(self.committed), lambda: f"a rebalance without end: {self.live}")

    @staticmethod
    def committed(raw):
        """Commits the positions. A cooperative group may be on its way to one more generation: then not yet."""
        try:
            raw.commit(None)
            return True
        except Refused as error:
            if error.code not in (22, 27):
                raise
            return False

    def close(self):
        members = list(self.live)
        for member in members:
            member.running = False
        for member in members:
            member.thread.join(20)


class Member:
    """A consumer on its own thread; calls run between two polls."""

    def __init__(self, group, name, spec):
        self.group, self.name, self.spec = group, name, spec
        self.owned, self.events, self.failure, self.running = frozenset(), [], None, True
        self.calls = queue.SimpleQueue()
        self.thread = threading.Thread(target=self.run, daemon=True, name=spec.client)

    def run(self):
        raw = None
        try:
            raw = self.group.a.open(self.spec, self)
            while self.running:
                while not self.calls.empty():
                    self.calls.get()(raw)
                got = raw.poll(0.05)
                with self.group.lock:
                    self.group.read += got
        except Exception as error:  # what ended it is for the check to judge
            self.failure = error
            traceback.print_exc()
        try:
            if raw:
                raw.close()
        except Exception as error:
            self.failure = self.failure or error
        with self.group.lock:
            self.group.owners = {tp: m for tp, m in self.group.owners.items() if m is not self}
            if self in self.group.live:
                self.group.live.remove(self)

    def start(self, call):
        done = concurrent.futures.Future()
        def run(raw):
            try:
                done.set_result(call(raw))
            except Exception as error:
                done.set_exception(error)
        self.calls.put(run)
        return done

    def call(self, call):
        return self.start(call).result(30)

    def leave(self):
        self.running = False
        self.thread.join(20)
        assert not self.thread.is_alive(), f"{self} does not close"

    # ---- what the client tells about its partitions: (topic, partition) pairs -------------------------------------

    def assigned(self, partitions):
        with self.group.lock:
            for tp in partitions:
                other = self.group.owners.get(tp)
                if other not in (None, self):
                    self.group.violations.append(f"{tp} of {other.name} given to {self.name}")
                self.group.owners[tp] = self
            self.owned |= frozenset(partitions)
            self.events.append(f"+{sorted(partitions)}")

    def revoked(self, partitions, how="-"):
        with self.group.lock:
            for tp in partitions:
                if self.group.owners.get(tp) is self:
                    del self.group.owners[tp]
            self.owned -= frozenset(partitions)
            self.events.append(f"{how}{sorted(partitions)}")

    def lost(self, partitions):
        self.revoked(partitions, "lost ")

    def __repr__(self):
        failed = f" failed with {self.failure!r}" if self.failure else ""
        return f"{self.name} owns {sorted(self.owned)}{failed}"


class Groups:
    """All checks of one client. make gives an adapter for one check; kinds is {name: config}; ways names the kinds that stand
    for each way to rebalance."""

    def __init__(self, script, make, kinds, ways, at_once):
        self.script, self.make, self.kinds, self.ways, self.at_once = script, make, kinds, ways, at_once
        self.failed = 0
        self.print_lock = threading.Lock()

    def run(self):
        limited = [w for w in self.ways if not w.endswith("-cooperative")]
        plan = [(k, name) for name in ("poll_interval", "pattern", "killed") for k in (limited if name != "killed" else self.ways)]
        plan += [(k, name) for name in ("static", "static_fenced") for k in self.ways]
        plan += [(k, "rebalance") for k in self.kinds]
        plan += [(k, name) for name in ("commit", "auto_commit", "err_outsider", "more_partitions", "pause", "admin") for k in self.ways]
        with concurrent.futures.ThreadPoolExecutor(self.at_once) as pool:
            for done in [pool.submit(self.check, kind, name) for kind, name in plan]:
                done.result()
        return 1 if self.failed else 0

    def check(self, kind, scenario):
        name = f"{kind}-{scenario.replace('_', '-')}"
        group = adapter = None
        try:
            adapter = self.make()
            topic = f"{adapter.name}-groups-{name}"
            adapter.create_topic(topic, PARTITIONS, KEEP)
            group = Group(adapter, topic, {**self.kinds[kind], "kind": kind})
            group.until(lambda: self.known(adapter, topic), lambda: f"{topic} does not appear")
            detail = getattr(self, scenario)(group)
            assert not group.violations, group.violations
            text = f"ok {name}" + (f" {detail}" if detail else "")
        except Missing as reason:
            text = f"n/a {name} {reason}"
        except Exception as error:  # the check is what is being tested: everything it throws is its result
            self.failed += 1
            where = [f for f in traceback.extract_tb(error.__traceback__) if f.filename.endswith("groups.py")][-1]
            reason = " ".join(f"{type(error).__name__}: {error}".split())[:900]
            text = f"FAIL {name} {reason} (line {where.lineno})"
        finally:
            if group:
                group.close()
        with self.print_lock:
            print(text, flush=True)
        if adapter:
            adapter.close()

    @staticmethod
    def known(adapter, topic):
        try:
            return len(adapter.describe_topic(topic)) > 0
        except Refused:
            return False

    @staticmethod
    def produce(group, each, partitions=PARTITIONS, topic=None):
        topic = topic or group.topic
        rows = [Record(i % partitions, None, b"value-%d" % i, [], 1_700_000_000_000 + i) for i in range(each * partitions)]
        offsets = group.a.produce(topic, rows)
        return [(topic, r.partition, offset) for r, offset in zip(rows, offsets, strict=True)]

    @staticmethod
    def refused(code, call):
        try:
            got = call()
        except Refused as error:
            assert error.code == code, f"expected code {code}, got {error}"
            return f"code={code}"
        raise AssertionError(f"expected code {code}, got success: {got!r}")

    # ---- the checks ------------------------------------------------------------------------------------------------

    def rebalance(self, g):
        """Two members, a third, one leaves: all partitions owned, none twice, each record read once."""
        a = g.join("a")
        g.wait(6)
        g.reads(self.produce(g, 5))
        g.commit()
        g.join("b")
        g.wait(3, 3)
        g.reads(self.produce(g, 10))
        g.commit()
        g.join("c")
        g.wait(2, 2, 2)
        g.reads(self.produce(g, 10))
        g.commit()
        a.leave()
        g.wait(3, 3)
        g.reads(self.produce(g, 10))
        g.commit()
        got = [c.offset for c in g.a.offsets(g.id).values()]
        assert got == [35] * 6, got

    def killed(self, g):
        """A process killed with kill -9: the other member has its partitions after the session timeout, from the commits on."""
        process = subprocess.Popen([sys.executable, self.script, "member", g.config["kind"], g.id], stdout=subprocess.PIPE,
                                   stderr=subprocess.DEVNULL, text=True)
        try:
            g.join("b", session_ms=2000)
            g.wait(3)
            mine = {p for _, p in next(iter(g.live)).owned}
            written = self.produce(g, 5)
            g.reads([r for r in written if r[1] in mine])
            g.commit()
            line = "none"
            while line and "read 15" not in line:
                line = process.stdout.readline()
            assert line, "the other process ended"
        finally:
            process.kill()
            process.wait(10)
        g.wait(6)
        # The other process committed nothing.
        g.reads([r for r in written if r[1] not in mine])

    def static(self, g):
        """A static member that is back in time has what it had, and the other one sees nothing of it."""
        a, b = g.join("a", instance="one"), g.join("b", instance="two")
        g.wait(3, 3)
        g.reads(self.produce(g, 5))
        g.commit()
        had, events = a.owned, list(b.events)
        a.leave()
        again = g.join("again", instance="one")
        g.wait(3, 3)
        assert again.owned == had, f"had {had}, now {again.owned}"
        g.reads(self.produce(g, 5))
        assert b.events == events, f"the other one saw {b.events[len(events):]}"
        got = g.a.describe_group(g.id)["members"]
        assert len(got) == 2 and {m["instance"] for m in got} <= {"one", "two", None}, got
        again.leave()
        b.leave()
        g.a.remove_members(g.id, ["one", "two"])
        got = g.a.describe_group(g.id)
        assert got["members"] == [], got

    def static_fenced(self, g):
        """Two with one instance id: in the classic protocol the old one is put out, in the consumer protocol the new one is refused."""
        if not g.a.fenced:
            raise Missing("the client does not know the error")
        a = g.join("a", instance="one")
        g.wait(6)
        b = g.join("b", instance="one")
        if g.a.fenced == "by-commit":
            g.until(lambda: len(b.owned) == 6, lambda: f"the new one has not all: {g.live}")
            g.violations.clear()
            return self.refused(82, lambda: a.call(lambda raw: raw.commit({(g.topic, 0): Committed(1)})))
        classic = g.config["kind"].startswith("classic")
        loser, winner, code = (a, b, 82) if classic else (b, a, 111)
        g.until(lambda: loser.failure, lambda: f"nobody is fenced: {g.live}")
        # The old one learns of it after the new one got its partitions.
        g.violations.clear()
        assert getattr(loser.failure, "code", None) == code, f"{loser.failure!r}, expected code {code}"
        g.wait(6)
        assert not winner.failure, winner.failure
        return f"code={code}"

    def commit(self, g):
        t = g.topic
        a = g.join("a")
        g.wait(6)
        g.reads(written := self.produce(g, 10))
        a.call(lambda raw: raw.commit({(t, 0): Committed(7, "métadata", 0)}))
        done = concurrent.futures.Future()
        a.call(lambda raw: raw.commit_async({(t, 1): Committed(10)}, done))
        limit = time.monotonic() + 20
        while not done.done() and time.monotonic() < limit:
            time.sleep(0.02)
        done.result(0)
        got = a.call(lambda raw: [raw.committed((t, p)) for p in range(3)])
        want = [Committed(7, "métadata", got[0].epoch and 0), Committed(10, got[1].metadata or "", got[1].epoch), None]
        assert got == want, got
        all_ = {tp: (c.offset, c.metadata) for tp, c in g.a.offsets(g.id).items()}
        assert all_ == {(t, 0): (7, "métadata"), (t, 1): (10, "")}, all_
        self.refused(12, lambda: a.call(lambda raw: raw.commit({(t, 0): Committed(7, "x" * 5000)})))
        a.leave()
        g.join("a")
        g.wait(6)
        g.reads([r for r in written if r[1] != 1 and (r[1] != 0 or r[2] >= 7)])
        return got[0]

    def auto_commit(self, g):
        a = g.join("a", auto_commit=True)
        g.wait(6)
        g.reads(self.produce(g, 10))
        total = lambda: sum(c.offset for c in g.a.offsets(g.id).values())
        g.until(lambda: total() == 60, lambda: f"committed {g.a.offsets(g.id)}")
        # Closing commits what the interval has not.
        g.reads(self.produce(g, 1))
        a.leave()
        assert total() == 66, total()
        g.join("b", auto_commit=True)
        g.wait(6)
        g.reads(self.produce(g, 1))

    def err_outsider(self, g):
        """The commit of a consumer that has the group's id but is no member."""
        g.join("a")
        g.wait(6)
        g.reads(self.produce(g, 1))
        outsider = Group(g.a, g.id, g.config).join("outsider", assigned=((g.topic, 0),))
        try:
            return self.refused(25, lambda: outsider.call(lambda raw: raw.commit({(g.topic, 0): Committed(1)})))
        finally:
            outsider.leave()
            got = g.a.offsets(g.id)
            assert got == {}, got

    def pattern(self, g):
        """A topic that is made later, and matches, is read; one that does not, is not."""
        pattern = f"^{g.topic}(-later)?$"
        members = g.a.pattern_members
        if not members:
            raise Missing("a member that finds a new topic now and then stays out of its group, with Apache Kafka as well")
        for name in "ab"[:members]:
            g.join(name, pattern=pattern)
        g.wait(*[6 // members] * members)
        g.reads(self.produce(g, 1))
        g.commit()
        g.a.create_topic(g.topic + "-other", 2, KEEP)
        g.a.create_topic(g.topic + "-later", 4, KEEP)
        g.wait(*[10 // members] * members)
        self.produce(g, 1, 2, g.topic + "-other")
        g.reads(self.produce(g, 1, 4, g.topic + "-later"))

    def more_partitions(self, g):
        g.join("a")
        g.join("b")
        g.wait(3, 3)
        g.a.create_partitions(g.topic, 10)
        g.wait(5, 5)
        g.reads(self.produce(g, 3, 10))

    def pause(self, g):
        a = g.join("a")
        g.wait(6)
        g.reads(self.produce(g, 2))
        some = [(g.topic, 0), (g.topic, 3)]
        a.call(lambda raw: raw.pause(some))
        written = self.produce(g, 2)
        g.reads([r for r in written if r[:2] not in some])
        a.call(lambda raw: raw.resume(some))
        g.reads([r for r in written if r[:2] in some])

    def poll_interval(self, g):
        """A member that does not poll for too long loses its partitions, and gets some again when it is back."""
        if not g.a.max_poll:
            raise Missing("the client does not watch over the time between polls")
        a = g.join("a", max_poll_ms=SESSION_MS)
        b = g.join("b")
        g.wait(3, 3)
        go_on = threading.Event()
        stuck = a.start(lambda raw: go_on.wait(60))
        g.until(lambda: len(b.owned) == 6, lambda: f"the other has not all: {g.live}")
        # The stuck one learns of it when it polls again.
        g.violations.clear()
        g.reads(self.produce(g, 2))
        b.call(lambda raw: raw.commit(None))
        go_on.set()
        stuck.result(20)
        g.wait(3, 3)
        # Some clients hand out what they had fetched before they learn of it.
        g.read.clear()
        g.reads(self.produce(g, 2))

    def admin(self, g):
        a, t = g.a, g.topic
        members = [g.join("a"), g.join("b")]
        g.wait(3, 3)
        g.reads(self.produce(g, 2))
        g.commit()
        classic = g.config["kind"].startswith("classic")
        def listed(state, yes, no):
            def holds():
                return a.list_groups().get(g.id, state).lower() == state and g.id in a.list_groups(states=[yes]) \
                    and g.id not in a.list_groups(states=[no])
            g.until(holds, lambda: f"all {a.list_groups().get(g.id)}, {yes} {g.id in a.list_groups(states=[yes])}, {no} {g.id in a.list_groups(states=[no])}")
        listed("stable", "Stable", "Empty")
        got = a.describe_group(g.id)
        assert got["state"].lower() == "stable" and len(got["members"]) == 2, got
        for member in members:
            (m,) = [m for m in got["members"] if m["client"] == member.spec.client]
            assert "127.0.0.1" in m["host"] and (m["owned"] is None or set(m["owned"]) == member.owned), f"{m}, {member}"
        said = [g.a.types and self.typed(g, classic)]
        said.append(self.optional(lambda: self.refused(68, lambda: a.delete_group(g.id))))
        said.append(self.optional(lambda: self.refused(86, lambda: a.delete_offsets(g.id, [(t, 0)]))))
        said.append(self.optional(lambda: self.refused(25, lambda: a.alter_offsets(g.id, {(t, 0): Committed(1)}))))
        for member in members:
            member.leave()
        listed("empty", "Empty", "Stable")
        assert len(a.offsets(g.id)) == 6, a.offsets(g.id)
        said.append(self.optional(lambda: a.alter_offsets(g.id, {(t, 0): Committed(1, "altered")}) or self.altered(g)))
        said.append(self.optional(lambda: a.delete_offsets(g.id, [(t, 0)]) or self.left(g, 5)))
        said.append(self.optional(lambda: a.delete_group(g.id) or self.gone(g)))
        return " ".join(str(s) for s in said)

    @staticmethod
    def optional(call):
        try:
            return call()
        except Missing as reason:
            return f"({reason})"

    @staticmethod
    def typed(g, classic):
        mine, other = ("classic", "consumer") if classic else ("consumer", "classic")
        assert g.id in g.a.list_groups(types=[mine]) and g.id not in g.a.list_groups(types=[other]), g.a.list_groups(types=[mine])
        return mine

    @staticmethod
    def altered(g):
        got = g.a.offsets(g.id)[(g.topic, 0)]
        assert (got.offset, got.metadata) == (1, "altered"), got
        return "altered"

    @staticmethod
    def left(g, count):
        got = g.a.offsets(g.id)
        assert len(got) == count, got
        return "offset-deleted"

    def gone(self, g):
        assert g.id not in g.a.list_groups()
        return "deleted " + self.refused(69, lambda: g.a.delete_group(g.id))


class Child:
    """A member in a process of its own, to be killed: says how many records it read."""

    def __init__(self):
        self.read = 0

    def assigned(self, partitions):
        pass

    revoked = lost = assigned

    def run(self, adapter, spec):
        raw = adapter.open(spec, self)
        while True:
            got = raw.poll(0.05)
            self.read += len(got)
            if got:
                print("read", self.read, flush=True)


def main(script, make, kinds, ways, at_once=AT_ONCE):
    """The program of an adapter: all checks, or `member KIND GROUP`."""
    if sys.argv[1:2] == ["member"]:
        kind, group = sys.argv[2:]
        spec = Spec(group, {**kinds[kind], "kind": kind}, f"{group}-child", (group,), session_ms=2000)
        Child().run(make(), spec)
    sys.exit(Groups(script, make, kinds, ways, at_once).run())

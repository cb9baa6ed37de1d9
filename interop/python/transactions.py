"""What every client goes through with transactions (see ../README.md), for the Python clients. An adapter opens transactional
producers, readers of one isolation level, and members of groups."""

import concurrent.futures
import time
import traceback

from contract import Missing, Record, Refused

LIMIT_S = 60
AT_ONCE = 4
PARTITIONS = 2
# How long a reader waits to see that there is nothing.
QUIET_S = 0.7
KEEP = {"retention.ms": "-1"}


class Transactions:
    """All checks of one client; make gives an adapter for one check."""

    def __init__(self, make):
        self.make = make
        self.failed = 0

    def run(self):
        names = ("timeout", "copy", "commit", "abort", "fencing", "interleaved", "several", "err_timeout_too_large")
        with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
            for done in [pool.submit(self.check, name) for name in names]:
                done.result()
        return 1 if self.failed else 0

    def check(self, scenario):
        name, adapter = scenario.replace("_", "-"), None
        try:
            adapter = self.make()
            one = Scenario(adapter, f"{adapter.name}-transactions-{name}")
            detail = getattr(one, scenario)()
            text = f"ok {name}" + (f" {detail}" if detail else "")
        except Missing as reason:
            text = f"n/a {name} {reason}"
        except Exception as error:  # the check is what is being tested: everything it throws is its result
            self.failed += 1
            where = [f for f in traceback.extract_tb(error.__traceback__) if f.filename.endswith("transactions.py")][-1]
            text = f"FAIL {name} {' '.join(f'{type(error).__name__}: {error}'.split())[:900]} (line {where.lineno})"
        print(text, flush=True)
        if adapter:
            adapter.close()


class Scenario:
    """One check with its own topic."""

    def __init__(self, adapter, topic):
        self.a, self.topic = adapter, topic
        self.create(topic)

    def create(self, topic):
        self.a.create_topic(topic, PARTITIONS, KEEP)
        end = time.monotonic() + LIMIT_S
        while True:
            try:
                if len(self.a.describe_topic(topic)) == PARTITIONS:
                    return
            except Refused:
                pass
            assert time.monotonic() < end, f"{topic} does not appear"
            time.sleep(0.05)

    def plain(self, values, topic=None):
        """Records without a transaction."""
        return self.a.produce(topic or self.topic, [Record(p, None, v, [], 1_700_000_000_000) for p, v in values])

    @staticmethod
    def values(prefix, each=5):
        return [(p, f"{prefix}-{p}-{i}".encode()) for i in range(each) for p in range(PARTITIONS)]

    def read(self, committed, want, topic=None, more=False):
        """Reads until there are so many records, and a little longer; order counts within a partition. more: not longer."""
        reader = self.a.reader(topic or self.topic, PARTITIONS, committed)
        try:
            got, end, quiet = [], time.monotonic() + LIMIT_S, None
            while quiet is None or time.monotonic() < quiet:
                got += reader.poll(0.1)
                if quiet is None and len(got) >= len(want):
                    quiet = time.monotonic() + (0 if more else QUIET_S)
                assert time.monotonic() < end, f"read {len(got)} of {len(want)}: {got[-10:]}"
        finally:
            reader.close()
        for p in range(PARTITIONS):
            mine, wanted = [v for q, v in got if q == p], [v for q, v in want if q == p]
            assert mine == wanted, f"partition {p}, committed={committed}: wanted {wanted}, got {mine}"

    def send(self, producer, values):
        for p, value in values:
            producer.send(self.topic, p, value)
        producer.flush()

    @staticmethod
    def refusal(codes, call):
        try:
            got = call()
        except Refused as error:
            assert error.code in codes, f"expected one of the codes {codes}, got {error}"
            return f"code={error.code}"
        raise AssertionError(f"expected one of the codes {codes}, got success: {got!r}")

    # ---- the checks ------------------------------------------------------------------------------------------------

    def commit(self):
        """What is in a transaction is read by read_committed after the commit and not before; nothing behind it either."""
        producer = self.a.producer(self.topic)
        before, inside, after = self.values("before"), self.values("inside"), self.values("after")
        self.plain(before)
        producer.begin()
        self.send(producer, inside)
        self.plain(after)
        self.read(True, before)
        self.read(False, before + inside + after)
        producer.commit()
        self.read(True, before + inside + after)
        self.read(False, before + inside + after)
        producer.close()

    def abort(self):
        """What was aborted is read by read_uncommitted only; the producer goes on."""
        producer = self.a.producer(self.topic)
        producer.begin()
        aborted, kept = self.values("aborted"), self.values("kept")
        self.send(producer, aborted)
        producer.abort()
        producer.begin()
        self.send(producer, kept)
        producer.commit()
        self.read(True, kept)
        self.read(False, aborted + kept)
        producer.close()

    def several(self):
        """Twenty transactions on one producer, every third aborted, quickly one after the other."""
        producer = self.a.producer(self.topic)
        kept, all_ = [], []
        for i in range(20):
            producer.begin()
            values = self.values(f"t{i}", 2)
            self.send(producer, values)
            all_ += values
            if i % 3 == 2:
                producer.abort()
            else:
                producer.commit()
                kept += values
        self.read(True, kept)
        self.read(False, all_)
        producer.close()

    def interleaved(self):
        """Two transactions in the same partitions: the earlier one holds back what the later one committed."""
        a, b = self.a.producer(self.topic + "-a"), self.a.producer(self.topic + "-b")
        a.begin()
        b.begin()
        first, second, third = self.values("a", 2), self.values("b", 2), self.values("c", 2)
        self.send(a, first)
        self.send(b, second)
        b.commit()
        self.read(True, [])
        self.send(a, third)
        a.abort()
        self.read(True, second)
        self.read(False, first + second + third)
        a.close()
        b.close()

    def fencing(self):
        """A second producer with the id: what the first one had open is aborted, and the first one can do nothing any more."""
        old = self.a.producer(self.topic)
        old.begin()
        lost, kept = self.values("lost", 2), self.values("kept", 2)
        self.send(old, lost)
        new = self.a.producer(self.topic)
        new.begin()
        self.send(new, kept)
        new.commit()
        detail = self.refusal(self.a.fenced, lambda: (self.send(old, lost), old.commit()))
        self.read(True, kept)
        self.read(False, lost + kept)
        new.begin()
        self.send(new, kept)
        new.commit()
        self.read(True, kept + kept)
        old.close()
        new.close()
        return detail

    def timeout(self):
        """A transaction that takes longer than its timeout is aborted by the coordinator."""
        producer = self.a.producer(self.topic, 5000)
        producer.begin()
        lost, behind = self.values("lost", 2), self.values("behind", 2)
        self.send(producer, lost)
        self.plain(behind)
        self.read(True, [])
        self.read(True, behind)
        self.read(False, lost + behind)
        detail = self.refusal(self.a.timed_out, producer.commit)
        producer.close()
        again = self.a.producer(self.topic)
        again.begin()
        self.send(again, lost)
        again.commit()
        self.read(True, behind + lost)
        again.close()
        return detail

    def err_timeout_too_large(self):
        """Too long a timeout is refused."""
        return self.refusal({50}, lambda: self.a.producer(self.topic, 900_001))

    def copy(self):
        """Read, change, write, with the offsets in the transaction; every third transaction is aborted and done again."""
        out, group = self.topic + "-out", self.topic
        self.create(out)
        given = self.values("in", 30)
        self.plain(given)
        member, producer = self.a.member(group, self.topic), self.a.producer(self.topic)
        position, done, rounds, aborted = {}, 0, 0, 0
        end = time.monotonic() + LIMIT_S
        while done < len(given):
            assert time.monotonic() < end, f"{done} of {len(given)} copied"
            rows = member.poll(0.2)[:7]
            if not rows:
                continue
            rounds += 1
            offsets = {p: offset + 1 for p, offset, _ in rows}
            producer.begin()
            for p, _, value in rows:
                producer.send(out, p, b"copy of " + value)
            producer.offsets(member, {(self.topic, p): offset for p, offset in offsets.items()})
            if rounds % 3 == 2:
                producer.abort()
                aborted += 1
                # What it read and did not commit is read again.
                member.rewind({p: position.get(p, 0) for p in range(PARTITIONS)})
            else:
                producer.commit()
                done += len(rows)
                position |= offsets
                member.rewind({p: position.get(p, 0) for p in range(PARTITIONS)})
        want = {(self.topic, p): 30 for p in range(PARTITIONS)}
        # The commit is answered before the offsets are seen.
        while (committed := self.a.offsets(group)) != want:
            assert time.monotonic() < end, f"committed {committed}"
            time.sleep(0.1)
        assert aborted, rounds
        member.close()
        producer.close()
        self.read(True, [(p, b"copy of " + v) for p, v in given], out)

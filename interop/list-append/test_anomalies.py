"""Each kind of anomaly is found in a history that has it, and only that kind; none in one without, and what is legal is counted. Run by
../run: suite list-append-checker."""

import pathlib
import random
import sys

sys.dont_write_bytecode = True
HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent)]
import anomalies
from harness.check import Checks, same


class Made:
    """A history by hand: transactions of names, one list after the other, at times of its own."""

    def __init__(self):
        self.events, self.final, self.at, self.now, self.number = [], {0: [], 1: []}, {}, 0.0, 0

    def log(self, ev, **more):
        self.now += 10
        self.events.append({"t": self.now, "ev": ev, **more})

    def begin(self, name, start=None):
        self.number += 1
        x = f"{name}.{self.number}"
        self.log("begin", x=x, name=name, **{"from": dict(start or self.at.get(name, {0: 0, 1: 0}))})
        return x

    def send(self, x, p, value, offset=None):
        self.log("send", x=x, p=p, v=value)
        if offset is not None:
            self.log("ack", x=x, p=p, v=value, o=offset)

    def poll(self, x, *records):
        self.log("poll", x=x, r=[list(r) for r in records])

    def ask(self, x, name, **to):
        """About to commit; `to` moves its name's position: p0=3."""
        self.at[name] = {**self.at.get(name, {0: 0, 1: 0}), **{int(p[1:]): o for p, o in to.items()}}
        self.log("commit", x=x, to=dict(self.at[name]))

    def commit(self, x, name, **to):
        self.ask(x, name, **to)
        self.log("committed", x=x)

    def abort(self, x):
        self.log("abort", x=x)
        self.log("aborted", x=x)

    def seen(self, *records, reader="reader"):
        self.log("seen", reader=reader, r=[list(r) for r in records])

    def there(self, *records):
        for p, offset, value in records:
            self.final[p].append((offset, value))

    def found(self):
        history = anomalies.History(self.events, self.final)
        return {name: wrong for name, find in anomalies.FORBIDDEN.items() if (wrong := find(history))}

    def legal(self):
        return {name: n for name, n in anomalies.legal(anomalies.History(self.events, self.final)).items() if n}


def base():
    """a writes x to both lists, b reads it and writes y. Offsets 1 and 3 hold the ends of transactions."""
    made = Made()
    a = made.begin("a")
    made.send(a, 0, "x0", 0)
    made.send(a, 1, "x1", 0)
    made.commit(a, "a")
    b = made.begin("b")
    made.poll(b, (0, 0, "x0"), (1, 0, "x1"))
    made.send(b, 0, "y0", 2)
    made.commit(b, "b", p0=1, p1=1)
    made.there((0, 0, "x0"), (0, 2, "y0"), (1, 0, "x1"))
    return made


def only(kind, made, sentence):
    found = made.found()
    same([kind], list(found))
    same([sentence], found[kind])


def good():
    same({}, base().found())
    same({}, base().legal())
    made = base()
    # Aborted, left behind, unknown and not there, unknown and there as a whole.
    c = made.begin("c")
    made.send(c, 0, "c0", 4)
    made.abort(c)
    c = made.begin("c")
    made.send(c, 0, "d0", 6)
    c = made.begin("c")
    made.send(c, 0, "e0", 8)
    made.ask(c, "c", p0=1)
    made.at["c"] = {0: 0, 1: 0}
    c = made.begin("c")
    made.poll(c, (0, 0, "x0"))
    made.send(c, 0, "f0", 10)
    made.send(c, 1, "f1")
    made.ask(c, "c", p0=1)
    c = made.begin("c")
    made.poll(c, (0, 2, "y0"), (0, 10, "f0"))
    made.send(c, 1, "g1", 4)
    made.commit(c, "c", p0=11)
    made.there((0, 10, "f0"), (1, 2, "f1"), (1, 4, "g1"))
    made.seen((0, 0, "x0"), (0, 2, "y0"), (1, 0, "x1"))
    made.seen((0, 10, "f0"))
    same({}, made.found())


def offsets():
    made = base()
    made.seen((0, 0, "x0"), (0, 2, "z0"), reader="other")
    z = made.begin("z")
    made.send(z, 1, "z0")
    made.ask(z, "z")
    same({"inconsistent-offsets", "lost-writes", "dirty-reads"}, set(made.found()))
    made = base()
    # What was acknowledged there and aborted later had that place, too.
    c = made.begin("c")
    made.send(c, 0, "c0", 2)
    made.abort(c)
    only("inconsistent-offsets", made, "partition 0 offset 2 was c0 and y0")


def duplicates():
    made = base()
    made.there((1, 2, "x1"))
    only("duplicates", made, "x1 is at [(1, 0), (1, 2)]")


def aborted():
    for left, why in ((False, "which was aborted"), (True, "which nobody committed")):
        made = base()
        c = made.begin("c")
        made.send(c, 0, "c0", 4)
        if not left:
            made.abort(c)
        made.there((0, 4, "c0"))
        only("aborted-reads", made, f"the last reader read c0 of c.3, {why}")
    # In passing, and gone at the end.
    made = base()
    c = made.begin("c")
    made.send(c, 0, "c0", 4)
    made.seen((0, 4, "c0"))
    made.abort(c)
    only("aborted-reads", made, "reader read c0 of c.3, which was aborted")


def dirty():
    made = base()
    c = made.begin("c")
    made.send(c, 1, "c1", 2)
    made.seen((1, 2, "c1"))
    made.commit(c, "c")
    made.there((1, 2, "c1"))
    only("dirty-reads", made, "reader read c1 10 ms before its commit was asked for")
    made = base()
    c = made.begin("c")
    made.poll(c, (1, 0, "x1"))
    made.send(c, 1, "c1", 2)
    made.poll(c, (1, 2, "c1"))
    made.commit(c, "c", p1=3)
    made.there((1, 2, "c1"))
    only("dirty-reads", made, "c.3 read its own c1")


def strange():
    made = base()
    made.there((1, 2, "?"))
    only("strange-reads", made, "nobody wrote ?")


def lost():
    made = base()
    c = made.begin("c")
    made.send(c, 0, "c0", 4)
    made.send(c, 1, "c1", 2)
    made.commit(c, "c")
    made.there((1, 2, "c1"))
    only("lost-writes", made, "c.3 was committed, 1 of 2 missing: c0")
    # Nobody knows how it ended, but it was there once.
    made = base()
    c = made.begin("c")
    made.send(c, 0, "c0", 4)
    made.ask(c, "c")
    made.seen((0, 4, "c0"))
    only("lost-writes", made, "reader read c0, which is gone")


def tears():
    made = base()
    c = made.begin("c")
    made.send(c, 0, "c0", 4)
    made.send(c, 1, "c1", 2)
    made.ask(c, "c")
    made.there((0, 4, "c0"))
    only("torn", made, "c.3: 1 of 2 are there")


def skips():
    made = base()
    made.seen((1, 0, "x1"), (0, 0, "x0"))
    made.seen((0, 2, "y0"), (0, 2, "y0"))
    only("skipped-reads", made, "reader read partition 0 offset 2 after 2")
    made = base()
    c = made.begin("c")
    made.poll(c, (0, 2, "y0"))
    made.send(c, 1, "c1", 2)
    made.commit(c, "c", p0=3)
    made.there((1, 2, "c1"))
    only("skipped-reads", made, "c.3 went from 0 to 2 in partition 0 past x0 at 0")


def positions():
    """A crash gives back what was read: records and offsets are one transaction."""
    for start, sentence in (({0: 0, 1: 0}, "b.3 begins at {0: 0, 1: 0}, and b.2 came to {0: 1, 1: 1}"),
                            ({0: 3, 1: 1}, "b.3 begins at {0: 3, 1: 1}, and b.2 came to {0: 1, 1: 1}")):
        made = base()
        b = made.begin("b", start)
        made.send(b, 1, "b1", 2)
        made.commit(b, "b")
        made.there((1, 2, "b1"))
        only("positions", made, sentence)
    made = base()
    made.events[7]["from"] = {0: 0, 1: 1}
    made.events[8]["r"] = [[0, 0, "x0"]]
    only("positions", made, "b.2 is the first of b and begins at {0: 0, 1: 1}")


def order():
    made = base()
    c = made.begin("c")
    made.send(c, 0, "c0", 6)
    made.send(c, 0, "d0", 4)
    made.commit(c, "c")
    made.there((0, 4, "d0"), (0, 6, "c0"))
    only("unordered-sends", made, "d0 was sent last by c.3 and is at 4, before 6")
    made = base()
    c = made.begin("c")
    made.send(c, 1, "c1")
    made.commit(c, "c")
    d = made.begin("d")
    made.send(d, 1, "d1")
    made.commit(d, "d")
    made.there((1, 2, "d1"), (1, 4, "c1"))
    only("unordered-sends", made, "d1 at 2 of partition 1 was sent after c.3 had been committed, which is behind it")
    made = base()
    c = made.begin("c")
    made.send(c, 0, "c1")
    made.commit(c, "c")
    made.there((1, 2, "c1"))
    only("unordered-sends", made, "c1 was sent to partition 0 and is in 1")


def interleaved():
    made = Made()
    a, b = made.begin("a"), made.begin("b")
    return made, a, b


def circles():
    """Each sees the other's writes: whoever did so first read what was not committed yet."""
    made, a, b = interleaved()
    made.send(a, 0, "a0", 0)
    made.send(b, 1, "b1", 0)
    made.poll(a, (1, 0, "b1"))
    made.poll(b, (0, 0, "a0"))
    made.commit(a, "a", p1=1)
    made.commit(b, "b", p0=1)
    made.there((0, 0, "a0"), (1, 0, "b1"))
    same({"dirty-reads", "circular"}, set(made.found()))
    same(["each read of the next: a.1 b.2"], made.found()["circular"])
    # A longer one, and what only hangs on it.
    edges = {"a": {"b"}, "b": {"c"}, "c": {"a", "d"}, "d": {"e"}, "e": set(), "f": {"f", "a"}}
    same([["a", "b", "c"]], [sorted(c) for c in anomalies.circles(edges)])


def parts():
    """Tarjan's parts are those of a search from everywhere to everywhere."""
    chance = random.Random(1)
    for _ in range(200):
        nodes = range(chance.randint(1, 12))
        edges = {n: {m for m in nodes if chance.random() < 0.15} for n in nodes}
        reach = {n: {n} for n in nodes}
        for _ in nodes:
            for n in nodes:
                reach[n] |= {x for m in edges[n] for x in reach[m]}
        want = {frozenset(m for m in nodes if m in reach[n] and n in reach[m]) for n in nodes}
        same({part for part in want if len(part) > 1}, {frozenset(part) for part in anomalies.circles(edges)})


def legal():
    """Kafka's: G0, G1c by writes, and a part of a transaction that is read."""
    made, a, b = interleaved()
    made.send(a, 0, "a0", 0)
    made.send(b, 0, "b0", 1)
    made.send(b, 1, "b1", 0)
    made.send(a, 1, "a1", 1)
    made.commit(a, "a")
    made.commit(b, "b")
    made.there((0, 0, "a0"), (0, 1, "b0"), (1, 0, "b1"), (1, 1, "a1"))
    same(({}, {"G0": 1, "G1c-with-writes": 1}), (made.found(), made.legal()))
    made, a, b = interleaved()
    made.send(a, 0, "a0", 0)
    made.send(b, 0, "b0", 1)
    made.send(b, 1, "b1", 0)
    made.commit(b, "b")
    made.poll(a, (1, 0, "b1"))
    made.commit(a, "a", p1=1)
    made.there((0, 0, "a0"), (0, 1, "b0"), (1, 0, "b1"))
    same(({}, {"G1c-with-writes": 1, "split-reads": 1}), (made.found(), made.legal()))


checks = Checks()
for check in (good, offsets, duplicates, aborted, dirty, strange, lost, tears, skips, positions, order, circles, parts, legal):
    checks.check(check.__name__, check)
sys.exit(checks.failed > 0)

"""What was appended and read in transactions, and what of it must not be. Pure functions: events in, sentences about what is wrong out.

A partition is a list; a transaction appends to some and polls some (Elle's list-append, over send and poll). The order of a list is that of
its offsets, so that who came after whom need not be guessed. Events are what clients wrote down, with the machine's own clock in ms:

    begin x name from       a transaction of `name` begins, whose polls go on at the offsets `from` {partition: offset}
    send x p v; ack x p v o a value goes to a partition; it was written at an offset
    poll x r                the transaction was given [[partition, offset, value], ...]
    commit x to             it is about to be committed, its polls having come to `to`; committed x: it was
    abort x; aborted x      the same of an abort
    seen r                  a reader outside of transactions was given [[partition, offset, value], ...]

A transaction without `commit` never asked for its commit: nothing of it may ever be seen. With `commit` but neither `committed` nor
`aborted` nobody knows: it was all committed or not at all.
"""

import bisect
import collections
import dataclasses


@dataclasses.dataclass
class Transaction:
    id: str
    name: str
    start: dict
    sends: list = dataclasses.field(default_factory=list)
    acks: dict = dataclasses.field(default_factory=dict)
    polls: list = dataclasses.field(default_factory=list)
    end: dict = dataclasses.field(default_factory=dict)
    # When its commit was asked for, and how it ended as far as its writer knows: "committed", "aborted" or "".
    asked_ms: float | None = None
    ended_ms: float | None = None
    outcome: str = ""

    def may_be_seen(self):
        return self.asked_ms is not None and self.outcome != "aborted"


class History:
    """Events of all clients, and `final`: {partition: [(offset, value)]}, what is there when all have ended."""

    def __init__(self, events, final):
        self.transactions, self.seen = {}, []
        for event in events:
            self.add(event)
        self.final = {p: sorted(records) for p, records in final.items()}
        self.place = {}
        for p, records in self.final.items():
            for offset, value in records:
                self.place.setdefault(value, (p, offset))
        self.writer = {value: t for t in self.transactions.values() for _, value, _ in t.sends}

    def add(self, e):
        kind = e["ev"]
        if kind == "begin":
            self.transactions[e["x"]] = Transaction(e["x"], e["name"], offsets(e["from"]))
        elif kind == "seen":
            self.seen.append((e["t"], e["reader"], [tuple(r) for r in e["r"]]))
        elif (t := self.transactions.get(e.get("x"))) is not None:
            if kind == "send":
                t.sends.append((e["p"], e["v"], e["t"]))
            elif kind == "ack":
                t.acks[e["v"]] = (e["p"], e["o"])
            elif kind == "poll":
                t.polls.append((e["t"], [tuple(r) for r in e["r"]]))
            elif kind == "commit":
                t.asked_ms, t.end = e["t"], offsets(e["to"])
            elif kind in ("committed", "aborted"):
                t.outcome, t.ended_ms = kind, e["t"]

    def reads(self):
        """(time, who, [(partition, offset, value)]) of every poll, within transactions and outside."""
        for t in self.transactions.values():
            for at, records in t.polls:
                yield at, t.id, records
        yield from self.seen

    def visible(self, t):
        return any(value in self.place for _, value, _ in t.sends)

    def effective(self, name):
        """The transactions of a name that took place, in order."""
        own = (t for t in self.transactions.values() if t.name == name and (t.outcome == "committed" or t.may_be_seen() and self.visible(t)))
        return sorted(own, key=lambda t: t.asked_ms)


def offsets(found):
    return {int(p): o for p, o in found.items()}


def inconsistent_offsets(history):
    """An offset of a partition has one value, whoever wrote it or reads it, whenever."""
    values = collections.defaultdict(set)
    for p, records in history.final.items():
        for offset, value in records:
            values[p, offset].add(value)
    for _, _, records in history.reads():
        for p, offset, value in records:
            values[p, offset].add(value)
    for t in history.transactions.values():
        for value, place in t.acks.items():
            # Some clients do not know the offset of what had to be sent twice.
            if place[1] >= 0:
                values[place].add(value)
    # What was aborted is gone for readers of what is committed, but its place is not given away.
    return [f"partition {p} offset {o} was {' and '.join(sorted(found))}" for (p, o), found in sorted(values.items()) if len(found) > 1]


def duplicates(history):
    places = collections.defaultdict(list)
    for p, records in history.final.items():
        for offset, value in records:
            places[value].append((p, offset))
    return [f"{value} is at {found}" for value, found in places.items() if len(found) > 1]


def aborted_reads(history):
    """G1a: nothing is ever shown of a transaction that was aborted, or never asked to be committed."""
    wrong = {}
    final = (0, "the last reader", [(p, o, v) for p, records in history.final.items() for o, v in records])
    for _, who, records in [*history.reads(), final]:
        for _, _, value in records:
            t = history.writer.get(value)
            if t and not t.may_be_seen() and t.id != who:
                wrong.setdefault(value, f"{who} read {value} of {t.id}, which {'was aborted' if t.outcome else 'nobody committed'}")
    return list(wrong.values())


def dirty_reads(history):
    """Nothing is shown of a transaction before its commit is asked for, to itself neither."""
    wrong = []
    for at, who, records in history.reads():
        for _, _, value in records:
            t = history.writer.get(value)
            if t and t.id == who:
                wrong.append(f"{who} read its own {value}")
            elif t and t.asked_ms is not None and at < t.asked_ms:
                wrong.append(f"{who} read {value} {t.asked_ms - at:.0f} ms before its commit was asked for")
    return wrong


def strange_reads(history):
    """All that is read was written by somebody."""
    found = {v for _, _, records in history.reads() for _, _, v in records} | set(history.place)
    return [f"nobody wrote {value}" for value in sorted(found - set(history.writer))]


def lost_writes(history):
    """Nothing is missing of a transaction that was committed, and nothing that was once read."""
    wrong = []
    for t in history.transactions.values():
        missing = [value for _, value, _ in t.sends if value not in history.place]
        if t.outcome == "committed" and missing:
            wrong.append(f"{t.id} was committed, {len(missing)} of {len(t.sends)} missing: {missing[0]}")
    gone = {v: who for _, who, records in history.reads() for _, _, v in records
            if v not in history.place and (t := history.writer.get(v)) and t.may_be_seen()}
    return wrong + [f"{who} read {value}, which is gone" for value, who in gone.items()]


def torn(history):
    """Of a transaction of which nobody knows how it ended there is everything or nothing."""
    wrong = []
    for t in history.transactions.values():
        there = sum(value in history.place for _, value, _ in t.sends)
        if t.may_be_seen() and not t.outcome and 0 < there < len(t.sends):
            wrong.append(f"{t.id}: {there} of {len(t.sends)} are there")
    return wrong


def skipped_reads(history):
    """Who reads a partition without a seek is given every committed record, once and in order: within a transaction, and outside."""
    wrong = []
    offsets_of = {p: [o for o, _ in records] for p, records in history.final.items()}

    def follow(who, at, records):
        for p, offset, value in records:
            if p in at:
                if offset < at[p]:
                    wrong.append(f"{who} read partition {p} offset {offset} after {at[p] - 1}")
                else:
                    own = offsets_of.get(p, [])
                    i = bisect.bisect_left(own, at[p])
                    if i < len(own) and own[i] < offset:
                        wrong.append(f"{who} went from {at[p]} to {offset} in partition {p} past {history.final[p][i][1]} at {own[i]}")
            at[p] = offset + 1

    for t in history.transactions.values():
        at = dict(t.start)
        for _, records in t.polls:
            follow(t.id, at, records)
    readers = collections.defaultdict(dict)
    for _, reader, records in history.seen:
        follow(reader, readers[reader], records)
    return wrong


def positions(history):
    """What a name has read belongs to its transactions: each begins where the last one ended that took place, also after crashes."""
    wrong = []
    for name in sorted({t.name for t in history.transactions.values()}):
        own = history.effective(name)
        if own and any(own[0].start.values()):
            wrong.append(f"{own[0].id} is the first of {name} and begins at {own[0].start}")
        for before, t in zip(own, own[1:]):
            if t.start != before.end:
                wrong.append(f"{t.id} begins at {t.start}, and {before.id} came to {before.end}")
    return wrong


def unordered_sends(history):
    """What one transaction sends to a partition is there in that order, and what is sent after another one was committed is behind it."""
    wrong = []
    for t in history.transactions.values():
        last = {}
        for p, value, _ in t.sends:
            place = history.place.get(value)
            if place and place[0] != p:
                wrong.append(f"{value} was sent to partition {p} and is in {place[0]}")
            elif place:
                if place[1] < last.get(p, -1):
                    wrong.append(f"{value} was sent last by {t.id} and is at {place[1]}, before {last[p]}")
                last[p] = place[1]
    sent_ms = {value: at for t in history.transactions.values() for _, value, at in t.sends}
    for p, records in history.final.items():
        # From behind: the earliest end of a commit among all that follow.
        earliest, who = float("inf"), None
        for offset, value in reversed(records):
            if sent_ms.get(value, float("inf")) > earliest:
                wrong.append(f"{value} at {offset} of partition {p} was sent after {who} had been committed, which is behind it")
            t = history.writer.get(value)
            if t and t.outcome == "committed" and t.ended_ms < earliest:
                earliest, who = t.ended_ms, t.id
    return wrong


def circular(history):
    """G1c by what was read alone: no two transactions see each other's writes, nor any circle of them."""
    return [f"each read of the next: {' '.join(sorted(ids))}" for ids in circles(read_edges(history))]


def read_edges(history):
    """Writer → reader, of transactions that may have taken place."""
    edges = collections.defaultdict(set)
    for t in history.transactions.values():
        for _, records in t.polls if t.may_be_seen() else ():
            for _, _, value in records:
                writer = history.writer.get(value)
                if writer and writer is not t:
                    edges[writer.id].add(t.id)
    return edges


def write_edges(history):
    """Writer → the writer of the next value in a list."""
    edges = collections.defaultdict(set)
    for records in history.final.values():
        writers = [t for _, value in records if (t := history.writer.get(value))]
        for one, other in zip(writers, writers[1:]):
            if one is not other:
                edges[one.id].add(other.id)
    return edges


def circles(edges):
    """The strongly connected parts of more than one node (Tarjan, without recursion)."""
    index, low, on_stack, stack, found = {}, {}, set(), [], []
    for root in list(edges):
        if root in index:
            continue
        work = [(root, iter(edges.get(root, ())))]
        index[root] = low[root] = len(index)
        stack.append(root)
        on_stack.add(root)
        while work:
            node, successors = work[-1]
            for other in successors:
                if other not in index:
                    index[other] = low[other] = len(index)
                    stack.append(other)
                    on_stack.add(other)
                    work.append((other, iter(edges.get(other, ()))))
                    break
                if other in on_stack:
                    low[node] = min(low[node], index[other])
            else:
                work.pop()
                if work:
                    low[work[-1][0]] = min(low[work[-1][0]], low[node])
                if low[node] == index[node]:
                    part = []
                    while not part or part[-1] != node:
                        part.append(stack.pop())
                        on_stack.discard(part[-1])
                    if len(part) > 1:
                        found.append(part)
    return found


def legal(history):
    """How often there was what Kafka allows, by its name: transactions are not isolated from each other's writes. G0: two transactions
    follow each other in two lists, in one this way, in the other that way. G1c with write edges: one reads of the other, and precedes
    it in a list. Split reads (G1b, fractured reads): a transaction is given a part of what another one wrote, whose marker is not in
    all partitions yet, or whose end lies beyond what a poll brings."""
    writes, reads = write_edges(history), read_edges(history)
    both = {node: writes.get(node, set()) | reads.get(node, set()) for node in set(writes) | set(reads)}
    g0 = circles(writes)
    split = 0
    for t in history.transactions.values():
        read = {value for _, records in t.polls for _, _, value in records}
        writers = {w.id: w for w in map(history.writer.get, read) if w}
        split += any(value not in read for w in writers.values() for _, value, _ in w.sends)
    return {"G0": len(g0), "G1c-with-writes": len(circles(both)), "split-reads": split}


FORBIDDEN = {
    "inconsistent-offsets": inconsistent_offsets, "duplicates": duplicates, "aborted-reads": aborted_reads, "dirty-reads": dirty_reads,
    "strange-reads": strange_reads, "lost-writes": lost_writes, "torn": torn, "skipped-reads": skipped_reads, "positions": positions,
    "unordered-sends": unordered_sends, "circular": circular,
}

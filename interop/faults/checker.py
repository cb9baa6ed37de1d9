"""What must hold after a run: pure functions on recorded histories. Each returns sentences; none is a success.

Histories are the clients' lines: acks {w, p, n, o, s, t}: writer, partition, its number, offset (-1: not told), when it was sent and
acknowledged; reads {r, g, p, recs: [[offset, value]]}; commits and observations {g, s, t, offs: {partition: offset}}. Values are
"writer:partition:number". `logs` is node → partition → batches, as dump.py reads them.
"""

import bisect
import collections

MOST_SHOWN = 5


def shown(found):
    return found[:MOST_SHOWN] + ([f"and {len(found) - MOST_SHOWN} more"] if len(found) > MOST_SHOWN else [])


def contents(batches, values):
    """Offset → value of a replica."""
    return {offset: value for batch in batches for offset, value in values(batch.bytes)}


def value_of(ack):
    return f"{ack['w']}:{ack['p']}:{ack['n']}"


def acked_kept(acks, held):
    """Every acknowledged record is at its offset, on every replica. `held`: node → partition → {offset: value}."""
    found = []
    for node, partitions in sorted(held.items()):
        everywhere = {p: set(values.values()) for p, values in partitions.items()}
        for ack in acks:
            p, value = ack["p"], value_of(ack)
            if p not in partitions:
                continue
            if ack["o"] < 0:
                if value not in everywhere[p]:
                    found.append(f"node {node} lost {value}, acknowledged without an offset")
            elif partitions[p].get(ack["o"]) != value:
                found.append(f"node {node} has {partitions[p].get(ack['o'])} at {p}@{ack['o']}, acknowledged was {value}")
    return shown(found)


def one_value(acks, reads, held):
    """An offset has one value for ever: for whoever wrote it, whoever read it, and on every replica."""
    seen, found = {}, []

    def note(p, offset, value, who):
        known, first = seen.setdefault((p, offset), (value, who))
        if known != value:
            found.append(f"{p}@{offset} is {known} for {first} and {value} for {who}")

    for ack in acks:
        if ack["o"] >= 0:
            note(ack["p"], ack["o"], value_of(ack), ack["w"])
    for read in reads:
        for offset, value in read["recs"]:
            note(read["p"], offset, value, read["r"])
    for node, partitions in sorted(held.items()):
        for p, values in partitions.items():
            for offset, value in values.items():
                note(p, offset, value, f"node {node}")
    return shown(found)


def read_kept(reads, held):
    """What a consumer was shown is committed: it is still there, on every replica."""
    found = []
    for read in reads:
        for node, partitions in sorted(held.items()):
            values = partitions.get(read["p"])
            missing = [offset for offset, value in read["recs"] if values is not None and values.get(offset) != value]
            if missing:
                found.append(f"node {node} lost {read['p']}@{missing[0]}, which {read['r']} had read")
    return shown(found)


def replicas_equal(logs):
    """All replicas of a partition have the same batches, byte for byte, from where the last of them begins to its end; epochs do
    not go back; each batch is whole."""
    found = []
    for p in sorted({p for partitions in logs.values() for p in partitions}):
        replicas = {node: partitions[p] for node, partitions in sorted(logs.items()) if p in partitions}
        for node, batches in replicas.items():
            found += [f"node {node} has a broken batch at {p}@{batch.base}" for batch in batches if not batch.whole]
            for before, after in zip(batches, batches[1:]):
                if after.epoch < before.epoch:
                    found.append(f"node {node}: epoch {after.epoch} after {before.epoch} at {p}@{after.base}")
                if after.base != before.last + 1:
                    found.append(f"node {node}: {p}@{after.base} follows {before.last}")
        start = max((batches[0].base for batches in replicas.values() if batches), default=0)
        first, *others = [(node, [b for b in batches if b.base >= start]) for node, batches in replicas.items()]
        for node, batches in others:
            if len(batches) != len(first[1]):
                ends = [each[-1].last + 1 if each else start for each in (first[1], batches)]
                found.append(f"partition {p}: node {first[0]} ends at {ends[0]} with {len(first[1])} batches, "
                             f"node {node} at {ends[1]} with {len(batches)}")
            for mine, theirs in zip(first[1], batches):
                if mine.bytes != theirs.bytes:
                    found.append(f"partition {p}: node {first[0]} and node {node} differ at {mine.base} and {theirs.base}, "
                                 f"epochs {mine.epoch} and {theirs.epoch}")
                    break
    return shown(found)


def in_order(values):
    """Records of an idempotent writer (its name ends with i) are in its order. One may be there again: when the client began a new
    epoch and sent again what it was not told about. Without idempotence the order is the client's affair. `values`: partition →
    {offset: value}."""
    found = []
    for p, held in sorted(values.items()):
        last, seen = collections.defaultdict(lambda: -1), set()
        for offset in sorted(held):
            writer, partition, number = held[offset].split(":")
            number = int(number)
            if int(partition) != p:
                found.append(f"{held[offset]} is in partition {p}")
            if held[offset] in seen or not writer.endswith("i"):
                continue
            seen.add(held[offset])
            if number < last[writer]:
                found.append(f"{held[offset]} at {offset} comes after number {last[writer]}")
            last[writer] = max(last[writer], number)
    return shown(found)


def sequences(logs):
    """A producer id's numbers are there once, in order and without a gap; a new epoch begins with 0, and none comes back."""
    found = []
    for node, partitions in sorted(logs.items()):
        for p, batches in sorted(partitions.items()):
            known = {}
            for batch in batches:
                producer_id, epoch, first, last = batch.producer
                if producer_id < 0:
                    continue
                before = known.get(producer_id)
                known[producer_id] = (epoch, last)
                # Where the log begins later than the producer nothing is known.
                if before is None or (epoch, first) == (before[0], before[1] + 1) or epoch > before[0] and first == 0:
                    continue
                found.append(f"node {node}: {p}@{batch.base} is number {first} of epoch {epoch} of producer {producer_id}, "
                             f"after number {before[1]} of epoch {before[0]}")
    return shown(found)


def real_time(acks):
    """An acknowledged record has a larger offset than all that was acknowledged before it was sent."""
    found = []
    for p in sorted({ack["p"] for ack in acks}):
        own = sorted((ack["t"], ack["o"]) for ack in acks if ack["p"] == p and ack["o"] >= 0)
        times, highest, top = [t for t, _ in own], [], -1
        for _, offset in own:
            top = max(top, offset)
            highest.append(top)
        for ack in acks:
            if ack["p"] != p or ack["o"] < 0:
                continue
            before = bisect.bisect_left(times, ack["s"]) - 1
            if before >= 0 and ack["o"] <= highest[before]:
                found.append(f"{value_of(ack)} was sent after {p}@{highest[before]} was acknowledged and is at {ack['o']}")
    return shown(found)


def commits_kept(commits, observed):
    """Whatever begins after a commit was acknowledged, or an offset was seen, sees that offset or a later one."""
    found = []
    known = [(e["t"], e["g"], int(p), offset) for e in [*commits, *observed] for p, offset in e["offs"].items()]
    later = [(e["s"], e["g"], int(p), offset, kind) for kind, events in (("a commit", commits), ("an answer", observed))
             for e in events for p, offset in e["offs"].items()]
    for group, p in sorted({(g, p) for _, g, p, _ in known}):
        own = sorted((t, offset) for t, g, q, offset in known if (g, q) == (group, p))
        times, highest, top = [t for t, _ in own], [], -1
        for _, offset in own:
            top = max(top, offset)
            highest.append(top)
        for sent, g, q, offset, kind in later:
            if (g, q) != (group, p):
                continue
            before = bisect.bisect_left(times, sent) - 1
            if before >= 0 and offset < highest[before]:
                found.append(f"{group} {p}: {kind} of {offset} after {highest[before]}, {sent - times[before]:.0f} ms later")
    return shown(found)


def one_leader(seen):
    """In an epoch a partition, or the quorum, has one leader, whoever is asked. `seen`: {node, what, epoch, leader}."""
    known, found = {}, []
    for each in seen:
        leader, node = known.setdefault((each["what"], each["epoch"]), (each["leader"], each["node"]))
        if leader != each["leader"]:
            found.append(f"{each['what']}, epoch {each['epoch']}: node {node} says {leader}, node {each['node']} says {each['leader']}")
    return shown(sorted(set(found)))


def delivered(reads, values, groups):
    """Each group read every record there is, at its offset."""
    found = []
    got = collections.defaultdict(set)
    for read in reads:
        got[read["g"], read["p"]].update(offset for offset, _ in read["recs"])
    for group in groups:
        for p, held in sorted(values.items()):
            missing = sorted(set(held) - got[group, p])
            if missing:
                found.append(f"{group} never read {len(missing)} records of {p}, from {missing[0]} on")
    return shown(found)


def stall_ms(times, begin, end):
    """The longest time without one of these that touches begin to end."""
    times = sorted(times)
    first, last = bisect.bisect_right(times, begin), bisect.bisect_left(times, end)
    # From the last one before the window to the first one after it.
    marks = [times[first - 1] if first else begin, *times[first:last], times[last] if last < len(times) else end]
    return max((b - a for a, b in zip(marks, marks[1:])), default=0.0)


def stalls(acks, partitions, begin, end):
    """The longest time without an acknowledgement, of any partition."""
    own = collections.defaultdict(list)
    for ack in acks:
        own[ack["p"]].append(ack["t"])
    return max(stall_ms(own[p], begin, end) for p in range(partitions))


def writers_stalls(acks, begin, end):
    """The same for each writer alone: client and kind, as in ja-i, → the longest of any of its partitions."""
    own = collections.defaultdict(lambda: collections.defaultdict(list))
    for ack in acks:
        own[f"{ack['w'][:2]}-{ack['w'][-1]}"][ack["p"]].append(ack["t"])
    return {writer: max(stall_ms(times, begin, end) for times in partitions.values()) for writer, partitions in own.items()}


def given_up(failed, acks, values):
    """Failed writes that are the client's affair: the record is there, and later ones of the same writer and partition were
    acknowledged before it gave up. An idempotent producer that hears nothing of a batch from a leader that is cut off goes on with the
    next leader, and asks for that batch again when more than five others have followed: no broker can tell by then."""
    stored = {value for held in values.values() for value in held.values()}
    later = collections.defaultdict(list)
    for ack in acks:
        later[ack["w"], ack["p"]].append((ack["n"], ack["t"]))

    def is_clients(fail):
        return value_of(fail) in stored and any(n > fail["n"] and t < fail["t"] for n, t in later[fail["w"], fail["p"]])
    return [fail for fail in failed if is_clients(fail)]

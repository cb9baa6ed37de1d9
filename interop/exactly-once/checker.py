"""What must be true of copies and of transfers made in transactions. Pure functions: what was read in, sentences about what is wrong out."""

import collections


def by_partition(records):
    """(partition, value) in the order of reading → {partition: [value]}."""
    found = collections.defaultdict(list)
    for partition, value in records:
        found[partition].append(value)
    return found


def copied_once(source, copies):
    """Each value of the source, {partition: [value]}, was copied to its partition exactly once and in order; what is there twice, twice."""
    wrong = []
    for partition in sorted(set(source) | set(copies)):
        want, got = source.get(partition, []), copies.get(partition, [])
        counts, wanted = collections.Counter(got), collections.Counter(want)
        place = f"partition {partition}"
        wrong += [f"{place}: {value} was copied {n} times" for value, n in counts.items() if n > wanted[value] > 0]
        wrong += [f"{place}: {value} is missing" for value, n in wanted.items() if counts[value] < n]
        wrong += [f"{place}: {value} is no record of the source" for value in counts if value not in wanted]
        rank = {value: i for i, value in enumerate(want)}
        ranks = [rank[value] for value in dict.fromkeys(got) if value in rank]
        back = next((i for i in range(1, len(ranks)) if ranks[i] < ranks[i - 1]), None)
        if back is not None:
            wrong.append(f"{place}: {want[ranks[back]]} comes after {want[ranks[back - 1]]}")
    return wrong


def whole(seen):
    """Each transfer, a list of (transfer, account, amount), has both of its halves, once each, and they cancel out."""
    halves = collections.defaultdict(list)
    for transfer, account, amount in seen:
        halves[transfer].append((account, amount))
    wrong = []
    for transfer, found in halves.items():
        if len(found) < 2:
            wrong.append(f"half of {transfer} is missing")
        elif len(found) > 2 or found[0][0] == found[1][0]:
            wrong.append(f"{transfer} is there more than once")
        elif sum(amount for _, amount in found) != 0:
            wrong.append(f"the halves of {transfer} do not cancel out")
    return wrong


def unseen(seen, aborted):
    """Nothing of what was aborted was ever shown to a reader of committed records."""
    shown = {transfer for transfer, _, _ in seen}
    return [f"{transfer} was aborted and is seen" for transfer in aborted if transfer in shown]


def kept(seen, committed):
    """All that was committed is there."""
    shown = {transfer for transfer, _, _ in seen}
    return [f"{transfer} was committed and is missing" for transfer in committed if transfer not in shown]


def balanced(seen, points):
    """At each of the points, lengths of what was seen while nobody was moving anything, the sum of all accounts is what it was."""
    wrong, total, at = [], 0, 0
    for point in points:
        total += sum(amount for _, _, amount in seen[at:point])
        at = point
        if total != 0:
            wrong.append(f"after {point} records the sum has changed by {total}")
    return wrong

"""What must hold of a history of groups under churn; each function returns what does not, as sentences.

Three records of one run, all times in ms of one host's monotonic clock:
  wire      what the proxy saw: who was told to own what in which epoch, commits, fetched offsets (see proxy.py)
  members   what the members wrote: callbacks and records consumed (see members/)
  acts      what was done to members and topics

Ownership on the wire begins when a member is told, and ends when the member says that it let go (by the partitions that it
lists when it joins or heartbeats), leaves, or may have been expelled: a member that was silent for a session does not know.
"""

import collections

LISTED = 20


def show(found):
    return found[:LISTED] + ([f"... {len(found) - LISTED} more"] if len(found) > LISTED else [])


def name(partition):
    return f"{partition[0]}-{partition[1]}"


def one_owner_per_epoch(wire, session_ms):
    """No partition is given to two members in one generation or member epoch of a group. There is no excuse.

    Epochs begin anew only with a new member, when all others left or were silent for a session: the group may have been empty,
    and an empty group that changes its type is a new one.
    """
    groups, found = collections.defaultdict(Life), []
    for e in wire:
        life = groups[e["group"]]
        if e["kind"] in ("owns", "alive") and e["member"]:
            life.heard[e["member"]] = e["t"]
            life.asked[e["member"]] = life.epoch
        elif gone(e):
            life.heard.pop(e["member"], None)
        elif e["kind"] == "told":
            alone = all(e["t"] - heard >= session_ms for member, heard in life.heard.items() if member != e["member"])
            # Two members' answers may come in another order than they were given: what counts is what was known at the question.
            before = life.asked.get(e["member"], 0)
            if e["member"] not in life.members and e["epoch"] <= before and alone:
                life = groups[e["group"]] = Life({e["member"]: e["t"]})
            elif e["member"] not in life.members and e["epoch"] < before:
                found.append(f"{e['group']}: {e['member']} is new in epoch {e['epoch']}, after epoch {before}")
            life.members.add(e["member"])
            life.epoch = max(life.epoch, e["epoch"])
            for partition in map(tuple, e["owned"]):
                first = life.owners.setdefault((e["epoch"], partition), e["member"])
                if first != e["member"]:
                    found.append(f"{e['group']} epoch {e['epoch']}: {name(partition)} is {first}'s and {e['member']}'s")
    return show(found)


class Life:
    """A group from its first epoch on."""

    def __init__(self, heard=None):
        self.heard, self.asked, self.members, self.owners, self.epoch = heard or {}, {}, set(), {}, 0


# UNKNOWN_MEMBER_ID, GROUP_ID_NOT_FOUND, MEMBER_ID_REQUIRED, FENCED_INSTANCE_ID, FENCED_MEMBER_EPOCH, UNRELEASED_INSTANCE_ID
EXPELLED = {25, 69, 79, 82, 110, 111}


def gone(e):
    """The member is none of the group's, as far as it was told; it may be again."""
    return e["kind"] == "leave" or e["kind"] == "refused" and e["error"] in EXPELLED


class Held:
    """What one member was told to own, and when it was heard last."""

    def __init__(self):
        self.owned, self.heard, self.doubtful = set(), 0.0, False


def one_owner_at_a_time(wire, session_ms):
    """A partition goes to a new owner only after the old one let go, left, or was silent for a session."""
    groups, found = collections.defaultdict(lambda: collections.defaultdict(Held)), []
    for e in wire:
        if e["kind"] not in ("owns", "alive", "leave", "refused", "confirmed", "joined", "told"):
            continue
        members = groups[e["group"]]
        held = members[e["member"]]
        if e["kind"] in ("owns", "alive"):
            if held.heard and e["t"] - held.heard >= session_ms:
                held.doubtful = True
            held.heard = e["t"]
        if e["kind"] == "owns":
            held.owned &= set(map(tuple, e["owned"]))
        elif gone(e):
            held.owned = set()
        elif e["kind"] in ("confirmed", "joined"):
            held.doubtful = False
        elif e["kind"] == "told":
            held.doubtful = False
            for partition in map(tuple, e["owned"]):
                for other, theirs in members.items():
                    silent = theirs.doubtful or e["t"] - theirs.heard >= session_ms
                    if other != e["member"] and partition in theirs.owned and not silent:
                        found.append(f"{e['group']}: {name(partition)} was given to {e['member']} in epoch {e['epoch']} while "
                                     f"{other} had it, heard {e['t'] - theirs.heard:.0f} ms before")
            held.owned |= set(map(tuple, e["owned"]))
    return show(found)


def epochs_never_back(wire):
    """What a member is told of its epoch never gets less, as long as it is the same member."""
    last, found = {}, []
    for e in wire:
        key = (e["group"], e["member"])
        if gone(e):
            last.pop(key, None)
        elif e["kind"] in ("joined", "told"):
            if e["epoch"] < last.get(key, e["epoch"]):
                found.append(f"{e['group']}: {e['member']} went from epoch {last[key]} to {e['epoch']}")
            last[key] = e["epoch"]
    return show(found)


def committed_offsets(wire, deleted=None):
    """Committed offsets never go back: whatever begins after an answer sees that answer's offset, or a later one.

    deleted: topic → when its deletion was asked for; what ends after that does not count.
    """
    deleted, found = deleted or {}, []
    operations = collections.defaultdict(list)
    for e in wire:
        if e["kind"] in ("committed", "fetched"):
            operations[e["group"]].append(e)
    for group, each in operations.items():
        done, best = sorted(each, key=lambda e: e["t"]), {}
        at = 0
        for e in sorted(each, key=lambda e: e["sent"]):
            while at < len(done) and done[at]["t"] < e["sent"]:
                for partition, offset in done[at]["offsets"]:
                    if offset > best.get(tuple(partition), (-1,))[0]:
                        best[tuple(partition)] = (offset, done[at]["kind"], done[at]["t"])
                at += 1
            offsets = {tuple(partition): offset for partition, offset in e["offsets"]}
            if e.get("all"):
                offsets = dict.fromkeys(best, -1) | offsets
            for partition, offset in offsets.items():
                before = best.get(partition)
                if before and offset < before[0] and e["t"] < deleted.get(partition[0], float("inf")):
                    found.append(f"{group}: {name(partition)} was {e['kind']} at {offset} by {e['client']}, {before[1]} at {before[0]} "
                                 f"{e['sent'] - before[2]:.0f} ms before")
    return show(found)


def merged(ranges):
    """Ranges of offsets, both ends included, in order and without overlaps."""
    out = []
    for first, last in sorted(ranges):
        if out and first <= out[-1][1] + 1:
            out[-1][1] = max(out[-1][1], last)
        else:
            out.append([first, last])
    return out


def consumed_ranges(members):
    """(group, topic, partition) → merged ranges of offsets that some member of the group read."""
    ranges = collections.defaultdict(list)
    for e in members:
        if e["ev"] == "consumed":
            ranges[e["group"], e["topic"], e["partition"]].append((e["first"], e["last"]))
    return {key: merged(value) for key, value in ranges.items()}


def delivered(produced, members, subscriptions):
    """Each acknowledged record of a topic that still exists was consumed at least once by each group that subscribes to it.

    produced: (topic, partition) → ranges of acknowledged offsets; subscriptions: group → predicate of topic names.
    """
    consumed, found = consumed_ranges(members), []
    for group, wants in subscriptions.items():
        for (topic, partition), ranges in produced.items():
            if not wants(topic):
                continue
            seen = consumed.get((group, topic, partition), [])
            for first, last in merged(ranges):
                missing = last - first + 1 - sum(max(0, min(last, b) - max(first, a) + 1) for a, b in seen)
                if missing:
                    gap = first
                    for a, b in seen:
                        if a <= gap <= b:
                            gap = b + 1
                    found.append(f"{group}: {missing} of {topic}-{partition}'s records {first} to {last} were not consumed, {gap} is the first")
    return show(found)


def beliefs(members):
    """Member → the partitions that it believes to own after its last callback."""
    owned = collections.defaultdict(set)
    for e in sorted(members, key=lambda e: e["t"]):
        parts = {tuple(p) for p in e.get("parts", ())}
        if e["ev"] == "assigned":
            owned[e["member"]] |= parts
        elif e["ev"] in ("revoked", "lost"):
            owned[e["member"]] -= parts
        elif e["ev"] in ("start", "closed"):
            owned[e["member"]] = set()
    return dict(owned)


def believed_owners(members, acts, session_ms, heartbeat_ms=1000):
    """By the members' own callbacks no partition has two owners, but for owners that were killed or paused for a session.

    A killed member's belief ends with it. A paused one may believe until it hears better: it is excused from the end of its
    session on; its last heartbeat may be one or two intervals old when it is paused. When it goes on, what it reads first may be
    an assignment that was sent to it before.
    """
    pauses = collections.defaultdict(list)
    for act in acts:
        if act["act"] == "pause":
            pauses[act["member"]].append((act["t"], act["until"]))

    def slept(member, since, now):
        """Whether a pause that ended after since was long enough, at the time now, for the member to be expelled."""
        return any(until >= since and min(until, now) - begin >= session_ms - 2 * heartbeat_ms for begin, until in pauses[member])

    killed = [{"t": a["t"], "ev": "start", "member": a["member"], "group": a["group"]} for a in acts if a["act"] == "kill"]
    owners, found = collections.defaultdict(dict), []
    for e in sorted([*members, *killed], key=lambda e: e["t"]):
        if e["ev"] in ("start", "closed"):
            for held in owners.values():
                held.pop(e["member"], None)
        for partition in {tuple(p) for p in e.get("parts", ())}:
            held = owners[e["group"], partition]
            if e["ev"] in ("revoked", "lost"):
                held.pop(e["member"], None)
            elif e["ev"] == "assigned":
                stale = slept(e["member"], e["t"] - 2 * heartbeat_ms, e["t"])
                for other, since in held.items():
                    if other != e["member"] and not stale and not slept(other, since, e["t"]):
                        found.append(f"{e['group']}: {e['member']} got {name(partition)} while {other} had it, {e['t'] - since:.0f} ms")
                held[e["member"]] = e["t"]
    return show(found)


def settled(description, alive, partitions):
    """A described group is stable, its members are those alive, and each partition has one owner.

    description: {"state": ..., "members": {client id: [partitions]}, "targets": the same or None}; alive: names of members.
    """
    found = []
    if description["state"].upper() != "STABLE":
        found.append(f"is {description['state']}")
    if set(description["members"]) != set(alive) or description["count"] != len(alive):
        found.append(f"has {description['count']} members, {sorted(description['members'])}, not {sorted(alive)}")
    owned = collections.Counter(tuple(p) for parts in description["members"].values() for p in parts)
    if twice := sorted(p for p, n in owned.items() if n > 1):
        found.append(f"has two owners of {', '.join(map(name, twice[:5]))}")
    if lacking := sorted(set(partitions) - set(owned)):
        found.append(f"has no owner of {', '.join(map(name, lacking[:5]))}")
    if beyond := sorted(set(owned) - set(partitions)):
        found.append(f"has owners of {', '.join(map(name, beyond[:5]))}")
    return found


def described(description, believed):
    """What the group's description says of each member is what the member believes."""
    return show([f"{member} has {sorted(map(tuple, parts))} by the description, believes {sorted(believed.get(member, ()))}"
                 for member, parts in description["members"].items() if {tuple(p) for p in parts} != believed.get(member, set())])

"""The checker on made-up histories: it is silent about what the protocols allow, and finds each fault."""

import sys
import unittest

sys.dont_write_bytecode = True
import checker

P, Q = ("t", 0), ("t", 1)
SESSION_MS = 6000


def wire(*rows):
    return [{"t": t, "kind": kind, "group": "g", "member": member, "client": member, **more} for t, kind, member, more in rows]


def told(t, member, epoch, *owned):
    return t, "told", member, {"epoch": epoch, "owned": list(owned)}


def owns(t, member, *owned):
    return t, "owns", member, {"owned": list(owned)}


def log(*rows):
    return [{"t": t, "ev": ev, "member": member, "group": "g", **more} for t, ev, member, more in rows]


def callback(t, ev, member, *parts):
    return t, ev, member, {"parts": [list(p) for p in parts]}


def commit(sent, t, offset, partition=P):
    return t, "committed", "a", {"sent": sent, "offsets": [(partition, offset)]}


def fetch(sent, t, offset, partition=P, all=False):
    return t, "fetched", "observer", {"sent": sent, "offsets": [(partition, offset)] if offset is not None else [], "all": all}


class OneOwnerPerEpoch(unittest.TestCase):
    def check(self, *rows):
        return checker.one_owner_per_epoch(wire(*rows), SESSION_MS)

    def test_moves_between_epochs(self):
        self.assertEqual([], self.check(owns(0, "a"), told(1, "a", 1, P, Q), owns(2, "b"), told(2, "a", 2, P), told(3, "b", 2, Q)))

    def test_two_owners(self):
        found = self.check(owns(0, "a"), owns(0, "b"), told(1, "a", 3, P), told(2, "b", 3, P, Q))
        self.assertEqual(["g epoch 3: t-0 is a's and b's"], found)

    def test_two_owners_of_whom_one_died(self):
        found = self.check(owns(0, "a"), owns(0, "b"), told(1, "b", 3), told(1, "a", 3, P), told(9000, "b", 3, P))
        self.assertEqual(["g epoch 3: t-0 is a's and b's"], found)

    def test_repeated_answer(self):
        self.assertEqual([], self.check(owns(0, "a"), told(1, "a", 3, P), told(2, "a", 3, P, Q)))

    def test_epochs_begin_anew_in_an_empty_group(self):
        self.assertEqual([], self.check(owns(0, "a"), told(1, "a", 2, P), (2, "leave", "a", {}), owns(3, "b"), told(4, "b", 2, P)))

    def test_answers_in_another_order(self):
        self.assertEqual([], self.check(owns(0, "a"), owns(1, "b"), told(2, "b", 2, P), told(3, "a", 1, P, Q)))

    def test_epochs_begin_anew_beside_a_member(self):
        found = self.check(owns(0, "a"), told(1, "a", 3, P), owns(3, "b"), told(4, "b", 1, Q))
        self.assertEqual(["g: b is new in epoch 1, after epoch 3"], found)


class OneOwnerAtATime(unittest.TestCase):
    def check(self, *rows):
        return checker.one_owner_at_a_time(wire(*rows), SESSION_MS)

    def test_let_go_before_given(self):
        self.assertEqual([], self.check(owns(0, "a"), told(1, "a", 1, P, Q), owns(10, "a", P), told(11, "b", 2, Q)))

    def test_given_before_let_go(self):
        found = self.check(owns(0, "a"), told(1, "a", 1, P), told(11, "b", 2, P))
        self.assertEqual(1, len(found), found)
        self.assertIn("t-0 was given to b in epoch 2 while a had it", found[0])

    def test_told_to_let_go_is_not_let_go(self):
        self.assertEqual(1, len(self.check(owns(0, "a"), told(1, "a", 1, P, Q), told(5, "a", 1, P), told(11, "b", 2, Q))))

    def test_left(self):
        self.assertEqual([], self.check(owns(0, "a"), told(1, "a", 1, P), (5, "leave", "a", {}), told(6, "b", 2, P)))

    def test_silent_for_a_session(self):
        self.assertEqual([], self.check(owns(0, "a"), told(1, "a", 1, P), told(6001, "b", 2, P)))

    def test_expelled_too_early(self):
        self.assertEqual(1, len(self.check(owns(0, "a"), told(1, "a", 1, P), (3000, "alive", "a", {}), told(7000, "b", 2, P))))

    def test_back_after_a_session_that_nobody_ended(self):
        rows = [owns(0, "a"), told(1, "a", 1, P), (7000, "alive", "a", {}), (7001, "confirmed", "a", {}), told(7500, "b", 2, P)]
        self.assertEqual(1, len(self.check(*rows)))

    def test_back_after_a_session_that_ended(self):
        rows = [owns(0, "a"), told(1, "a", 1, P), (7000, "alive", "a", {}), (7001, "refused", "a", {"error": 25, "api": 12}),
                told(7500, "b", 2, P)]
        self.assertEqual([], self.check(*rows))


class Epochs(unittest.TestCase):
    def test_back(self):
        self.assertEqual(["g: a went from epoch 5 to 4"], checker.epochs_never_back(wire(told(1, "a", 5), told(2, "a", 4))))

    def test_new_life(self):
        self.assertEqual([], checker.epochs_never_back(wire(told(1, "a", 5), (2, "leave", "a", {}), told(3, "a", 1))))


class CommittedOffsets(unittest.TestCase):
    def check(self, *rows, deleted=None):
        return checker.committed_offsets(wire(*rows), deleted)

    def test_forward(self):
        self.assertEqual([], self.check(commit(1, 2, 5), fetch(3, 4, 5), commit(5, 6, 9), fetch(7, 8, 9, all=True)))

    def test_fetched_less_than_acknowledged(self):
        self.assertEqual(1, len(self.check(commit(1, 2, 5), fetch(3, 4, 4))))

    def test_fetched_less_than_fetched(self):
        self.assertEqual(1, len(self.check(fetch(1, 2, 5), fetch(3, 4, 4))))

    def test_committed_less_than_acknowledged(self):
        self.assertEqual(1, len(self.check(commit(1, 2, 5), commit(3, 4, 4))))

    def test_gone(self):
        self.assertEqual(1, len(self.check(commit(1, 2, 5), fetch(3, 4, None, all=True))))
        self.assertEqual([], self.check(commit(1, 2, 5), fetch(3, 4, None)))

    def test_at_the_same_time(self):
        self.assertEqual([], self.check(commit(1, 6, 5), fetch(5, 7, -1)))

    def test_deleted_topic(self):
        self.assertEqual([], self.check(commit(1, 2, 5), fetch(3, 9, -1), deleted={"t": 8}))
        self.assertEqual(1, len(self.check(commit(1, 2, 5), fetch(3, 7, -1), deleted={"t": 8})))


class Delivered(unittest.TestCase):
    def check(self, *ranges, wants=lambda topic: True):
        consumed = log(*((n, "consumed", "a", {"topic": "t", "partition": 0, "first": a, "last": b}) for n, (a, b) in enumerate(ranges)))
        return checker.delivered({P: [(0, 4), (5, 9)]}, consumed, {"g": wants})

    def test_all(self):
        self.assertEqual([], self.check((0, 9)))
        self.assertEqual([], self.check((6, 9), (0, 3), (2, 7)))

    def test_one_missing(self):
        found = self.check((0, 5), (7, 9))
        self.assertEqual(["g: 1 of t-0's records 0 to 9 were not consumed, 6 is the first"], found)

    def test_none(self):
        self.assertEqual(1, len(self.check()))
        self.assertEqual([], self.check(wants=lambda topic: False))


class BelievedOwners(unittest.TestCase):
    def check(self, acts, *rows):
        return checker.believed_owners(log(*rows), acts, SESSION_MS)

    def test_handed_over(self):
        self.assertEqual([], self.check([], callback(1, "assigned", "a", P), callback(2, "revoked", "a", P), callback(3, "assigned", "b", P)))

    def test_two_at_once(self):
        self.assertEqual(1, len(self.check([], callback(1, "assigned", "a", P), callback(3, "assigned", "b", P))))

    def test_killed(self):
        acts = [{"t": 2, "act": "kill", "member": "a", "group": "g"}]
        self.assertEqual([], self.check(acts, callback(1, "assigned", "a", P), callback(3, "assigned", "b", P)))

    def test_paused_for_a_session(self):
        acts = [{"t": 2, "act": "pause", "member": "a", "group": "g", "until": 8000}]
        self.assertEqual([], self.check(acts, callback(1, "assigned", "a", P), callback(7000, "assigned", "b", P), callback(8001, "lost", "a", P)))

    def test_old_news_after_a_pause(self):
        acts = [{"t": 2, "act": "pause", "member": "a", "group": "g", "until": 8000}]
        self.assertEqual([], self.check(acts, callback(7000, "assigned", "b", P), callback(8050, "assigned", "a", P)))
        self.assertEqual(1, len(self.check(acts, callback(7000, "assigned", "b", P), callback(12050, "assigned", "a", P))))

    def test_paused_for_a_moment(self):
        acts = [{"t": 2, "act": "pause", "member": "a", "group": "g", "until": 1000}]
        self.assertEqual(1, len(self.check(acts, callback(1, "assigned", "a", P), callback(1500, "assigned", "b", P))))


class Settled(unittest.TestCase):
    GOOD = {"state": "Stable", "count": 2, "members": {"a": [P], "b": [Q]}}

    def test_good(self):
        self.assertEqual([], checker.settled(self.GOOD, {"a", "b"}, [P, Q]))

    def test_bad(self):
        for change, alive, partitions, want in (
            ({"state": "PreparingRebalance"}, "ab", [P, Q], "is PreparingRebalance"),
            ({"members": {"a": [P]}, "count": 1}, "ab", [P], "has 1 members"),
            ({"count": 3}, "ab", [P, Q], "has 3 members"),
            ({"members": {"a": [P, Q], "b": [Q]}}, "ab", [P, Q], "has two owners of t-1"),
            ({}, "ab", [P, Q, ("t", 2)], "has no owner of t-2"),
            ({}, "ab", [P], "has owners of t-1"),
        ):
            found = checker.settled(self.GOOD | change, set(alive), partitions)
            self.assertEqual(1, len(found), found)
            self.assertIn(want, found[0])

    def test_described(self):
        self.assertEqual([], checker.described(self.GOOD, {"a": {P}, "b": {Q}}))
        self.assertEqual(1, len(checker.described(self.GOOD, {"a": {P}, "b": {P, Q}})))
        self.assertEqual(1, len(checker.described(self.GOOD, {"a": {P}})))

    def test_beliefs(self):
        rows = [callback(1, "assigned", "a", P, Q), callback(2, "revoked", "a", Q), callback(3, "assigned", "b", Q), (4, "closed", "b", {})]
        self.assertEqual({"a": {P}, "b": set()}, checker.beliefs(log(*rows)))


class Lines(unittest.TextTestResult):
    """One line per test, as every suite prints them."""

    def addSuccess(self, test):
        super().addSuccess(test)
        print(f"ok {test.id().removeprefix('__main__.')}", flush=True)

    def addFailure(self, test, err):
        super().addFailure(test, err)
        print(f"FAIL {test.id().removeprefix('__main__.')} {' '.join(str(err[1]).split())[:300]}", flush=True)

    addError = addFailure


if __name__ == "__main__":
    unittest.main(testRunner=unittest.TextTestRunner(resultclass=Lines))

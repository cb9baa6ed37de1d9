"""A checker that never fires is not a checker: clusters with settings that lose data, or are slow, must fail their checks.

    ../run --only faults-broken [-- NAME...]
"""

import contextlib
import os
import sys
import time

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.dirname(HERE)]
import suite
from confluent_kafka import ConsumerGroupTopicPartitions, TopicPartition
from confluent_kafka.admin import AdminClient
from plan import NETWORK, SESSION_MS

RISKY = {"min.insync.replicas": "1", "unclean.leader.election.enable": "true"}


class Found:
    """Checks that say nothing on standard output: which of them failed, and why."""

    def __init__(self):
        self.failures = {}

    def check(self, name, call, *args):
        try:
            call(*args)
            return True
        except Exception as error:
            self.failures[name] = f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
            print(f"{name}: {self.failures[name]}", file=sys.stderr, flush=True)
            return False


def isolated_leader(run):
    """It goes on acknowledging what nobody else has."""
    acts = run.acts
    acts.isolated_for(acts.a_leader(), SESSION_MS / 1000 * 4)
    acts.settle()


def disk_of_the_last(run):
    """One replica is left in sync, and its disk is lost."""
    acts, brokers = run.acts, run.cluster.brokers()
    last = acts.a_leader()
    others = [node for node in brokers if node is not last]
    for node in others:
        acts.kill(node)
    time.sleep(SESSION_MS / 1000 + 5)
    acts.kill(last)
    last.wipe()
    for node in others:
        node.start()
    time.sleep(SESSION_MS / 1000 + 3)
    last.start()
    acts.settle()


def offsets_set_back(run):
    """A group's offsets are altered while its members are away."""
    time.sleep(2)
    client, group = "franz-go", "faults-fr"
    process = run.clients.processes.pop(client)
    process.terminate()
    process.wait(20)
    admin = AdminClient({"bootstrap.servers": run.cluster.bootstrap, "log_level": 2})
    back = ConsumerGroupTopicPartitions(group, [TopicPartition(suite.TOPIC, 0, 1)])
    def alter():
        for future in admin.alter_consumer_group_offsets([back]).values():
            future.result(10)
    suite.eventually(30, alter, 1)
    time.sleep(1)
    run.clients.start_one(client, True)
    time.sleep(2)


def slow_session(run):
    """The dead are taken for living for much too long."""
    run.windows.append({"kind": "kill-leader", "begin": suite.now_ms()})
    run.acts.killed_for([run.acts.a_leader()], 22)
    run.windows[-1]["healed"] = suite.now_ms()
    run.acts.settle()
    run.windows[-1]["settled"] = suite.now_ms()


def changed_byte(run):
    """After the end one byte of one replica changes."""
    node = run.cluster.brokers()[1]
    logs = (path for directory in node.logs_dirs for path in directory.glob(f"{suite.TOPIC}-*/*.log"))
    log = max(logs, key=lambda path: path.stat().st_size)
    with open(log, "r+b") as file:
        file.seek(log.stat().st_size // 2)
        byte = file.read(1)
        file.seek(-1, os.SEEK_CUR)
        file.write(bytes([byte[0] ^ 1]))
    run.held = run.on_disk()


# Name → settings, topic's settings, acks, arguments, what is done, what is done after the end, which checks must fail.
PROOFS = {
    "unclean": ({}, RISKY, "1", [], isolated_leader, None, {"acked-kept", "one-value"}),
    "lost-disk": ({}, RISKY, "all", ["--separate"], disk_of_the_last, None, {"acked-kept"}),
    "offsets-back": ({}, {}, "all", [], offsets_set_back, None, {"commits-kept"}),
    "slow-session": ({"broker.session.timeout.ms": 30_000}, {}, "all", ["--strict"], slow_session, None, {"promises"}),
    "changed-byte": ({}, {}, "all", [], None, changed_byte, {"replicas-equal"}),
}


def prove(name):
    extra, topic_config, acks, words, do, after, want = PROOFS[name]
    found = Found()
    with contextlib.ExitStack() as stack:
        run = suite.Run(suite.arguments(["--seed", "1", *words]), stack, extra, topic_config, acks)
        if NETWORK not in run.have and name == "unclean":
            return f"n/a broken-{name} {run.why_not[NETWORK]}"
        run.start()
        if do:
            do(run)
        found.check("end", run.end)
        if hasattr(run, "held"):
            if after:
                after(run)
            suite.verdict(found, run)
        run.clients.kill()
        run.tidy()
    silent = want - set(found.failures)
    if silent:
        return f"FAIL broken-{name} did not fail: {', '.join(sorted(silent))}; failed: {found.failures}"
    return f"ok broken-{name} failed as it must: " + "; ".join(f"{each}: {found.failures[each]}" for each in sorted(want))


def main():
    lines = []
    for name in sys.argv[1:] or PROOFS:
        try:
            lines.append(prove(name))
        except Exception as error:
            lines.append(f"FAIL broken-{name} {type(error).__name__}: {' '.join(str(error).split())[:600]}")
        print(lines[-1], flush=True)
    return any(line.startswith("FAIL") for line in lines)


if __name__ == "__main__":
    sys.exit(main())

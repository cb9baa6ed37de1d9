"""Consumer groups: members that come and go in both protocols, offset commits, many groups loaded at start.

The members are `monedula-load`'s (crates/load), the same for both servers; a command a time, so that the server's CPU clock is read
right before and after each.
"""

import contextlib
import re
import shutil
import subprocess
import time

import scale
from harness import server, step
from harness.paths import LOGS, PROJECT, WORK

MEMBERS, PARTITIONS, KILLED = 500, 1000, 50
# What members and coordinator wait for is waited for by both servers alike: kept short, to see the work. In a rush it is shorter
# still, at the price of more heartbeats.
HEARTBEAT_MS, RUSH_HEARTBEAT_MS, SESSION_MS = 500, 100, 6000
HOLD_S = 10
COMMITS = (20_000, 100, 10, 50, 4)  # requests, groups, partitions in each, connections, under way on each
MANY_OFFSETS = 1
LIMIT_S = 600
SETTINGS = {
    "group.initial.rebalance.delay.ms": "0",
    "group.min.session.timeout.ms": "1000",
    "group.consumer.min.session.timeout.ms": "1000",
    "group.consumer.session.timeout.ms": str(SESSION_MS),
    "group.consumer.min.heartbeat.interval.ms": "100",
    "group.consumer.heartbeat.interval.ms": str(HEARTBEAT_MS),
}
RUSH = {"group.consumer.heartbeat.interval.ms": str(RUSH_HEARTBEAT_MS), "group.consumer.assignment.interval.ms": "0"}
STEPS = {"cold_join": ("join",), "plus_one": ("join",), "minus_one": ("leave", 1), "kill_50": ("kill", KILLED)}
RUSH_STEPS = ("cold_join", "plus_one", "minus_one")
PROTOCOLS = ("classic", "consumer")
KINDS = ("simple", "classic", "consumer")
GOALS = {f"{prefix}{protocol}_{name}_{what}": goal for prefix in ("", "rush_") for protocol in PROTOCOLS for name in STEPS
         for what, goal in (("ms", 0.5), ("cpu_s", 0.3))}
GOALS |= {"commits_cpu_s_per_million": 0.3}


def build():
    """The driver, as a release build of this project."""
    print("   building monedula-load (release) ...", flush=True)
    step.run("build-load", ["cargo", "build", "--release", "-p", "monedula-load"], 1800, cwd=PROJECT)
    metadata = subprocess.run(["cargo", "metadata", "--no-deps", "--format-version", "1"], cwd=PROJECT, check=True, capture_output=True, text=True).stdout
    return re.search(r'"target_directory":"([^"]+)"', metadata).group(1) + "/release/monedula-load"


class Load:
    """One running driver."""

    def __init__(self, binary, s, name, **settings):
        self.name, self.server = name, s
        LOGS.mkdir(parents=True, exist_ok=True)
        with open(LOGS / f"{name}-load.err", "wb") as err:
            arguments = [f"{key.replace('_', '-')}={value}" for key, value in settings.items()]
            self.process = subprocess.Popen([binary, s.bootstrap, *arguments, f"limit-ms={LIMIT_S * 1000}"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                            stderr=err, text=True)

    def say(self, *words):
        self.process.stdin.write(" ".join(map(str, words)) + "\n")
        self.process.stdin.flush()

    def answer(self):
        line = self.process.stdout.readline()
        if not line.startswith("ok "):
            raise step.Failed(f"{self.name}: {line.strip() or 'the driver ended'}")
        return {key: float(value) for key, value in (pair.split("=") for pair in line[3:].split() if "=" in pair)}

    def ask(self, *words):
        self.say(*words)
        return self.answer()

    def measured(self, *words):
        """The answer, and the CPU-seconds of the server that it took."""
        before = scale.cpu_s(self.server.pid)
        answer = self.ask(*words)
        return answer, scale.cpu_s(self.server.pid) - before

    def close(self):
        self.process.kill()
        self.process.wait(10)
        self.process.stdin.close()
        self.process.stdout.close()


def rebalances(load, s, protocol, steps, heartbeat_ms, prefix, figures):
    """500 members join, one more comes, one leaves, 50 vanish."""
    driver = Load(load, s, f"{s.name}-{protocol}", protocol=protocol, group=f"group-{protocol}", topic="rebalanced", session_timeout_ms=SESSION_MS,
                  heartbeat_ms=heartbeat_ms)
    try:
        driver.ask("topic", PARTITIONS)
        driver.ask("connect", MEMBERS)
        time.sleep(1)
        for name in steps:
            if name == "plus_one":
                driver.ask("connect", 1)
            answer, cpu_s = driver.measured(*STEPS[name])
            figures[f"{prefix}_{name}_ms"], figures[f"{prefix}_{name}_cpu_s"] = answer["ms"], cpu_s
            time.sleep(1)
        _, cpu_s = driver.measured("hold", HOLD_S)
        figures[f"{prefix}_hold_cpu_percent"] = 100 * cpu_s / HOLD_S
    finally:
        driver.close()


def commits(load, s, figures):
    driver = Load(load, s, f"{s.name}-commits", topic="committed")
    try:
        driver.ask("topic", 10)
        driver.ask("commits", *COMMITS)  # a warm one
        answer, cpu_s = driver.measured("commits", *COMMITS)
        figures["commits_per_s"] = answer["requests"] * 1000 / answer["ms"]
        figures["commits_p99_ms"] = answer["p99_us"] / 1000
        figures["commits_cpu_s_per_million"] = cpu_s * 1e6 / answer["requests"]
    finally:
        driver.close()


def many(load, kind, binary, n, of, groups, figures):
    """So many groups of one kind, made, and loaded by a server that starts: on its own directory."""
    name = f"bench-many-{of}-{n}-{kind}"
    directory = WORK / "servers" / name
    shutil.rmtree(directory, ignore_errors=True)
    s = server.Server(kind, directory, binary, SETTINGS, name=name)
    driver = None
    try:
        s.start()
        driver = Load(load, s, name, topic="many", session_timeout_ms=300_000)
        driver.ask("topic", MANY_OFFSETS)
        time.sleep(1)
        empty = s.rss_mib()
        answer, cpu_s = driver.measured("make", of, groups, MANY_OFFSETS)
        figures[f"many_{of}_make_ms"], figures[f"many_{of}_make_cpu_s"] = answer["ms"], cpu_s
        figures[f"many_{of}_kib_per_group"] = (s.rss_mib() - empty) * 1024 / groups
        scale.stop(s)
        driver.say("await", groups, MANY_OFFSETS)
        begin = time.time()
        s.start()
        served = driver.answer()["served_at_s"]
        figures[f"many_{of}_start_ms"] = (served - begin) * 1000
        figures[f"many_{of}_start_cpu_s"] = scale.cpu_s(s.pid)
        figures[f"many_{of}_loaded_rss_mib"] = s.rss_mib()
        scale.stop(s)
    finally:
        if driver:
            driver.close()
        s.kill()
        s.wipe()


@contextlib.contextmanager
def running(kind, binary, name, settings):
    """A fresh server on a fresh directory, at rest."""
    directory = WORK / "servers" / name
    shutil.rmtree(directory, ignore_errors=True)
    s = server.Server(kind, directory, binary, settings, name=name)
    try:
        s.start()
        time.sleep(2)
        yield s
        scale.stop(s)
    finally:
        s.kill()
        s.wipe()


def measure(kind, binary, load, n, groups, parts):
    """Some lives of one server: a dict of figures."""
    figures = {}
    if parts & {"commits", *PROTOCOLS}:
        with running(kind, binary, f"bench-groups-{n}-{kind}", SETTINGS) as s:
            if "commits" in parts:
                commits(load, s, figures)
            for protocol in PROTOCOLS:
                if protocol in parts:
                    rebalances(load, s, protocol, STEPS, HEARTBEAT_MS, protocol, figures)
    if "rush" in parts:
        with running(kind, binary, f"bench-rush-{n}-{kind}", SETTINGS | RUSH) as s:
            for protocol in PROTOCOLS:
                rebalances(load, s, protocol, RUSH_STEPS, RUSH_HEARTBEAT_MS, f"rush_{protocol}", figures)
    for of in KINDS:
        if f"many-{of}" in parts:
            many(load, kind, binary, n, of, groups, figures)
    return figures


PARTS = ("commits", *PROTOCOLS, "rush", *(f"many-{of}" for of in KINDS))

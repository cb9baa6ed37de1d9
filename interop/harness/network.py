"""A network of its own for each node: a namespace, a bridge between them, and faults on the way from one to another.

Needs root and iproute2, nothing else: what must not arrive is routed into nothing where it would arrive, so that the sender hears
nothing, as with a cable that is cut. The machine itself (all clients) is at the bridge and reaches every node.
"""

import os
import shutil
import subprocess

RULE = "10"


def ip(*words):
    done = subprocess.run(["ip", *map(str, words)], capture_output=True, text=True)
    if done.returncode:
        raise OSError(f"ip {' '.join(map(str, words))}: {done.stderr.strip()}")


def missing():
    """Why there can be no networks here, or nothing."""
    if os.geteuid() != 0:
        return "only root may make networks"
    for program in ("ip", "tc"):
        if not shutil.which(program):
            return f"{program} is not installed (Debian: iproute2)"
    try:
        probe = f"mf{os.getpid()}x"
        ip("netns", "add", probe)
        ip("netns", "del", probe)
    except OSError as error:
        return str(error)
    return None


class Network:
    def __init__(self, ids):
        pid = os.getpid()
        self.ids, self.prefix, self.bridge = list(ids), f"10.{100 + pid % 100}.{pid // 100 % 250}", f"mfb{pid}"
        # The last number of an address, for ids that are larger than that.
        self.places = {node_id: place for place, node_id in enumerate(self.ids, 1)}
        self.hosts = {node_id: f"{self.prefix}.{place}" for node_id, place in self.places.items()}
        self.cuts, self.slowed = set(), set()

    def __enter__(self):
        try:
            self.up()
        except BaseException:
            self.down()
            raise
        return self

    def __exit__(self, *_):
        self.down()

    def space(self, node_id):
        return f"mf{os.getpid()}n{node_id}"

    def cable(self, node_id):
        """The bridge's end of a node's cable."""
        return f"mfv{os.getpid()}n{self.places[node_id]}"

    def wrap(self, node_id):
        """What a command begins with that runs in the node's network."""
        return ["ip", "netns", "exec", self.space(node_id)]

    def up(self):
        ip("link", "add", self.bridge, "type", "bridge")
        ip("link", "set", self.bridge, "up")
        ip("addr", "add", f"{self.prefix}.254/24", "dev", self.bridge)
        for node_id in self.ids:
            space, cable = self.space(node_id), self.cable(node_id)
            ip("netns", "add", space)
            ip("link", "add", cable, "type", "veth", "peer", "name", "eth0", "netns", space)
            ip("link", "set", cable, "master", self.bridge, "up")
            ip("-n", space, "addr", "add", f"{self.hosts[node_id]}/24", "dev", "eth0")
            for device in ("eth0", "lo"):
                ip("-n", space, "link", "set", device, "up")
            # Rules are asked before the table of what is local, and for packets of known connections, too.
            ip("-n", space, "rule", "add", "pref", "100", "lookup", "local")
            ip("-n", space, "rule", "del", "pref", "0")
            for switch in ("ip_early_demux", "tcp_early_demux"):
                subprocess.run([*self.wrap(node_id), "sh", "-c", f"echo 0 > /proc/sys/net/ipv4/{switch}"], check=True)

    def down(self):
        for node_id in self.ids:
            subprocess.run(["ip", "netns", "del", self.space(node_id)], capture_output=True)
            subprocess.run(["ip", "link", "del", self.cable(node_id)], capture_output=True)
        subprocess.run(["ip", "link", "del", self.bridge], capture_output=True)

    def cut(self, sender, receiver):
        """From now on nothing of the sender reaches the receiver."""
        if (sender, receiver) not in self.cuts:
            self.rule("add", sender, receiver)
            self.cuts.add((sender, receiver))

    def join(self, sender, receiver):
        if (sender, receiver) in self.cuts:
            self.rule("del", sender, receiver)
            self.cuts.remove((sender, receiver))

    def rule(self, verb, sender, receiver):
        ip("-n", self.space(receiver), "rule", verb, "pref", RULE, "from", self.hosts[sender], "iif", "eth0", "blackhole")

    def isolate(self, node_id, outgoing=True, incoming=True):
        """Between the node and all others, one way or both; clients reach it."""
        for other in self.ids:
            if other != node_id and outgoing:
                self.cut(node_id, other)
            if other != node_id and incoming:
                self.cut(other, node_id)

    def slow(self, node_id, bytes_per_s):
        """What the node sends and what it is sent shares so little each way, its clients' included."""
        shape = ["tbf", "rate", f"{bytes_per_s * 8}bit", "burst", "16kb", "latency", "400ms"]
        self.tc("-n", self.space(node_id), "qdisc", "add", "dev", "eth0", "root", *shape)
        self.tc("qdisc", "add", "dev", self.cable(node_id), "root", *shape)
        self.slowed.add(node_id)

    def fast(self, node_id):
        self.tc("-n", self.space(node_id), "qdisc", "del", "dev", "eth0", "root")
        self.tc("qdisc", "del", "dev", self.cable(node_id), "root")
        self.slowed.remove(node_id)

    @staticmethod
    def tc(*words):
        done = subprocess.run(["tc", *words], capture_output=True, text=True)
        if done.returncode:
            raise OSError(f"tc {' '.join(words)}: {done.stderr.strip()}")

    def heal(self):
        for sender, receiver in list(self.cuts):
            self.join(sender, receiver)
        for node_id in list(self.slowed):
            self.fast(node_id)

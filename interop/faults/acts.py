"""The faults themselves, done to a cluster of processes and its networks. Each comes back when it has been healed."""

import subprocess
import time

from harness.check import eventually
from harness.step import Failed, tail
from plan import LAG_MS, SESSION_MS
from quorum import Voters
from watch import now_ms

SESSION_S = SESSION_MS / 1000
SLOW_BYTES_PER_S = 150_000


class Acts:
    """`ill` are the nodes that something is done to: nobody from outside should believe them. `steps` are the times of what was done."""

    def __init__(self, cluster, network, proxy, disks, random, topic, topics):
        self.cluster, self.network, self.proxy, self.disks, self.random, self.topic = cluster, network, proxy, disks, random, topic
        # All that are to be in sync after each fault.
        self.topics = topics
        self.ill, self.steps = set(), []
        self.quorum = Voters(cluster, self.well)

    def step(self, what):
        self.steps.append((now_ms(), what))

    def do(self, kind):
        """Does it, heals it; returns the nodes that it was done to."""
        try:
            return getattr(self, kind.replace("-", "_"))()
        finally:
            for each in (self.network, self.proxy):
                if each:
                    each.heal()

    def well(self):
        return [node for node in self.cluster.running() if node.is_broker() and node.id not in self.ill]

    def a_leader(self):
        leaders = sorted({p["LeaderId"] for p in self.cluster.partitions(self.topic).values()} - {-1})
        return self.cluster.node(self.random.choice(leaders))

    def a_node(self):
        return self.random.choice(self.cluster.nodes)

    def a_broker(self):
        return self.random.choice(self.cluster.brokers())

    def controller(self):
        return self.cluster.leader()

    def kill(self, node):
        self.ill.add(node.id)
        try:
            node.kill()
        except subprocess.TimeoutExpired:
            # A machine that is busy takes its time to end a process, too.
            node.process.wait(120)
            node.process = None

    def killed_for(self, nodes, seconds):
        for node in nodes:
            self.kill(node)
        time.sleep(seconds)
        for node in nodes:
            node.start(wait=False)
        return [node.id for node in nodes]

    def past_session(self):
        return self.random.uniform(SESSION_S + 2, SESSION_S + 4)

    def kill_leader(self):
        return self.killed_for([self.a_leader()], self.past_session())

    def kill_broker(self):
        """Not the controller, when there is another one."""
        others = [node for node in self.cluster.brokers() if node is not self.controller()]
        return self.killed_for([self.random.choice(others)], self.past_session())

    def kill_controller(self):
        return self.killed_for([self.controller()], self.past_session())

    def kill_both(self):
        """Of three combined nodes the one that is left can do nothing: the two are not away for long."""
        controller = self.controller()
        leader = next(node for node in [self.a_leader() for _ in range(20)] + self.cluster.brokers() if node is not controller)
        majority_stays = 2 * (len(self.cluster.controllers()) - 1 - leader.is_controller()) > len(self.cluster.controllers())
        return self.killed_for([controller, leader], self.past_session() if majority_stays else self.random.uniform(0.5, 3))

    def kill_all(self):
        return self.killed_for(self.random.sample(self.cluster.nodes, len(self.cluster.nodes)), self.random.uniform(0.2, 3))

    def paused_for(self, node, seconds):
        self.ill.add(node.id)
        node.pause()
        time.sleep(seconds)
        node.resume()
        # What it sends when it wakes is the point.
        time.sleep(1)
        return [node.id]

    def pause_leader(self):
        return self.paused_for(self.a_leader(), self.random.uniform(0.5, SESSION_S * 0.7))

    def pause_long(self):
        return self.paused_for(self.a_leader(), self.random.uniform(SESSION_S * 2, SESSION_S * 4))

    def pause_controller(self):
        return self.paused_for(self.controller(), self.random.uniform(1, SESSION_S * 3))

    def isolated_for(self, node, seconds, **ways):
        self.ill.add(node.id)
        self.network.isolate(node.id, **ways)
        time.sleep(seconds)
        self.network.heal()
        return [node.id]

    def isolate_leader(self):
        return self.isolated_for(self.a_leader(), self.random.uniform(SESSION_S, SESSION_S * 4))

    def isolate_controller(self):
        return self.isolated_for(self.controller(), self.random.uniform(SESSION_S, SESSION_S * 4))

    def deaf(self):
        """It can be heard, and hears nothing."""
        return self.isolated_for(self.random.choice([self.a_leader(), self.controller()]), self.random.uniform(4, 10), outgoing=False)

    def mute(self):
        return self.isolated_for(self.random.choice([self.a_leader(), self.controller()]), self.random.uniform(4, 10), incoming=False)

    def cut_pair(self):
        """Two nodes do not see each other, one way or both; all others see both."""
        one, other = self.random.sample([node.id for node in self.cluster.nodes], 2)
        self.ill |= {one, other}
        self.network.cut(one, other)
        if self.random.random() < 0.6:
            self.network.cut(other, one)
        time.sleep(self.random.uniform(4, 12))
        self.network.heal()
        return [one, other]

    def flapping(self):
        node = self.random.choice([self.a_leader(), self.controller(), self.a_node()])
        self.ill.add(node.id)
        end = time.monotonic() + self.random.uniform(5, 10)
        while time.monotonic() < end:
            self.network.isolate(node.id, outgoing=self.random.random() < 0.8, incoming=self.random.random() < 0.8)
            time.sleep(self.random.uniform(0.1, 1.2))
            self.network.heal()
            time.sleep(self.random.uniform(0.1, 0.8))
        return [node.id]

    def slow(self):
        node = self.a_node()
        self.ill.add(node.id)
        self.network.slow(node.id, SLOW_BYTES_PER_S)
        time.sleep(self.random.uniform(5, 10))
        self.network.heal()
        return [node.id]

    def lost_disk(self):
        """A broker comes back with an empty disk. The metadata log lies on another one: a voter may not forget its votes."""
        node = self.a_broker()
        self.kill(node)
        time.sleep(self.past_session())
        node.wipe()
        node.start(wait=False)
        return [node.id]

    def lost_node(self):
        """All disks of a node are lost, with its metadata log. Where voters are fixed it is formatted as before and starts: nobody knows
        that it has forgotten its votes, and nothing else may fail meanwhile. Where they may change it is put out of the quorum, and
        comes in again as a new voter."""
        node = self.a_node()
        self.kill(node)
        time.sleep(self.past_session())
        votes = self.cluster.dynamic and node.is_controller()
        if votes:
            self.quorum.remove(node.id)
            self.step("removed")
        if self.disks and node.is_broker():
            self.disks.new(node.disk)
        node.lose()
        node.start(wait=False)
        if votes:
            node.wait_ready()
            self.quorum.add(node)
            self.step("added")
        return [node.id]

    def broken(self):
        """The disk of some partitions of a broker fails; others lead what it led, and it serves what is on its other disk. The node."""
        node = self.random.choice([node for node in self.cluster.brokers() if self.leads_on_disk(node)] or self.cluster.brokers())
        held = self.on_disk(node)
        self.step(f"break, {len(held)} partitions")
        self.disks.shut(node.disk)

        def moved():
            found = self.cluster.partitions(self.topic)
            left = [p for p in held if found[p]["LeaderId"] in (node.id, -1) or node.id in found[p]["IsrNodes"]]
            assert not left, f"still led or in sync there: {left}"
        eventually(30, moved)
        self.step("moved")
        assert node.alive(), f"{node.name} ended with its second disk\n{tail(node.err)}"

        def serves():
            found = self.cluster.partitions(self.topic)
            late = [p for p in found if p not in held and node.id in found[p]["ReplicaNodes"] and node.id not in found[p]["IsrNodes"]]
            assert not late, f"{node.name} is not in sync on its other disk: {late}"
        eventually(10, serves)
        return node

    def on_disk(self, node):
        """Partitions of the topic that the broker has on the disk that can be broken."""
        ends = [path.name.removeprefix(f"{self.topic}-") for path in node.logs_dirs[1].iterdir()]
        return sorted(int(end) for end in ends if end.isdigit())

    def leads_on_disk(self, node):
        found = self.cluster.partitions(self.topic)
        return any(found[p]["LeaderId"] == node.id for p in self.on_disk(node))

    def replaced(self, node):
        """A new disk, and the node is started again."""
        self.ill.add(node.id)
        if node.alive():
            node.stop()
        self.disks.new(node.disk)
        node.start(wait=False)
        return [node.id]

    def broken_disk(self):
        node = self.broken()
        time.sleep(self.random.uniform(1, 4))
        return self.replaced(node)

    def broken_disk_restart(self):
        """It is killed and starts again while the disk is still broken."""
        node = self.broken()
        self.kill(node)
        node.start(formatted=True)
        self.step("started without it")
        self.ill.discard(node.id)
        time.sleep(self.random.uniform(1, 4))
        return self.replaced(node)

    def filled(self):
        """Others fill the disk of some partitions of a broker to the last block. The node: it stays, with all that it has."""
        node = self.random.choice([node for node in self.cluster.brokers() if self.leads_on_disk(node)] or self.cluster.brokers())
        self.step(f"fill the disk of {len(self.on_disk(node))} partitions")
        self.disks.fill(node.disk)
        return node

    def freed(self, node):
        """There is space again: it goes on by itself."""
        assert node.alive(), f"{node.name} ended with its full disk\n{tail(node.err)}"
        lost = [p for p in self.on_disk(node) if node.id not in self.cluster.partitions(self.topic)[p]["ReplicaNodes"]]
        assert not lost, f"{node.name} holds {lost} no more"
        self.disks.free(node.disk)
        self.step("freed")
        return [node.id]

    def full_disk(self):
        node = self.filled()
        time.sleep(self.random.uniform(4, 8))
        return self.freed(node)

    def full_disk_restart(self):
        """It is killed and starts again without a free block."""
        node = self.filled()
        time.sleep(self.random.uniform(1, 3))
        self.kill(node)
        node.start(formatted=True)
        self.step("started on it")
        self.ill.discard(node.id)
        time.sleep(self.random.uniform(2, 5))
        return self.freed(node)

    def voters(self):
        """A voter, or the leader, is put out of the quorum, stays as an observer, and comes in again."""
        node = self.random.choice([self.controller(), self.random.choice(self.cluster.controllers())])
        self.step(f"remove {node.id}")
        self.quorum.remove(node.id)
        self.step("removed")
        eventually(30, lambda: node.id in self.quorum.known()[1])
        time.sleep(self.random.uniform(1, 4))
        self.quorum.add(node)
        self.step("added")
        return [node.id]

    def storm(self):
        hit = set()
        end = time.monotonic() + self.random.uniform(8, 14)
        while time.monotonic() < end:
            node = self.a_node()
            hit.add(node.id)
            self.kill(node)
            time.sleep(self.random.uniform(0, 1))
            node.start(wait=False)
            time.sleep(self.random.uniform(0, 2))
        return sorted(hit)

    def rolling(self):
        """Clean stops, one after the other; the next one when all is in sync."""
        for node in self.random.sample(self.cluster.nodes, len(self.cluster.nodes)):
            self.ill.add(node.id)
            self.step(f"stop {node.id}")
            node.stop()
            self.step(f"start {node.id}")
            node.start()
            self.step(f"started {node.id}")
            self.cluster.wait_ready()
            self.cluster.wait_in_sync(self.topic)
            self.step("in sync")
            self.ill.discard(node.id)
        return [node.id for node in self.cluster.nodes]

    def with_messages(self, act):
        """Single requests and answers between nodes are late, lost, held or repeated while something is done."""
        told = [self.proxy.one_of_frames(self.random) for _ in range(self.random.randint(3, 6))]
        nodes = act()
        time.sleep(self.random.uniform(1, 6))
        return [f"{what}: {self.proxy.end(name)}" for name, what in told] + nodes

    def messages(self):
        """While a broker stands still for long enough to fall behind."""
        return self.with_messages(lambda: self.paused_for(self.a_broker(), self.random.uniform(0.2, LAG_MS / 1000 + 4)))

    def messages_and_kill(self):
        return self.with_messages(lambda: self.killed_for([self.random.choice([self.a_leader(), self.controller()])], self.past_session()))

    def latency(self):
        self.proxy.fault("*", f"latency ms={self.random.choice((20, 100, 300))}")
        time.sleep(self.random.uniform(4, 8))
        return ["*"]

    def slices(self):
        self.proxy.fault("*", "slice bytes=50 ms=1")
        time.sleep(self.random.uniform(3, 6))
        return ["*"]

    def resets(self):
        end = time.monotonic() + self.random.uniform(4, 8)
        while time.monotonic() < end:
            self.proxy.tell(f"reset {self.random.choice(list(self.proxy.links))}")
            time.sleep(self.random.uniform(0.05, 0.8))
        return ["*"]

    def one_way(self):
        """What goes over one link one way waits, as behind a cable that is mended later: nothing is sent again."""
        link = self.random.choice(list(self.proxy.links))
        self.proxy.fault(link, f"drop way={self.random.choice(('request', 'response'))}")
        time.sleep(self.random.uniform(3, 12))
        return [link]

    def settle(self):
        """Everything runs, knows each other and is in sync; only then is anybody believed who was ill."""
        for node in self.cluster.nodes:
            node.resume()
            if not node.alive():
                raise Failed(f"{node.name}: it ended by itself\n{tail(node.err)}")
            # Not the node's own limit, which is that of a start.
            eventually(90, node.ready)
        self.cluster.wait_ready()
        for topic in self.topics:
            self.cluster.wait_in_sync(topic, 90)
        self.ill.clear()
        if self.cluster.dynamic:
            want = {node.id for node in self.cluster.controllers()}
            assert set(self.quorum.known()[0]) == want, f"voters {sorted(self.quorum.known()[0])} of {sorted(want)}"

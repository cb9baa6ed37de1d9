"""The fault proxy of crates/faults between the nodes of a cluster: a link per pair that asks the controller, one to each broker's
replication listener. Clients talk to the nodes themselves."""

import socket
import subprocess
import threading

from .step import Failed

# What nodes ask each other, and what is done to it.
CONTROLLER_APIS = ("Vote", "BeginQuorumEpoch", "EndQuorumEpoch", "Fetch", "AlterPartition", "BrokerHeartbeat", "BrokerRegistration", "Envelope")
REPLICA_APIS = ("Fetch", "OffsetForLeaderEpoch")


class Proxy:
    def __init__(self, binary):
        self.process = subprocess.Popen([binary, "127.0.0.1:0"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
        host, port = self.process.stdout.readline().strip().rsplit(":", 1)
        self.control = socket.create_connection((host, int(port)), 5)
        self.lines = self.control.makefile("r")
        # Nodes are prepared by several threads at once.
        self.links, self.number, self.lock = {}, 0, threading.RLock()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.control.close()
        self.process.kill()
        self.process.wait()

    def tell(self, command):
        with self.lock:
            self.control.sendall(f"{command}\n".encode())
            answer = self.lines.readline().strip()
        if not answer.startswith("ok"):
            raise Failed(f"fault proxy: {command}: {answer}")
        return answer[3:]

    def link(self, name, target):
        """The address of a link, which is made when it is asked for first."""
        with self.lock:
            if name not in self.links:
                self.links[name] = self.tell(f"link {name} 127.0.0.1:0 {target}")
            return self.links[name]

    def route(self, asking, asked):
        return self.link(f"c{asking.id}-{asked.id}", f"127.0.0.1:{asked.controller_port}")

    def advertise(self, node, listener):
        if listener == "REPLICATION":
            return self.link(f"r{node.id}", f"127.0.0.1:{node.replication_port}")
        if listener == "CONTROLLER":
            return self.link(f"c-{node.id}", f"127.0.0.1:{node.controller_port}")
        return f"127.0.0.1:{node.port}"

    def fault(self, link, what):
        with self.lock:
            self.number += 1
            name = f"f{self.number}"
        self.tell(f"fault {name} {link} {what}")
        return name

    def end(self, name):
        """Ends a fault; how often it bit."""
        return int(self.tell(f"end {name}"))

    def heal(self):
        self.tell("end-all")

    def one_of_frames(self, random):
        """A fault of single requests or answers on some link, or on all; returns its name and what it is."""
        link = "*" if random.random() < 0.6 else random.choice(list(self.links))
        api = random.choice(REPLICA_APIS if link.startswith("r") else CONTROLLER_APIS)
        way = random.choice(("request", "response"))
        what = random.choice((
            f"delay way={way} ms={random.randint(100, 3000)} count={random.randint(1, 20)}",
            f"hold way={way} count={random.randint(1, 3)}",
            f"lose way={way} count={random.randint(1, 5)}",
            f"reset way={way} count={random.randint(1, 5)}",
            f"repeat times={random.randint(1, 2)} count=20",
            f"repeat ms={random.randint(200, 8000)} count=50",
        ))
        return self.fault(link, f"{what} api={api} skip={random.randint(0, 3)}"), f"{link} {api} {what}"

"""The networks' faults bite: an echo server in one node's network, askers in another one's and outside."""

import contextlib
import os
import subprocess
import sys
import time

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from harness.check import Checks, eventually
from harness.network import Network, missing

PORT = 9092
SERVER = f"""
import socket, threading
def echo(c):
    while data := c.recv(65536):
        c.sendall(data)
s = socket.create_server(("0.0.0.0", {PORT}))
while True:
    threading.Thread(target=echo, args=(s.accept()[0],), daemon=True).start()
"""
# Keeps one connection; a line "SIZE LIMIT" on standard input is answered by "yes SECONDS" or "no".
ASKER = f"""
import socket, sys, time
c = socket.create_connection((sys.argv[1], {PORT}), 5)
for line in sys.stdin:
    size, limit = line.split()
    left, begin = int(size), time.monotonic()
    c.settimeout(float(limit))
    try:
        c.sendall(b"x" * left)
        while left:
            left -= len(c.recv(left))
        print("yes", time.monotonic() - begin, flush=True)
    except TimeoutError:
        c.settimeout(60)
        print("no", flush=True)
        while left:
            left -= len(c.recv(left))
"""


class Asker:
    def __init__(self, wrap, host):
        self.process = subprocess.Popen([*wrap, sys.executable, "-c", ASKER, host], text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def ask(self, size=1, limit_s=0.4):
        self.process.stdin.write(f"{size} {limit_s}\n")
        self.process.stdin.flush()
        return self.process.stdout.readline()

    def reaches(self):
        assert self.ask(limit_s=60).startswith("yes"), "no answer"


def one_way(network, inside, outside, sender, receiver):
    network.cut(sender, receiver)
    outside.reaches()
    assert inside.ask() == "no\n", "the cut does not bite"
    network.heal()
    inside.reaches()


def slow(network, inside):
    begin = time.monotonic()
    inside.ask(200_000, 10)
    before_s = time.monotonic() - begin
    network.slow(2, 200_000)
    begin = time.monotonic()
    inside.ask(200_000, 10)
    assert time.monotonic() - begin > 0.7 > before_s, f"{before_s:.2f} s, then {time.monotonic() - begin:.2f} s"
    network.heal()


def main():
    checks = Checks()
    reason = missing()
    if reason:
        print(f"n/a networks {reason}")
        print("ok networks-missing there is nothing to be tested")
        return 0
    with Network([1, 2, 103]) as network, contextlib.ExitStack() as stack:
        server = subprocess.Popen([*network.wrap(2), sys.executable, "-c", SERVER])
        stack.callback(server.kill)
        def connect(wrap):
            asker = Asker(wrap, network.hosts[2])
            stack.callback(asker.process.kill)
            asker.reaches()
            return asker
        time.sleep(1)
        inside, outside, third = [eventually(10, lambda: connect(wrap)) for wrap in (network.wrap(1), [], network.wrap(103))]
        checks.check("network-cut-to", one_way, network, inside, outside, 1, 2)
        checks.check("network-cut-from", one_way, network, inside, outside, 2, 1)
        def isolated():
            network.isolate(1)
            assert inside.ask() == "no\n", "it is not isolated"
            third.reaches()
            network.heal()
            inside.reaches()
        checks.check("network-isolate", isolated)
        checks.check("network-slow", slow, network, inside)
    return 1 if checks.failed else 0


if __name__ == "__main__":
    sys.exit(main())

"""The server under test: Monedula or Apache Kafka, one combined node on a free port with its own directory."""

import os
import pathlib
import shutil
import signal
import socket
import struct
import subprocess
import sys
import time

from .paths import BROKER_JARS, LOG4J, LOGS
from .ports import free_ports
from .step import Failed, end_group, run, tail

CLUSTER_ID = "MkU3OEVBNTcwNTJENDM2Qg"
READY_LIMIT_S = 180
STOP_LIMIT_S = 60

# Whoever ends a run politely ends its servers, too: suites have a `finally` for them.
signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))


def properties(data_dir, port, controller_port, extra):
    lines = {
        "process.roles": "broker,controller",
        "node.id": "1",
        "controller.quorum.voters": f"1@127.0.0.1:{controller_port}",
        "listeners": f"PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller_port}",
        "advertised.listeners": f"PLAINTEXT://127.0.0.1:{port}",
        "controller.listener.names": "CONTROLLER",
        "log.dirs": str(data_dir),
        "offsets.topic.replication.factor": "1",
        "transaction.state.log.replication.factor": "1",
        "transaction.state.log.min.isr": "1",
        "share.coordinator.state.topic.replication.factor": "1",
        "share.coordinator.state.topic.min.isr": "1",
        # What is over its time is soon aborted.
        "transaction.abort.timed.out.transaction.cleanup.interval.ms": "500",
        # Groups are quick: members that died are noticed within seconds.
        "group.initial.rebalance.delay.ms": "0",
        "group.min.session.timeout.ms": "500",
        "group.consumer.min.session.timeout.ms": "500",
        "group.consumer.session.timeout.ms": "6000",
        "group.consumer.min.heartbeat.interval.ms": "100",
        "group.consumer.heartbeat.interval.ms": "300",
        **extra,
    }
    return "".join(f"{key}={value}\n" for key, value in lines.items())


def java(heap, jars, *args):
    """A JVM command on a folder of jars, with the suites' own log configuration."""
    return ["java", *heap, "-Djava.awt.headless=true", f"-Dlog4j2.configurationFile={LOG4J}", "-cp", f"{jars}/*", *args]


def brokers_known(port):
    """How many unfenced brokers the server at port reports (Metadata v1, no topics); raises OSError while it is down."""
    with socket.create_connection(("127.0.0.1", port), 2) as s:
        s.settimeout(2)
        body = struct.pack(">hhih", 3, 1, 7, -1) + struct.pack(">i", 0)
        s.sendall(struct.pack(">i", len(body)) + body)
        head = s.recv(12, socket.MSG_WAITALL)
        return struct.unpack(">iii", head)[2] if len(head) == 12 else 0


class Server:
    """One running server. kind is 'kafka' or 'monedula'; directory keeps data and server.properties between starts."""

    def __init__(self, kind, directory, binary=None, extra=None, name=None):
        self.kind, self.binary, self.extra = kind, binary, extra or {}
        self.directory = pathlib.Path(directory)
        self.data = self.directory / "data"
        self.name = name or kind
        self.port = self.process = None
        self.ready_ms = None

    @property
    def bootstrap(self):
        return f"127.0.0.1:{self.port}"

    @property
    def pid(self):
        return self.process.pid

    def start(self, wrapper=()):
        """Starts the server (formatting the directory first, for Kafka) and waits until it serves."""
        self.directory.mkdir(parents=True, exist_ok=True)
        LOGS.mkdir(parents=True, exist_ok=True)
        config = self.directory / "server.properties"
        if self.port is None:
            self.port, controller_port = free_ports(2)
            config.write_text(properties(self.data, self.port, controller_port, self.extra))
        if self.kind == "kafka":
            if not (self.data / "meta.properties").exists():
                run(f"{self.name}-format", java(["-Xmx256M"], BROKER_JARS, "kafka.tools.StorageTool", "format", "-t",
                                                CLUSTER_ID, "-c", config), 60)
            heap = os.environ.get("KAFKA_HEAP_OPTS", "-Xms1G -Xmx1G").split()
            gc = ["-XX:+UseG1GC", "-XX:MaxGCPauseMillis=20", "-XX:InitiatingHeapOccupancyPercent=35"]
            command = java(heap + gc, BROKER_JARS, "kafka.Kafka", config)
        else:
            command = [self.binary, "start", config, "--set", f"cluster.id={CLUSTER_ID}"]
        self.out, self.err = LOGS / f"{self.name}-server.out", LOGS / f"{self.name}-server.err"
        begin = time.monotonic()
        with open(self.out, "wb") as o, open(self.err, "ab") as e:
            self.process = subprocess.Popen([*wrapper, *map(str, command)], stdin=subprocess.DEVNULL, stdout=o, stderr=e,
                                            start_new_session=True)
        self._wait_ready(begin)
        return self

    def _wait_ready(self, begin):
        while time.monotonic() - begin < READY_LIMIT_S:
            if self.process.poll() is not None:
                raise Failed(f"{self.name}: the server ended with {self.process.returncode} at start\n{tail(self.err)}")
            if self.kind == "monedula" and b"monedula ready" not in self.out.read_bytes():
                time.sleep(0.005)
                continue
            try:
                if brokers_known(self.port) > 0:
                    self.ready_ms = (time.monotonic() - begin) * 1000
                    return
            except OSError:
                pass
            time.sleep(0.02)
        self.kill()
        raise Failed(f"{self.name}: not ready after {READY_LIMIT_S} s\n{tail(self.err)}")

    def alive(self):
        return self.process is not None and self.process.poll() is None

    def stop(self):
        """Clean shutdown by SIGTERM; raises Failed when it takes too long or Monedula's exit code is not 0."""
        if not self.process:
            return
        self.process.send_signal(signal.SIGTERM)
        try:
            code = self.process.wait(STOP_LIMIT_S)
        except subprocess.TimeoutExpired:
            self.kill()
            raise Failed(f"{self.name}: no clean stop within {STOP_LIMIT_S} s\n{tail(self.err)}") from None
        self.process = None
        # A JVM ends with 143 after SIGTERM, even when everything was closed well.
        if code not in ((0, 143, -signal.SIGTERM) if self.kind == "kafka" else (0,)):
            raise Failed(f"{self.name}: exit code {code} at SIGTERM\n{tail(self.err)}")

    def kill(self):
        """kill -9, as a crash would."""
        if self.process:
            end_group_now(self.process)
            self.process = None

    def wipe(self):
        shutil.rmtree(self.directory, ignore_errors=True)

    def rss_mib(self):
        for line in pathlib.Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) / 1024
        return 0.0


def end_group_now(process):
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    # On a busy machine the memory of a JVM takes long to go.
    process.wait(60)


__all__ = ["Server", "Failed", "end_group", "java", "brokers_known"]

"""The table of suites: what each needs installed, its command, its time limit, the server's extra configuration."""

import dataclasses
import sys
from collections.abc import Callable

from . import install
from .paths import BROKER_JARS, HERE, LOG4J, TOOLS_JARS, WORK


@dataclasses.dataclass
class Suite:
    name: str
    needs: tuple[Callable[[], None], ...]
    command: list
    # On a machine that is not busy.
    limit_s: int = 120
    # A suite of its own starts its servers itself: it is not given a BOOTSTRAP but the names of the two servers.
    own_servers: bool = False
    # May run while another suite does: it has servers of its own and measures no times.
    beside: bool = False
    # Runs only when it is named with --only.
    on_request: bool = False
    env: dict = dataclasses.field(default_factory=dict)
    # Why a run against Monedula leaves the suite out, unless it is asked for by name; empty when it is part of every run.
    not_yet: str = ""


def java(name, jars, main):
    classpath = f"{WORK / 'java' / name}:{jars}/*"
    return ["java", "-Xmx384M", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", f"-Dlog4j2.configurationFile={LOG4J}",
            "-cp", classpath, main]


PYTHON = WORK / "python" / "bin" / "python"
GO = WORK / "go-clients"

SUITES = [
    Suite("java-clients", (install.java_classes,), java("clients", BROKER_JARS, "Clients")),
    Suite("java-tools", (install.java_classes,), java("tools", TOOLS_JARS, "Tools")),
    Suite("java-tools-cluster", (install.java_classes,), [sys.executable, HERE / "tools" / "suite.py"], 240, own_servers=True),
    Suite("kcat", (install.kcat,), [sys.executable, HERE / "kcat" / "suite.py"]),
    Suite("confluent", (install.python_clients,), [PYTHON, HERE / "python" / "confluent.py"]),
    Suite("kafka-python", (install.python_clients,), [PYTHON, HERE / "python" / "kafkapython.py"]),
    Suite("aiokafka", (install.python_clients,), [PYTHON, HERE / "python" / "aio.py"]),
    Suite("franz-go", (install.go_clients,), [GO, "franz-go"]),
    Suite("sarama", (install.go_clients,), [GO, "sarama"]),
    Suite("kafka-go", (install.go_clients,), [GO, "kafka-go"]),
    Suite("kafkajs", (install.node_clients,), ["node", HERE / "node" / "suite.js"],
          env={"NODE_PATH": str(WORK / "node" / "node_modules")}),
    Suite("streams", (install.tools_jars, install.python_clients), [PYTHON, HERE / "streams" / "suite.py"], 240),
    Suite("connect", (install.tools_jars, install.python_clients), [PYTHON, HERE / "connect" / "suite.py"], 240),
    Suite("streams-exactly-once", (install.tools_jars, install.python_clients),
          [PYTHON, HERE / "streams" / "suite.py", "exactly_once_v2"], 240),
    Suite("streams-join", (install.java_classes, install.python_clients), [PYTHON, HERE / "streams" / "join.py"], 240),
    Suite("connect-exactly-once", (install.tools_jars, install.python_clients),
          [PYTHON, HERE / "connect" / "suite.py", "exactly-once"], 240),
    Suite("churn", (install.java_classes, install.python_clients, install.go_clients, install.node_clients),
          [PYTHON, HERE / "churn" / "suite.py", "--small", "--minutes", "0.4"], 300, own_servers=True),
    Suite("churn-checker", (), [sys.executable, HERE / "churn" / "test_checker.py"], 30, own_servers=True),
    Suite("churn-broken", (install.java_classes, install.python_clients, install.go_clients, install.node_clients),
          [PYTHON, HERE / "churn" / "prove.py"], 1800, own_servers=True, on_request=True),
    Suite("faults", (install.java_classes, install.python_clients, install.go_clients),
          [PYTHON, HERE / "faults" / "suite.py", "--faults", "kill-leader", "isolate-controller", "rolling"], 400, own_servers=True),
    Suite("faults-checker", (install.python_clients,), [PYTHON, HERE / "faults" / "test_checker.py"], 30, own_servers=True),
    Suite("faults-networks", (), [sys.executable, HERE / "faults" / "test_network.py"], 60, own_servers=True),
    Suite("faults-broken", (install.java_classes, install.python_clients, install.go_clients),
          [PYTHON, HERE / "faults" / "prove.py"], 1800, own_servers=True, on_request=True),
    Suite("exactly-once", (install.java_classes, install.python_clients, install.go_clients),
          [PYTHON, HERE / "exactly-once" / "suite.py", "--seconds", "15"], 300, own_servers=True),
    Suite("money", (install.java_classes, install.python_clients), [PYTHON, HERE / "exactly-once" / "money.py", "--seconds", "10"], 240,
          own_servers=True),
    Suite("list-append", (install.java_classes, install.python_clients),
          [PYTHON, HERE / "list-append" / "suite.py", "--seconds", "10", "--seed", "3"], 240, own_servers=True, beside=True),
    Suite("list-append-checker", (), [sys.executable, HERE / "list-append" / "test_anomalies.py"], 30, own_servers=True),
    Suite("message-copier", (install.tools_jars, install.python_clients), [PYTHON, HERE / "exactly-once" / "message_copier.py"], 300,
          own_servers=True, beside=True),
    Suite("transactions-broken", (install.java_classes, install.python_clients, install.go_clients),
          [PYTHON, HERE / "exactly-once" / "prove.py"], 1200, own_servers=True, on_request=True),
    Suite("exactly-once-checker", (), [sys.executable, HERE / "exactly-once" / "test_checker.py"], 30, own_servers=True),
    Suite("java-groups", (install.java_classes,), java("clients", BROKER_JARS, "Groups"), 240),
    Suite("java-tools-groups", (install.java_classes,), java("tools", TOOLS_JARS, "GroupTools"), 180),
    Suite("kcat-groups", (install.kcat, install.python_clients), [PYTHON, HERE / "kcat" / "groups.py"], 120),
    Suite("confluent-groups", (install.python_clients,), [PYTHON, HERE / "python" / "confluent_groups.py"], 180),
    Suite("kafka-python-groups", (install.python_clients,), [PYTHON, HERE / "python" / "kafkapython_groups.py"], 180),
    Suite("aiokafka-groups", (install.python_clients,), [PYTHON, HERE / "python" / "aio_groups.py"], 180),
    Suite("franz-go-groups", (install.go_clients,), [GO, "franz-go", "groups"], 180),
    Suite("sarama-groups", (install.go_clients,), [GO, "sarama", "groups"], 180),
    Suite("kafka-go-groups", (install.go_clients,), [GO, "kafka-go", "groups"], 180),
    Suite("kafkajs-groups", (install.node_clients,), ["node", HERE / "node" / "groups.js"], 180,
          env={"NODE_PATH": str(WORK / "node" / "node_modules")}),
    Suite("java-transactions", (install.java_classes,), java("clients", BROKER_JARS, "Transactions"), 240),
    Suite("confluent-transactions", (install.python_clients,), [PYTHON, HERE / "python" / "confluent_transactions.py"]),
    Suite("kafka-python-transactions", (install.python_clients,), [PYTHON, HERE / "python" / "kafkapython_transactions.py"]),
    Suite("aiokafka-transactions", (install.python_clients,), [PYTHON, HERE / "python" / "aio_transactions.py"]),
    Suite("franz-go-transactions", (install.go_clients,), [GO, "franz-go", "transactions"]),
    Suite("sarama-transactions", (install.go_clients,), [GO, "sarama", "transactions"]),
    Suite("kafkajs-transactions", (install.node_clients,), ["node", HERE / "node" / "transactions.js"],
          env={"NODE_PATH": str(WORK / "node" / "node_modules")}),
    Suite("mixed-quorum", (install.broker_jars, install.tools_jars), [sys.executable, HERE / "mixed-quorum" / "suite.py"], 900,
          own_servers=True, beside=True),
    Suite("mixed-cluster", (install.broker_jars, install.tools_jars, install.java_classes, install.python_clients, install.go_clients),
          [PYTHON, HERE / "mixed-cluster" / "suite.py"], 600, own_servers=True, beside=True),
    Suite("retention", (install.broker_jars,), [sys.executable, HERE / "retention" / "suite.py"], 240, own_servers=True, beside=True),
    Suite("retention-readers", (install.java_classes, install.python_clients), [PYTHON, HERE / "retention" / "readers.py"], 240, own_servers=True,
          beside=True),
    Suite("compaction", (install.broker_jars,), [sys.executable, HERE / "retention" / "compaction.py"], 240, own_servers=True, beside=True),
    Suite("flushing", (install.broker_jars,), [sys.executable, HERE / "retention" / "flushing.py"], 120, own_servers=True, beside=True),
    Suite("cleaned", (install.broker_jars, install.python_clients), [PYTHON, HERE / "retention" / "cleaned.py"], 300, own_servers=True, beside=True,
          on_request=True),
    Suite("replicas", (install.broker_jars,), [sys.executable, HERE / "retention" / "replicas.py"], 240, own_servers=True, beside=True),
    Suite("moves", (install.broker_jars, install.tools_jars), [sys.executable, HERE / "log-dirs" / "moves.py"], 300, own_servers=True,
          beside=True),
    Suite("log-dirs", (install.broker_jars,), [sys.executable, HERE / "log-dirs" / "suite.py"], 400, own_servers=True, on_request=True),
    Suite("slow-disk", (install.broker_jars,), [sys.executable, HERE / "slow-disk" / "suite.py"], 300, own_servers=True, on_request=True),
    Suite("bad-input", (), [sys.executable, HERE / "bad-input" / "suite.py"], 240),
    Suite("kafka-disk", (install.broker_jars, install.java_classes), [sys.executable, HERE / "kafka-disk" / "suite.py"], 600, True, beside=True),
    Suite("kill-points", (install.broker_jars, install.java_classes, install.python_clients),
          [PYTHON, HERE / "kill-points" / "suite.py"], 400, True, beside=True),
    Suite("kafka-disk-groups", (install.broker_jars, install.java_classes), [sys.executable, HERE / "kafka-disk" / "groups.py"], 300, True, beside=True),
    Suite("kafka-disk-transactions", (install.broker_jars, install.java_classes),
          [sys.executable, HERE / "kafka-disk" / "transactions.py"], 600, True, beside=True),
]

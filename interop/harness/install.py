"""Installing what the suites need, each once: a mark named after the lock file's content says that it is done."""

import hashlib
import os
import re
import shutil
import subprocess
import sys
import time

from .paths import BROKER_JARS, HERE, PROJECT, TOOLS_JARS, WORK
from .step import Failed, run

INSTALL_LIMIT_S = 420
# Registries are not always there: what comes from them is asked for again after so long.
PAUSES_S = (5, 30)


def need(program, hint):
    """The path of a program that must be on this machine."""
    found = shutil.which(program)
    if not found:
        raise Failed(f"{program} is not installed: {hint}")
    return found


def once(name, sources, action):
    """Runs action unless it already succeeded for this very content of sources; target folders are action's business."""
    digest = hashlib.sha256()
    for source in sources:
        digest.update(source.read_bytes())
    mark = WORK / "done" / f"{name}-{digest.hexdigest()[:16]}"
    if not mark.exists():
        print(f"   installing {name} ...", flush=True)
        action()
        mark.parent.mkdir(parents=True, exist_ok=True)
        for old in mark.parent.glob(f"{name}-" + "?" * 16):
            old.unlink()
        mark.touch()


def fetch(*words, **more):
    """A step that asks a registry."""
    for pause_s in PAUSES_S:
        try:
            return run(*words, **more)
        except Failed as error:
            print(f"   again in {pause_s} s: {error}", flush=True)
            time.sleep(pause_s)
    return run(*words, **more)


def jars(pom, target):
    need("java", "a JDK, version 17 or later (Debian: openjdk-17-jdk-headless)")
    mvn = need("mvn", "Apache Maven 3.8 or later (Debian: maven)")

    def copy():
        shutil.rmtree(target, ignore_errors=True)
        fetch(f"install-{target.name}-jars", [mvn, "-B", "-q", "-f", pom, "dependency:copy-dependencies",
                                              "-DincludeScope=runtime", f"-DoutputDirectory={target}"], INSTALL_LIMIT_S)
    once(f"{target.name}-jars", [pom], copy)


def broker_jars():
    jars(HERE / "kafka" / "broker.xml", BROKER_JARS)


def tools_jars():
    jars(HERE / "kafka" / "tools.xml", TOOLS_JARS)


def java_classes():
    """Compiles the Java suites: the client program against the broker's client version, the rest against the tools."""
    broker_jars()
    tools_jars()
    javac = need("javac", "a JDK, version 17 or later (Debian: openjdk-17-jdk-headless)")
    for name, classpath in (("clients", BROKER_JARS), ("tools", TOOLS_JARS), ("disk", TOOLS_JARS),
                            ("churn", BROKER_JARS), ("faults", BROKER_JARS), ("exactly", BROKER_JARS), ("streams", TOOLS_JARS)):
        shared = (HERE / "java" / "shared").glob("*.java") if name in ("churn", "faults", "exactly") else ()
        sources = sorted([*(HERE / "java" / name).glob("*.java"), *shared])
        target = WORK / "java" / name

        def compile_(name=name, classpath=classpath, sources=sources, target=target):
            shutil.rmtree(target, ignore_errors=True)
            target.mkdir(parents=True)
            run(f"compile-java-{name}", [javac, "-nowarn", "-d", target, "-cp", f"{classpath}/*", *sources], 400)
        once(f"java-{name}", sources, compile_)


def bench_classes():
    """Compiles the bench's consumer and producer."""
    sources, target = [PROJECT / "bench" / name for name in ("Consume.java", "Fill.java")], WORK / "java" / "bench"
    javac = need("javac", "a JDK, version 17 or later (Debian: openjdk-17-jdk-headless)")

    def compile_():
        target.mkdir(parents=True, exist_ok=True)
        run("compile-java-bench", [javac, "-nowarn", "-d", target, "-cp", f"{TOOLS_JARS}/*", *sources], 120)
    once("java-bench", sources, compile_)


def python_clients():
    venv = WORK / "python"
    lock = HERE / "python" / "requirements.txt"

    def build():
        run("install-python-venv", [sys.executable, "-m", "venv", "--clear", venv], 400)
        fetch("install-python", [venv / "bin" / "pip", "install", "-q", "--disable-pip-version-check", "-r", lock],
              INSTALL_LIMIT_S)
    once("python", [lock], build)


def go_clients():
    go = need("go", "Go 1.26 or later (https://go.dev/dl)")
    folder = HERE / "go"
    env = {"GOFLAGS": "-mod=readonly", "CGO_ENABLED": "0"}

    def build():
        fetch("install-go", [go, "build", "-o", WORK / "go-clients", "."], INSTALL_LIMIT_S, cwd=folder, env=env)
    once("go", [folder / "go.mod", folder / "go.sum", *sorted(folder.glob("*.go"))], build)


def node_clients():
    need("node", "Node.js 18 or later (Debian: nodejs)")
    npm = need("npm", "npm (Debian: npm)")
    folder, target = HERE / "node", WORK / "node"

    def build():
        target.mkdir(parents=True, exist_ok=True)
        for name in ("package.json", "package-lock.json"):
            shutil.copy(folder / name, target / name)
        fetch("install-node", [npm, "ci", "--no-audit", "--no-fund", "--ignore-scripts"], INSTALL_LIMIT_S, cwd=target)
    once("node", [folder / "package-lock.json"], build)


def kcat():
    if shutil.which("kcat"):
        return
    if os.geteuid() == 0 and shutil.which("apt-get"):
        run("install-kcat-update", ["apt-get", "update", "-q"], 300, allow_failure=True)
        fetch("install-kcat", ["apt-get", "install", "-y", "-q", "--no-install-recommends", "kcat"], 400)
    need("kcat", "the package kcat (apt-get install kcat, brew install kcat)")


def monedula(binary):
    """The binary under test: the given one, or a release build of this project."""
    if binary:
        return binary
    cargo = need("cargo", "Rust (https://rustup.rs)")
    print("   building monedula (release) ...", flush=True)
    run("build-monedula", [cargo, "build", "--release", "-p", "monedula"], 1800, cwd=PROJECT)
    metadata = subprocess.run([cargo, "metadata", "--no-deps", "--format-version", "1"], cwd=PROJECT, check=True,
                              capture_output=True, text=True).stdout
    return re.search(r'"target_directory":"([^"]+)"', metadata).group(1) + "/release/monedula"

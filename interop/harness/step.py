"""Running one command with a time limit: output to a log file, the whole process group ended when time is up."""

import os
import signal
import subprocess
import time

from .paths import LOGS


class Failed(Exception):
    """A step that did not succeed; the text says which, why, and shows the end of its log."""


def tail(path, lines=30):
    try:
        text = path.read_text(errors="replace").splitlines()
    except OSError:
        return "(no log)"
    return "\n".join("    | " + line[:400] for line in text[-lines:])


def end_group(process, grace_s=3):
    """Ends a process started with start_new_session, and its children: politely, then not."""
    for sig, wait_s in ((signal.SIGTERM, grace_s), (signal.SIGKILL, 5)):
        try:
            os.killpg(process.pid, sig)
        except ProcessLookupError:
            pass
        try:
            process.wait(wait_s)
            return
        except subprocess.TimeoutExpired:
            continue


def spawn(name, command, cwd=None, env=None, append=False):
    """Starts command in the background, with its own process group and its output in the logs; returns the process."""
    LOGS.mkdir(parents=True, exist_ok=True)
    for end in () if append else ("out", "err"):
        (LOGS / f"{name}.{end}").write_bytes(b"")
    # Another process may come to share them.
    with open(LOGS / f"{name}.out", "ab") as o, open(LOGS / f"{name}.err", "ab") as e:
        return subprocess.Popen([str(part) for part in command], cwd=cwd, env={**os.environ, **(env or {})},
                                stdin=subprocess.DEVNULL, stdout=o, stderr=e, start_new_session=True)


def run(name, command, limit_s, cwd=None, env=None, stdin=None, allow_failure=False):
    """Runs command, returns (exit code, standard output, log path); raises Failed on a bad exit or after limit_s."""
    LOGS.mkdir(parents=True, exist_ok=True)
    out, err = LOGS / f"{name}.out", LOGS / f"{name}.err"
    merged = {**os.environ, **(env or {})}
    begin = time.monotonic()
    with open(out, "wb") as o, open(err, "wb") as e:
        process = subprocess.Popen(
            [str(part) for part in command], cwd=cwd, env=merged, stdin=subprocess.PIPE if stdin else subprocess.DEVNULL,
            stdout=o, stderr=e, start_new_session=True,
        )
        try:
            process.communicate(stdin, timeout=limit_s)
        except subprocess.TimeoutExpired:
            end_group(process)
            raise Failed(f"{name}: no end after {limit_s} s\n{tail(out, 10)}\n{tail(err)}") from None
        except BaseException:
            # Whoever is ended himself leaves nothing behind.
            end_group(process)
            raise
    text = out.read_text(errors="replace")
    if process.returncode != 0 and not allow_failure:
        spent = time.monotonic() - begin
        raise Failed(f"{name}: exit code {process.returncode} after {spent:.1f} s\n{tail(out, 10)}\n{tail(err)}")
    return process.returncode, text, err

"""Shows that the churn's checks find what they look for: each kind of broken server must fail the check that is named for it.

Run by ../run, with AGAINST and MONEDULA_BIN: a small churn per kind of fault (faults.py).
"""

import pathlib
import subprocess
import sys

sys.dont_write_bytecode = True
HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent)]
from faults import KINDS
from harness.check import Checks

LIMIT_S = 300


def found(kind, check, arguments):
    """Runs the churn against a server that is broken in this way; a check that fails by another cause does not count."""
    command = [sys.executable, HERE / "suite.py", "--small", "--minutes", "0.25", "--break", kind, *arguments]
    text = subprocess.run(list(map(str, command)), capture_output=True, timeout=LIMIT_S).stdout.decode()
    failed = [line for line in text.splitlines() if line.startswith("FAIL ")]
    print("\n".join(f"# {kind}: {line[:200]}" for line in failed))
    assert any(line.startswith(f"FAIL {check} AssertionError") for line in failed), text[-800:]
    return check


checks = Checks()
for each, name in KINDS.items():
    checks.check(f"finds-{each}", found, each, name, sys.argv[1:])
sys.exit(1 if checks.failed else 0)

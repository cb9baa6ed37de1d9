"""A checker that never fires is not a checker: with settings that break transactions the suites must fail, in these checks and no others.

    ../run --only transactions-broken
"""

import pathlib
import sys

sys.dont_write_bytecode = True
HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent)]
from harness import step
from harness.check import Checks

# Which suite with what, and which of its checks fail.
BROKEN = {
    "copies-without-transactions": ("exactly-once/suite.py", ["--mode", "plain", "--acts", "kill", "broker", "--seconds", "10", "--clients", "java", "librdkafka"],
                                    {"exactly-once"}),
    "money-read-uncommitted": ("exactly-once/money.py", ["--isolation", "read_uncommitted", "--seconds", "8"],
                               {"balanced", "whole", "unseen"}),
    "money-without-transactions": ("exactly-once/money.py", ["--mode", "plain", "--acts", "kill", "broker", "--seconds", "8"],
                                   {"balanced", "whole", "unseen"}),
    "lists-read-uncommitted": ("list-append/suite.py", ["--isolation", "read_uncommitted", "--seconds", "10"],
                               {"aborted-reads", "dirty-reads", "circular"}),
}


def fails(name, script, words, expected):
    _, text, _ = step.run(f"broken-{name}", [sys.executable, HERE.parent / script, *words], 300, allow_failure=True)
    failed = {line.split()[1] for line in text.splitlines() if line.startswith("FAIL ")}
    assert failed and failed <= expected, f"failed: {sorted(failed)}; expected: {sorted(expected)}"
    return " ".join(sorted(failed))


checks = Checks()
for name, (script, words, expected) in BROKEN.items():
    if not sys.argv[1:] or name in sys.argv[1:]:
        checks.check(name, fails, name, script, words, expected)
sys.exit(checks.failed > 0)

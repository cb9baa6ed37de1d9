"""One line per check of a suite written in Python: what was asked for happened, or why not."""

import sys
import time

# What must come is waited for at least so long: on a busy machine everything takes longer, and on a quiet one it costs nothing.
PATIENCE_S = 60


class Checks:
    def __init__(self):
        self.failed = 0

    def check(self, name, call, *args):
        """Runs call, prints its line; whatever it throws is its result. Returns whether it succeeded."""
        begin = time.monotonic()
        try:
            detail = call(*args)
            print(f"ok {name}" + ("" if detail is None else f" {detail}"), flush=True)
            return True
        except Exception as error:
            self.failed += 1
            print(f"FAIL {name} {type(error).__name__}: {' '.join(str(error).split())[:900]}", flush=True)
            return False
        finally:
            print(f"{name} took {time.monotonic() - begin:.1f} s", file=sys.stderr)


def same(want, got):
    assert want == got, f"expected {str(want)[:300]}, got {str(got)[:300]}"


def eventually(limit_s, probe, every_s=0.1):
    """Repeats probe until it throws nothing and returns no False; its last complaint is the error when time is up."""
    limit_s = max(limit_s, PATIENCE_S)
    end = time.monotonic() + limit_s
    while True:
        try:
            got = probe()
            if got is not False:
                return got
            complaint = "not yet"
        except Exception as error:
            complaint = f"{type(error).__name__}: {error}"
        if time.monotonic() > end:
            raise AssertionError(f"after {limit_s} s: {complaint}")
        time.sleep(every_s)

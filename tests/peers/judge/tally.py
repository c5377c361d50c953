"""Counts checks, and tells those that fail at once."""

import time

# Failed checks told of one counterpart; further ones are counted.
SHOWN = 10


class Tally:
    """The checks of one counterpart."""

    def __init__(self, counterpart):
        self.counterpart = counterpart
        self.passed = self.failed = 0
        self.started = time.monotonic()
        print(f"\n{counterpart}", flush=True)

    def check(self, what, holds, found=""):
        """Counts one check; `found` is shown where it fails."""
        if holds:
            self.passed += 1
        else:
            self.failed += 1
            if self.failed <= SHOWN:
                print(f"  FAILED {what}: {str(found)[:2000]}", flush=True)
            elif self.failed == SHOWN + 1:
                print("  FAILED and more", flush=True)

    def say(self, what):
        print(f"  {what} ({self.passed} passed, {self.failed} failed, {self.seconds():.0f} s)", flush=True)

    def seconds(self):
        return time.monotonic() - self.started


class Missing(Exception):
    """A counterpart, or a part of it, that cannot be had or does not start. One sentence."""

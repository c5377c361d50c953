"""Servers started for a run, and stopped with all their children whatever happens."""

import os
import random
import signal
import socket
import subprocess
import time

from .tally import Missing


class Processes:
    """A context in which servers run; their output goes to `folder`/NAME.log."""

    def __init__(self, folder):
        self.folder = folder
        self.running = []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for child in self.running:
            child.signal(signal.SIGTERM)
        for child in self.running:
            child.end()

    def start(self, name, command, **environment):
        child = Child(name, self.folder / f"{name}.log", command, environment)
        self.running.append(child)
        return child


class Child:
    def __init__(self, name, log, command, environment):
        self.name, self.log = name, log
        with open(log, "wb") as out:
            self.process = subprocess.Popen(
                [str(part) for part in command],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                # A group of its own, so that what it starts ends with it.
                start_new_session=True,
                env={**os.environ, **environment},
            )

    def output(self):
        return self.log.read_text(errors="replace")

    def wait_for(self, ready, seconds):
        """What `ready` answers as soon as that is something."""
        until = time.monotonic() + seconds
        while True:
            found = ready()
            if found:
                return found
            ended = self.process.poll() is not None
            if ended or time.monotonic() > until:
                why = "ended" if ended else f"was not ready within {seconds} s"
                raise Missing(f"{self.name} {why}; the end of its log:\n{self.output()[-2000:]}")
            time.sleep(0.1)

    def signal(self, number):
        try:
            os.killpg(self.process.pid, number)
        except ProcessLookupError:
            pass

    def end(self):
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.signal(signal.SIGKILL)
            self.process.wait()


def free_ports(count):
    """The first of `count` ports in a row that nobody listens on, outside the range the system hands out itself."""
    for _ in range(200):
        first = random.randrange(20000, 30000)
        if all(is_free(port) for port in range(first, first + count)):
            return first
    raise Missing("no free ports were found on 127.0.0.1")


def is_free(port):
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True

"""Processes that end: each has its own group, a time limit and a log, and nothing of it outlives the run."""

import os
import signal
import subprocess
from pathlib import Path


class Outcome:
    """How a process ended, and all that it said (both streams, in the order written)."""

    def __init__(self, code, text, timed_out):
        self.code, self.text, self.timed_out = code, text, timed_out

    @property
    def ok(self):
        return self.code == 0 and not self.timed_out

    def last_line(self):
        lines = [line.strip() for line in self.text.splitlines() if line.strip()]
        return lines[-1] if lines else f"exit status {self.code}"


def run(command, log: Path, seconds, env=None, cwd=None, stdin=None) -> Outcome:
    """Runs `command` to its end or to its time limit. A suite takes what the machine has left."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as out:
        process = subprocess.Popen(
            ["nice", *map(str, command)],
            stdin=subprocess.PIPE if stdin is not None else subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            env={**os.environ, **(env or {})},
            cwd=cwd,
            start_new_session=True,
        )
        timed_out = False
        try:
            process.communicate(stdin, timeout=seconds)
        except subprocess.TimeoutExpired:
            timed_out = True
        finally:
            end_group(process)
    return Outcome(process.returncode, log.read_text(errors="replace"), timed_out)


def end_group(process):
    """Ends a process and all that it started."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    process.wait()

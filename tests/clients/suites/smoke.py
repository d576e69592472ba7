"""Our own scripts with other people's clients: what a program does first with confluent-kafka and aiokafka."""

from harness.results import FAIL, Result, lines

SECONDS = 300


class Script:
    """A script in smoke/ that prints a line for each test."""

    def prepare(self, run):
        run.python = run.cache.python(*self.packages)

    def tests(self, run, only):
        command = [run.python, run.here / "smoke" / self.script, run.address, *(only or [])]
        outcome = run.process(self.script, command, SECONDS)
        results = lines(outcome.text)
        if not outcome.ok and not any(result.outcome == FAIL for result in results):
            why = f"not done within {SECONDS} s" if outcome.timed_out else outcome.last_line()
            results.append(Result("the script", FAIL, why))
        return results


class Confluent(Script):
    script, packages = "confluent.py", ["confluent-kafka==2.16.1"]


class Aiokafka(Script):
    script, packages = "aio.py", ["aiokafka==0.14.0", "cramjam"]

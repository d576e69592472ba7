"""The Java client by a program of our own, and Kafka's own command line tools. Both come with Kafka's jars."""

from harness.fetch import need
from harness.results import FAIL, Result, lines

SECONDS = 600


class Script:
    """A program that prints a line for each test."""

    def prepare(self, run):
        need("java")
        self.libs = run.cache.kafka()

    def tests(self, run, only):
        env = {"KAFKA_LIBS": str(self.libs)}
        outcome = run.process(self.script, [*self.command(run), run.address, *(only or [])], SECONDS, env=env)
        results = lines(outcome.text)
        if not outcome.ok and not any(result.outcome == FAIL for result in results):
            why = f"not done within {SECONDS} s" if outcome.timed_out else outcome.last_line()
            results.append(Result("the script", FAIL, why))
        return results


class Client(Script):
    script = "Client.java"

    def command(self, run):
        return ["java", "-Xmx256m", "-XX:TieredStopAtLevel=1", "-cp", f"{self.libs}/*", run.here / "smoke/Client.java"]


class Tools(Script):
    script = "tools.py"

    def command(self, run):
        return ["python3", run.here / "smoke/tools.py"]

"""librdkafka's own test-runner, from the crate that bundles its sources; with the classic and the consumer protocol.

Each test number is a process of its own, so that one that hangs or crashes takes no other with it. They run in the
runner's quick mode, which leaves out most of some tests and all of others: those that matter most, and those that
would do nothing, run in full. Tests that need no broker (local ones and those on librdkafka's mock cluster), manual
ones, and those that need its socket emulation are left out: they say nothing about a broker. What shells out to
Kafka's command line gets it from Kafka's jars.
"""

import contextlib
import os
import re
import shutil
from pathlib import Path

from harness.fetch import Unavailable, debian
from harness.results import FAIL, PASS, SKIP, Result

VERSION = "4.10.0"  # of the crate: librdkafka 2.12.1
SECONDS = 600
NOT_OF_A_BROKER = re.compile(r"TEST_F_(LOCAL|MANUAL|SOCKEM|KNOWN_ISSUE\b(?!_))")
# Rebalancing, static members, transactions.
IN_FULL = ("0102", "0103", "0113")
# What CI runs: quick ones that touch every part of the protocol.
SHORT = """0001 0002 0003 0005 0007 0008 0011 0012 0013 0014 0015 0017 0018 0019 0022 0029 0030 0031 0033 0034 0036 0040
0044 0048 0054 0056 0060 0064 0067 0070 0073 0085 0098 0099 0102 0103 0107 0110 0112 0125 0129 0130 0137 0140""".split()
TOOLS = {
    "kafka-topics.sh": "org.apache.kafka.tools.TopicCommand",
    "kafka-acls.sh": "org.apache.kafka.tools.AclCommand",
    "kafka-configs.sh": "kafka.admin.ConfigCommand",
    "kafka-run-class.sh": "",
}


class Suite:
    """`scenario` is the runner's: what its broker is set to. A test belongs to one of them."""

    def __init__(self, protocol="classic", scenario="default", settings=None):
        self.protocol, self.scenario, self.SETTINGS = protocol, scenario, settings or {}

    def prepare(self, run):
        for program, package in (("gcc", "gcc"), ("g++", "g++"), ("make", "make")):
            debian(program, package, run.cache)
        if not Path("/usr/include/rapidjson").exists():  # some tests read statistics; without it they skip themselves
            with contextlib.suppress(Unavailable):
                debian("rapidjson", "rapidjson-dev", run.cache)

        def build(directory):
            source = run.cache.crate("rdkafka-sys", VERSION) / "librdkafka"
            shutil.copytree(source, directory, dirs_exist_ok=True)
            fit(directory / "tests")
            off = [f"--disable-{part}" for part in ("ssl", "curl", "sasl")]
            run.cache.must("configure-librdkafka", ["bash", "configure", *off], cwd=directory)
            run.cache.must("make-librdkafka", ["make", f"-j{os.cpu_count()}", "libs"], 1800, cwd=directory)
            tests = ["make", f"-j{os.cpu_count()}", "-C", "tests", "build"]
            run.cache.must("make-librdkafka-tests", tests, 1800, cwd=directory)

        self.tests_at = run.cache.made(f"librdkafka-{VERSION}", build) / "tests"
        self.kafka = shims(run, self.tests_at)

    def tests(self, run, only):
        results = []
        for number, names in self.by_number().items():
            wanted = [name for name in names if only is None or name in only]
            if wanted and (only is not None or not run.short or number in SHORT):
                outcome = self.process(run, number, number in IN_FULL and not run.short)
                if outcome.ok and all(self.did_nothing(outcome, name) for name in wanted):
                    outcome = self.process(run, number, True)
                results += [self.read(outcome, name) for name in wanted]
                if not run.broker.alive():
                    break
        return results

    def by_number(self):
        """The tests that need a broker, by their number, from the table in test.c."""
        table = (self.tests_at / "test.c").read_text()
        found = {}
        for entry in table[table.index("struct test tests[]") :].split("_TEST(")[1:]:
            name, flags = re.match(r"(\w+),\s*([^,)]*)", entry).groups()
            scenario = re.search(r'scenario = "([^"]*)"', entry)
            sources = self.tests_at.glob(f"{name[:4]}[-_]*.c*")
            consumes = any("onsumer" in source.read_text(errors="replace") for source in sources)
            if (
                self.scenario in (scenario[1] if scenario else "default").split(",")
                and not NOT_OF_A_BROKER.search(flags)
                and not name.endswith("_mock")
                and (self.protocol == "classic" or consumes)
            ):
                found.setdefault(name[:4], []).append(name)
        return found

    def process(self, run, number, full):
        conf = run.logs / f"{number}.conf"
        conf.parent.mkdir(parents=True, exist_ok=True)
        conf.write_text(
            f"bootstrap.servers={run.address}\nbroker.address.family=v4\ntest.topic.random=true\n"
            "test.timeout.multiplier=2\n"
        )
        env = {
            "TESTS": number,
            "RDKAFKA_TEST_CONF": str(conf),
            "TEST_KAFKA_VERSION": "4.3.1",
            "TEST_CONSUMER_GROUP_PROTOCOL": self.protocol,
            "TEST_SCENARIO": self.scenario,
            "LD_LIBRARY_PATH": "../src:../src-cpp",
            "BROKERS": run.address,
        }
        if self.kafka:
            env["KAFKA_PATH"] = str(self.kafka)
        # Serially, without socket emulation, without the tests that need no broker.
        command = ["./test-runner", "-p1", "-E", "-L", *([] if full else ["-Q"])]
        outcome = run.process(number, command, SECONDS, env=env, cwd=self.tests_at)
        for stats in self.tests_at.glob("stats_*.json"):
            stats.unlink()
        return outcome

    @staticmethod
    def did_nothing(outcome, name):
        short = re.search(rf"\b{name}\s+\|\s+PASSED\s+\|\s+0\.00\ds", outcome.text)
        idle = short and "Created    kafka instance" not in outcome.text
        return idle or "skipped due to quick mode" in outcome.text

    @staticmethod
    def read(outcome, name):
        text = re.sub(r"\x1b\[[0-9;]*m", "", outcome.text)
        states = {"PASSED": PASS, "FAILED": FAIL, "SKIPPED": SKIP}
        found = re.findall(rf"^\|\s+{name}\s+\|\s+(\w+)\s+\|[^|]*\|(.*)$", text, re.MULTILINE)
        if found and found[-1][0] in states:
            return Result(name, states[found[-1][0]], found[-1][1])
        if outcome.timed_out:
            return Result(name, FAIL, f"not done within {SECONDS} s")
        if failure := re.search(rf'^### Test "{name}\b[^\n]*\n([^\n]*)', text, re.MULTILINE):
            return Result(name, FAIL, failure[1])
        if outcome.code != 0:
            return Result(name, FAIL, f"the runner ended with status {outcome.code}: {outcome.last_line()}")
        return Result(name, SKIP, "the runner did not run it")


def fit(tests_at):
    """Asks for what one node of a current Kafka has: one replica, and no segment below 1 MiB."""
    for path in tests_at.glob("*.c*"):
        text = path.read_text(errors="surrogateescape")
        fitted = re.sub(r"(create_topic_wait_exists\([^;]*?), 3, 5000\)", r"\1, 1, 5000)", text)
        fitted = fitted.replace('"segment.bytes", "20000"', '"segment.bytes", "1048576"')
        if fitted != text:
            path.write_text(fitted, errors="surrogateescape")


def shims(run, tests_at):
    """A directory with bin/kafka-topics.sh and its like, or None where there is no Java."""
    try:
        libs = run.cache.kafka()
    except Unavailable:
        return None
    programs = tests_at / "kafka" / "bin"
    programs.mkdir(parents=True, exist_ok=True)
    for name, main in TOOLS.items():
        script = programs / name
        classes = f'"$CLASSPATH:{libs}/*"'
        script.write_text(f'#!/bin/sh\nexec java -Xmx128m -XX:TieredStopAtLevel=1 -cp {classes} {main} "$@"\n')
        script.chmod(0o755)
    if not (tests_at / "java/TransactionProducerCli.class").exists():
        with contextlib.suppress(Unavailable):
            sources = sorted((tests_at / "java").glob("*.java"))
            run.cache.must("javac", ["javac", "-cp", f"{libs}/*", "-d", tests_at / "java", *sources])
    return programs.parent

"""The integration tests of the `rdkafka` crate, as its package has them.

Some of them take for granted what its own broker has: port 9092 and three partitions.
"""

import re
import shutil

from harness.fetch import debian
from harness.results import FAIL, PASS, SKIP, Result

VERSION = "0.39.0"
SECONDS = 900
SETTINGS = {"port": 9092, "num.partitions": 3}
NEED_9092 = {"test_metadata", "test_future_producer_send", "test_future_producer_send_fail"}
OUTCOMES = {"ok": PASS, "FAILED": FAIL, "ignored": SKIP}


def source(run):
    def make(directory):
        shutil.copytree(run.cache.crate("rdkafka", VERSION), directory, dirs_exist_ok=True)
        # The package is built where it lies: in no workspace but its own.
        manifest = directory / "Cargo.toml"
        manifest.write_text(manifest.read_text() + "\n[workspace]\n")

    return run.cache.made(f"rdkafka-{VERSION}", make)


def cargo(run, *arguments):
    env = {"CARGO_TARGET_DIR": str(run.cache.root / "rdkafka-target")}
    return ["cargo", *arguments], {"cwd": source(run), "env": env}


def prepare(run):
    for program, package in (("g++", "g++"), ("make", "make")):
        debian(program, package, run.cache)
    command, where = cargo(run, "test", "--no-run", "--tests")
    run.cache.must("build-rdkafka", command, 1800, **where)


def tests(run, only):
    results = []
    for path in sorted(source(run).glob("tests/test_*.rs")):
        binary = path.stem
        wanted = [name.partition("::")[2] for name in only or [] if name.startswith(f"{binary}::")]
        if only is not None and not wanted:
            continue
        command, where = cargo(run, "test", "--test", binary, "--", "--test-threads=1", *wanted)
        where["env"].update(KAFKA_HOST=run.address, KAFKA_VERSION="4.3.1")
        outcome = run.process(binary, command, SECONDS, **where)
        found = re.findall(r"^test (\S+) \.\.\. (?:.*?)(ok|FAILED|ignored)\b", outcome.text, re.MULTILINE | re.DOTALL)
        for name, said in found:
            result = OUTCOMES[said]
            if name in NEED_9092 and result == FAIL and not run.address.endswith(":9092"):
                results.append(Result(f"{binary}::{name}", SKIP, "it wants port 9092, which is taken"))
                continue
            results.append(Result(f"{binary}::{name}", result, why(outcome.text, name) if result == FAIL else ""))
        if outcome.timed_out:
            running = re.findall(r"^test (\S+) \.\.\. ", outcome.text, re.MULTILINE)[-1:]
            hung = [name for name in running if name not in {name for name, _ in found}]
            results += [Result(f"{binary}::{name}", FAIL, f"not done within {SECONDS} s") for name in hung]
        elif not found and not outcome.ok:
            results.append(Result(binary, FAIL, outcome.last_line()))
    return results


def why(text, name):
    """The panic's message: the lines under the header that names the test's thread."""
    match = re.search(rf"thread '{re.escape(name)}'[^\n]*panicked at [^\n]*\n([^\n]*)", text)
    return match[1] if match else "failed"

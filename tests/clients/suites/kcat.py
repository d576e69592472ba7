"""kcat, as people use it. Debian's is built on an old librdkafka (2.0), which is a test of its own."""

import inspect
import subprocess
import time
import uuid

from harness.fetch import debian
from harness.results import FAIL, PASS, Result

SECONDS = 60


def prepare(run):
    debian("kcat", "kcat", run.cache)


def tests(run, only):
    cases = {name: function for name, function in globals().items() if name in CASES}
    results = []
    for name in CASES:
        if only is None or name in only:
            try:
                cases[name](Kcat(run, name))
                results.append(Result(name, PASS))
            except Wrong as why:
                results.append(Result(name, FAIL, str(why)))
    return results


class Wrong(Exception):
    """Not what a Kafka broker would have made of it."""


class Kcat:
    def __init__(self, run, name):
        self.run, self.name, self.calls = run, name, 0
        self.topic = f"{name}-{uuid.uuid4().hex[:8]}"

    def __call__(self, *arguments, stdin=None, fails=False):
        """What kcat printed. `-q` keeps its own remarks out of it."""
        self.calls += 1
        # Its settings from the machine's user stay out, and errors are errors: no librdkafka log lines between.
        command = ["kcat", "-F", "/dev/null", "-b", self.run.address, "-X", "log_level=0", *arguments]
        log = self.run.logs / f"{self.name}-{self.calls}.log"
        log.parent.mkdir(parents=True, exist_ok=True)
        try:
            done = subprocess.run(
                command, input=(stdin or "").encode(), capture_output=True, timeout=SECONDS, check=False
            )
        except subprocess.TimeoutExpired:
            raise Wrong(f"kcat {' '.join(arguments)}: not done within {SECONDS} s") from None
        out, err = done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace")
        log.write_text(f"{' '.join(command)}\nstatus {done.returncode}\n{out}\n{err}")
        if (done.returncode != 0) != fails:
            raise Wrong(f"kcat {' '.join(arguments)}: status {done.returncode}: {err.strip()[-200:]}")
        return err if fails else out

    def produce(self, text, *arguments):
        return self("-P", "-t", self.topic, *arguments, stdin=text)

    def consume(self, *arguments):
        """Everything up to the end, or what the arguments say."""
        return self("-C", "-t", self.topic, "-e", "-q", *arguments)


def same(found, wanted):
    if found != wanted:
        raise Wrong(f"wanted {wanted!r:.70}, got {found!r:.70}")


def numbers(count, start=0):
    return "".join(f"record {n}\n" for n in range(start, start + count))


def in_order(text):
    return "".join(line + "\n" for line in sorted(text.splitlines(), key=lambda line: int(line.split()[-1])))


def lists_brokers_and_topics(kcat):
    kcat.produce("a\n")
    listed = kcat("-L")
    for part in ("1 brokers:", f"at {kcat.run.address}", f'topic "{kcat.topic}" with 4 partitions:', "leader "):
        if part not in listed:
            raise Wrong(f"the listing lacks {part!r}")


def lists_one_topic_as_json(kcat):
    kcat.produce("a\n")
    listed = kcat("-L", "-J", "-t", kcat.topic)
    if f'"topic":"{kcat.topic}"' not in listed.replace(" ", ""):
        raise Wrong(f"no topic in {listed[:100]}")


def asking_for_a_topic_makes_it(kcat):
    kcat("-L", "-t", kcat.topic)
    time.sleep(1)
    if f'topic "{kcat.topic}" with 4 partitions' not in kcat("-L", "-t", kcat.topic):
        raise Wrong("it is not there")


def produces_and_consumes(kcat):
    kcat.produce(numbers(1000))
    same(in_order(kcat.consume()), numbers(1000))


def a_partition_keeps_order(kcat):
    kcat.produce(numbers(1000), "-p", "2")
    same(kcat.consume("-p", "2"), numbers(1000))
    same(kcat.consume("-p", "1"), "")


def codec(name):
    def case(kcat):
        kcat.produce(numbers(2000), "-p", "0", "-z", name)
        same(kcat.consume("-p", "0"), numbers(2000))

    return case


codec_gzip, codec_snappy, codec_lz4, codec_zstd = map(codec, ("gzip", "snappy", "lz4", "zstd"))


def keys_and_headers(kcat):
    kcat.produce("k1:v1\nk2:v2\n", "-p", "0", "-K:", "-H", "from=a test", "-H", "empty=")
    same(kcat.consume("-p", "0", "-f", "%k %s %h\n"), "k1 v1 from=a test,empty=\nk2 v2 from=a test,empty=\n")


def a_null_value_is_a_tombstone(kcat):
    kcat.produce("k1:\nk2:v\n", "-p", "0", "-K:", "-Z")
    same(kcat.consume("-p", "0", "-f", "%k %S\n"), "k1 -1\nk2 1\n")


def a_key_keeps_its_partition(kcat):
    kcat.produce("same:1\n" * 5, "-K:")
    kcat.produce("same:1\n" * 5, "-K:")
    if len(set(kcat.consume("-f", "%p\n").split())) != 1:
        raise Wrong("one key went to several partitions")


def from_an_offset(kcat):
    kcat.produce(numbers(10), "-p", "0")
    same(kcat.consume("-p", "0", "-o", "7"), numbers(3, 7))
    same(kcat.consume("-p", "0", "-o", "-2"), numbers(2, 8))
    same(kcat.consume("-p", "0", "-o", "end"), "")
    same(kcat.consume("-p", "0", "-o", "beginning", "-c", "4"), numbers(4))


def from_inside_a_batch(kcat):
    kcat.produce(numbers(500), "-p", "0", "-X", "linger.ms=200", "-z", "lz4")
    same(kcat.consume("-p", "0", "-o", "377", "-c", "1", "-f", "%o %s\n"), "377 record 377\n")


def from_a_time(kcat):
    kcat.produce(numbers(5), "-p", "0")
    time.sleep(0.1)
    between = int(time.time() * 1000)
    time.sleep(0.1)
    kcat.produce(numbers(5, 5), "-p", "0")
    same(kcat.consume("-p", "0", "-o", f"s@{between}"), numbers(5, 5))
    same(kcat.consume("-p", "0", "-o", "s@0", "-o", f"e@{between}"), numbers(5))


def offsets_of_times(kcat):
    kcat.produce(numbers(5), "-p", "0")
    query = lambda time: kcat("-Q", "-t", f"{kcat.topic}:0:{time}").split()[-1]
    same([query(-2), query(-1), query(0)], ["0", "5", "0"])


def timestamps_are_kept(kcat):
    before = int(time.time() * 1000)
    kcat.produce("a\n", "-p", "0")
    found = int(kcat.consume("-p", "0", "-f", "%T"))
    if not before - 5000 <= found <= int(time.time() * 1000) + 5000:
        raise Wrong(f"{found} is not now")


def a_group_goes_on_where_it_was(kcat):
    group = f"{kcat.topic}-group"
    consume = lambda: kcat("-G", group, "-e", "-q", "-X", "auto.offset.reset=earliest", kcat.topic)
    kcat.produce(numbers(100))
    same(in_order(consume()), numbers(100))
    same(consume(), "")
    kcat.produce(numbers(10, 100))
    same(in_order(consume()), numbers(10, 100))


def acknowledgements(kcat):
    for acks in ("0", "1", "-1"):
        kcat.produce(numbers(10), "-p", "0", "-X", f"acks={acks}")
    time.sleep(0.5)
    same(kcat.consume("-p", "0"), numbers(10) * 3)


def an_idempotent_producer(kcat):
    kcat.produce(numbers(500), "-p", "0", "-X", "enable.idempotence=true")
    same(kcat.consume("-p", "0"), numbers(500))


def a_transactional_producer(kcat):
    kcat.produce(numbers(50), "-p", "0", "-X", f"transactional.id={kcat.topic}")
    same(kcat.consume("-p", "0", "-X", "isolation.level=read_committed"), numbers(50))


def a_large_record(kcat):
    text = "x" * 900_000 + "\n"
    kcat.produce(text, "-p", "0", "-D", "\n")
    same(kcat.consume("-p", "0"), text)


def a_record_that_is_too_large(kcat):
    err = kcat("-P", "-t", kcat.topic, "-p", "0", "-X", "message.max.bytes=5000000", stdin="x" * 2_000_000, fails=True)
    if "too large" not in err:
        raise Wrong(f"the error does not say so: {err[-150:]}")


def many_small_fetches(kcat):
    kcat.produce(numbers(3000), "-p", "0", "-X", "batch.num.messages=10")
    same(kcat.consume("-p", "0", "-X", "fetch.message.max.bytes=1000"), numbers(3000))


def a_topic_that_does_not_exist(kcat):
    err = kcat("-C", "-t", kcat.topic, "-p", "0", "-e", "-X", "allow.auto.create.topics=false", fails=True)
    if "Unknown topic" not in err:
        raise Wrong(f"the error does not say so: {err[-150:]}")


NOT_CASES = ("prepare", "tests", "same", "numbers", "in_order", "codec", "debian")
CASES = [n for n, f in list(globals().items()) if inspect.isfunction(f) and n not in NOT_CASES]

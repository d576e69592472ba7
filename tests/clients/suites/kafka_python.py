"""kafka-python's integration tests, from its source distribution.

The distribution lacks `test/service.py`, which starts brokers; only its names are needed to run against one that runs
already, so a stand-in has them. The tests of SASL and TLS start brokers of their own, so they are skipped.
"""

import re
import xml.etree.ElementTree as xml

from harness.results import FAIL, PASS, SKIP, Result

VERSION = "3.0.12"
SECONDS = 1500
#: One of its groups asks for a session of 3 seconds.
SETTINGS = {"group.min.session.timeout.ms": 1000}
STAND_IN = '''"""Stands in for what the source distribution lacks: no broker is started here."""


class ExternalService:
    def __init__(self, host, port):
        self.host, self.port = host, port

    def open(self):
        pass

    close = dump_logs = open


class SpawnedService:
    def __init__(self, *_, **__):
        raise RuntimeError("this test starts a broker of its own")
'''


def prepare(run):
    run.python = run.cache.python(
        "pytest", "pytest-mock", "pytest-timeout", "crc32c", "lz4", "python-snappy", "zstandard"
    )
    run.source = run.cache.sdist("kafka-python", VERSION)
    (run.source / "test/service.py").write_text(STAND_IN)
    (run.source / "test/__init__.py").touch()


def tests(run, only):
    report = run.logs / "report.xml"
    report.unlink(missing_ok=True)
    host, port = run.address.rsplit(":", 1)
    env = {
        "KAFKA_URI": f"kafka://{host}:{port}",
        "KAFKA_VERSION": "4.3.1",
        "KAFKA_ROOT": str(run.source),
        "PYTHONPATH": str(run.source),
    }
    command = [run.python, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"--junitxml={report}", "--timeout=120"]
    paths = [f"test/integration/{name.replace('::', '.py::', 1)}" for name in only or []] or ["test/integration"]
    outcome = run.process("pytest", [*command, *paths], SECONDS, env=env, cwd=run.source)
    if not report.exists():
        return [Result("pytest", FAIL, outcome.last_line())]
    return [result(case) for case in xml.parse(report).iter("testcase")]


def result(case):
    name = f"{case.get('classname').removeprefix('test.integration.')}::{case.get('name')}"
    if name.startswith("test_ssl"):
        return Result(name, SKIP, "it starts a broker of its own")
    for tag in ("failure", "error"):
        if (bad := case.find(tag)) is not None:
            return Result(name, FAIL, bad.get("message") or "")
    if (skipped := case.find("skipped")) is not None:
        return Result(name, SKIP, re.sub(r"^Skipped: ", "", skipped.get("message") or ""))
    return Result(name, PASS)

"""The broker under test: `tw start` on a fresh directory, Apache Kafka as the second opinion, or one that runs."""

import os
import shutil
import socket
import subprocess
import time
import uuid
from pathlib import Path

from .process import end_group

#: What librdkafka's tests take for granted of a topic that is made by being asked for.
PARTITIONS = 4


class NotStarted(Exception):
    """The broker did not come to listen: never a reason to skip its tests."""


class Given:
    """A broker that somebody else started."""

    def __init__(self, address):
        self.address = address

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def alive(self):
        return True


class Started:
    """A broker process with a data directory of its own; both go when the suite is done."""

    def __init__(self, scratch: Path, settings):
        self.scratch, self.process = scratch, None
        settings = dict(settings)
        self.port = settings.pop("port", 0)
        self.port = self.port if is_free(self.port) else free_port()
        self.address = f"127.0.0.1:{self.port}"
        self.settings = {
            "num.partitions": PARTITIONS,
            "auto.create.topics.enable": "true",
            "allow.everyone.if.no.acl.found": "true",  # tests make entries, and go on as nobody in particular
            **settings,
        }

    def __enter__(self):
        shutil.rmtree(self.scratch, ignore_errors=True)
        self.scratch.mkdir(parents=True)
        with (self.scratch / "broker.log").open("wb") as log:
            self.process = subprocess.Popen(
                [str(word) for word in self.command()],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                env={**os.environ, **self.environment()},
            )
        try:
            self.wait_for_it()
        except BaseException:
            end_group(self.process)
            raise
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(timeout=20)
            except subprocess.TimeoutExpired:
                pass
        end_group(self.process)
        shutil.rmtree(self.scratch / "data", ignore_errors=True)

    def alive(self):
        return self.process.poll() is None

    def environment(self):
        return {}

    def wait_for_it(self):
        until = time.monotonic() + 60
        while time.monotonic() < until:
            if not self.alive():
                break
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
                return
            except OSError:
                time.sleep(0.1)
        tail = (self.scratch / "broker.log").read_text(errors="replace").splitlines()[-5:]
        raise NotStarted("the broker does not listen: " + " / ".join(tail))


class Tailwater(Started):
    """`tw start` with what a Kafka broker has by default, but for the partitions of a topic."""

    kind = "tailwater"

    def __init__(self, scratch, settings, binary: Path):
        super().__init__(scratch, settings)
        self.binary = binary

    def command(self):
        # Ours keeps records until it is told otherwise, Kafka for a week.
        settings = {"log.retention.ms": 604_800_000, **self.settings}
        settings = [word for name, value in settings.items() for word in ("--set", f"{name}={value}")]
        return [self.binary, "start", "--data", self.scratch / "data", "--listen", self.address, *settings]


class Kafka(Started):
    """Apache Kafka, one node, with its own defaults."""

    kind = "kafka"

    def __init__(self, scratch, settings, libs: Path):
        super().__init__(scratch, settings)
        self.java = ["nice", "java", "-Xmx512m", "-cp", f"{libs}/*"]

    def command(self):
        controller = free_port()
        settings = {
            "process.roles": "broker,controller",
            "node.id": 0,
            "listeners": f"PLAINTEXT://{self.address},CONTROLLER://127.0.0.1:{controller}",
            "advertised.listeners": f"PLAINTEXT://{self.address}",
            "controller.quorum.bootstrap.servers": f"127.0.0.1:{controller}",
            "controller.listener.names": "CONTROLLER",
            "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
            "log.dirs": self.scratch / "data",
            # One node: its internal topics have one replica. One partition each is opened soonest.
            "offsets.topic.replication.factor": 1,
            "offsets.topic.num.partitions": 1,
            "transaction.state.log.replication.factor": 1,
            "transaction.state.log.min.isr": 1,
            "transaction.state.log.num.partitions": 1,
            "share.coordinator.state.topic.replication.factor": 1,
            "share.coordinator.state.topic.min.isr": 1,
            "share.coordinator.state.topic.num.partitions": 1,
            "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
            **self.settings,
        }
        path = self.scratch / "server.properties"
        path.write_text("".join(f"{name}={value}\n" for name, value in settings.items()))
        cluster = uuid.uuid4().hex[:22]
        tool = [*self.java, "kafka.tools.StorageTool", "format", "--standalone", "-t", cluster, "-c", str(path)]
        formatted = subprocess.run(tool, capture_output=True, text=True, check=False)
        if formatted.returncode != 0:
            raise NotStarted(f"Kafka cannot format its directory: {(formatted.stdout + formatted.stderr)[-300:]}")
        return [*self.java, "kafka.Kafka", path]


def is_free(port):
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(("127.0.0.1", port))
        except OSError:
            return False
    return port != 0


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]

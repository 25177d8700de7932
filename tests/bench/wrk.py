"""Load by wrk (https://github.com/wg/wrk): one thread, pipelining off, every connection kept open."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from tests.bench.figures import Wrong
from tests.bench.workshop import Workshop

# Requests are written out before the clock starts: building them in Lua would make the load the limit.
_SCRIPT = """
local requests, at = {}, 0
function init(args)
  for line in io.lines("%s") do
    local path, agent = line:match("^(%%S+) (.*)$")
    requests[#requests + 1] = wrk.format("GET", path, { ["User-Agent"] = agent, ["Accept"] = "image/avif,image/webp,*/*" })
  end
end
function request()
  at = at %% #requests + 1
  return requests[at]
end
function done(summary, latency, requests)
  local e = summary.errors
  io.write(string.format('\\nRESULT {"requests":%%d,"us":%%d,"p50":%%f,"p99":%%f,"max":%%f,"status":%%d,"broken":%%d}\\n',
    summary.requests, summary.duration, latency:percentile(50), latency:percentile(99), latency.max,
    e.status, e.connect + e.read + e.write + e.timeout))
end
"""


@dataclass(frozen=True, slots=True)
class Answered:
    """What wrk saw. Latencies in milliseconds."""

    requests: int
    seconds: float
    p50: float
    p99: float


def is_installed() -> bool:
    return shutil.which("wrk") is not None


def write_script(folder: Path, requests: Iterable[tuple[str, str]]) -> Path:
    """The Lua script that asks for these paths in turn."""
    listed = folder / "requests.txt"
    listed.write_text("".join(f"{path} {agent}\n" for path, agent in requests))
    script = folder / "requests.lua"
    script.write_text(_SCRIPT % listed)
    return script


def run(workshop: Workshop, script: Path, port: int, connections: int, seconds: int) -> Answered:
    """Load a server. Raises Wrong when an answer was not 2xx or a connection failed."""
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--latency", "--timeout", "10s", "-s", str(script)]
    with workshop.running("wrk", [*command, f"http://127.0.0.1:{port}"], core=workshop.load_core) as job:
        job.popen.wait(seconds + 30)
        said = job.log.read_text()
    for line in said.splitlines():
        if line.startswith("RESULT "):
            seen = json.loads(line.removeprefix("RESULT "))
            if seen["status"] or seen["broken"]:
                raise Wrong(f"{seen['status']} answers were not 2xx and {seen['broken']} failed, of {seen['requests']}")
            return Answered(seen["requests"], seen["us"] / 1e6, seen["p50"] / 1000, seen["p99"] / 1000)
    raise Wrong(f"wrk gave no result:\n{said}")

"""A hit's way from the topic to the click log: its country by the whole address, of which then only the network is kept."""

from __future__ import annotations

from pathlib import Path

from tests.agents.judge.test_country_file import countries
from tests.support.broker import Broker
from tests.support.processes import start
from tests.support.stream import a_hit, running_stream


def test_the_click_log_has_the_country_of_an_address_that_was_cut(tmp_path: Path, broker: Broker) -> None:
    file = countries(tmp_path / "countries.mmdb", {"192.0.2.0/25": "DE", "192.0.2.128/25": "FR"})
    settings = {"SENDLENS_COUNTRY_FILE": file, "SENDLENS_CLIENT_IP": "truncated"}
    with running_stream(tmp_path, broker) as stream:
        stream.start_worker(environment=settings)
        stream.write_hits([a_hit(f"lead-{n}", ip=f"192.0.2.{100 * n + 7}") for n in range(3)])
        stream.wait_until_drained()
        log = "SELECT lead, client, device, country, ip, verdict FROM v_hits ORDER BY lead"
        assert stream.ask(log) == [
            ("lead-0", "Firefox", "desktop", "DE", "192.0.2.0/24", "human"),
            ("lead-1", "Firefox", "desktop", "DE", "192.0.2.0/24", "human"),
            ("lead-2", "Firefox", "desktop", "FR", "192.0.2.0/24", "human"),
        ]
        Path(file).unlink()
        refused = start(
            ["-m", "sendlens", "work", "--stage", "judge"], tmp_path / "refused.log", stream.environment | settings
        )
        assert refused.popen.wait(60) != 0
        assert "SENDLENS_COUNTRY_FILE: " in refused.output()

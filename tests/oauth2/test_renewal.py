"""Access tokens are renewed in time, once for all processes, and what the server says about them is kept."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from oauth2.renewal_metrics import REFUSED, RENEWALS
from schemas.errors import Misconfigured, Retry
from tests.oauth2.granted import VARIABLE, Granted, granted
from tests.support.authorization_server import CLIENT_ID, CLIENT_SECRET
from tests.support.processes import ROOT

HOUR = 3600.0
BROKEN = (500, {}, b"<html>no</html>")


@pytest.fixture
def anna(tmp_path: Path) -> Iterator[Granted]:
    yield from granted(tmp_path / "data")


@pytest.fixture
def rotating(tmp_path: Path) -> Iterator[Granted]:
    yield from granted(tmp_path / "data", rotates=True)


def counted(result: str) -> float:
    return float(RENEWALS.labels(result)._value.get())


def test_a_token_is_used_until_it_is_time_and_renewed_before_it_ends(anna: Granted) -> None:
    process = anna.process()
    first = process.get(anna.grant)
    assert anna.server.owner_of(first.secret)
    assert first.expires_at == anna.now + HOUR
    anna.now += HOUR * 0.84
    assert process.get(anna.grant) == first
    anna.now += HOUR * 0.02
    second = process.get(anna.grant)
    assert second.secret != first.secret
    assert anna.asked == 2
    assert anna.server.requests[0] == {
        "grant_type": "refresh_token", "client_id": CLIENT_ID, "client_secret": CLIENT_SECRET,
        "refresh_token": anna.refresh_token,
    }  # fmt: skip


@pytest.mark.parametrize(("share", "left"), [(0.0, 0.1), (1.0, 0.2)])
def test_processes_renew_at_moments_of_their_own(anna: Granted, share: float, left: float) -> None:
    anna.share = share
    process = anna.process()
    process.get(anna.grant)
    anna.now += HOUR * (1 - left) - 1
    process.get(anna.grant)
    assert anna.asked == 1
    anna.now += 2
    process.get(anna.grant)
    assert anna.asked == 2


def test_a_restart_and_another_process_use_the_token_that_is_there(anna: Granted) -> None:
    running = anna.process()
    token = running.get(anna.grant)
    assert anna.process().get(anna.grant) == token
    anna.now += HOUR * 0.9
    renewed = anna.process().get(anna.grant)
    assert running.get(anna.grant) == renewed != token
    assert anna.asked == 2


def test_the_files_are_their_owners_alone(anna: Granted) -> None:
    anna.process().get(anna.grant)
    assert anna.file.stat().st_mode & 0o777 == 0o600
    assert anna.file.parent.stat().st_mode & 0o777 == 0o700
    assert sorted(path.name for path in anna.file.parent.iterdir()) == [f"{VARIABLE}.json", f"{VARIABLE}.lock"]
    anna.file.chmod(0o644)
    with pytest.raises(Misconfigured, match="others can read"):
        anna.process().get(anna.grant)


def test_a_refresh_token_that_was_replaced_survives_a_restart(rotating: Granted) -> None:
    for _ in range(3):
        token = rotating.process().get(rotating.grant)
        assert rotating.server.owner_of(token.secret)
        rotating.now += HOUR
    assert len({request["refresh_token"] for request in rotating.server.requests}) == 3


def test_many_processes_that_start_at_once_ask_once(rotating: Granted) -> None:
    """With a server that takes the grant back when a refresh token is used twice. Real processes, real clock."""
    rotating.server.answer_after = threading.Event()
    program = (
        "import sys; from oauth2.renewal import TokenRenewal; from schemas.senders import GrantSecrets; "
        "from schemas.settings import Settings; from pathlib import Path; "
        "grant = GrantSecrets(sys.argv[2], *sys.argv[3:8]); print('begins', flush=True); "
        "print(TokenRenewal(Settings(_env_file=None, data_dir=Path(sys.argv[1]))).get(grant).secret)"
    )
    grant = rotating.grant
    words = [grant.name, grant.token_url, grant.scope, grant.client_id, grant.client_secret, grant.refresh_token]
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", program, str(rotating.folder), *words], cwd=ROOT, stdout=subprocess.PIPE, text=True
        )
        for _ in range(4)
    ]
    try:
        for process in processes:
            assert process.stdout
            assert process.stdout.readline() == "begins\n"
        rotating.server.arrived.wait(30)
        rotating.server.answer_after.set()
        said = {process.communicate(timeout=60)[0].strip() for process in processes}
    finally:
        for process in processes:
            process.kill()
            process.wait()
    assert rotating.asked == 1
    assert [rotating.server.owner_of(token) for token in said] == ["anna@example.com"]


def test_while_one_asks_the_others_go_on_with_the_old_token(anna: Granted) -> None:
    first, second = anna.process(), anna.process()
    token = first.get(anna.grant)
    anna.now += HOUR * 0.9
    anna.server.arrived.clear()
    anna.server.answer_after = threading.Event()
    asks = threading.Thread(target=first.get, args=(anna.grant,))
    asks.start()
    assert anna.server.arrived.wait(30)
    assert second.get(anna.grant) == first.get(anna.grant) == token
    anna.server.answer_after.set()
    asks.join()
    assert second.get(anna.grant) != token
    assert anna.asked == 2


def test_a_grant_that_was_revoked_is_told_once_with_what_to_do_and_not_asked_for_again(anna: Granted) -> None:
    process, refused = anna.process(), counted("refused")
    process.get(anna.grant)
    anna.server.revoke("anna@example.com")
    anna.now += HOUR
    with capture_logs() as logs:
        for each in (process, process, anna.process()):
            with pytest.raises(Misconfigured, match=f"put the new refresh token into {VARIABLE}"):
                each.get(anna.grant)
            anna.now += 86_400
    (line,) = logs
    assert (line["log_level"], line["event"]) == ("error", "access to a mailbox is no longer granted")
    assert "invalid_grant AADSTS50173" in line["why"]
    assert "somebody@example.com" not in str(logs)
    assert anna.asked == 2
    assert counted("refused") == refused + 1
    assert REFUSED._value.get() == 1
    anna.refresh_token = anna.server.consent("anna@example.com")
    assert anna.server.owner_of(process.get(anna.grant).secret)
    assert REFUSED._value.get() == 0


def test_somebody_who_insists_asks_again_and_the_others_learn_of_it(anna: Granted) -> None:
    process = anna.process()
    anna.server.script.append((400, {}, b'{"error": "invalid_grant"}'))
    with pytest.raises(Misconfigured):
        process.get(anna.grant)
    token = anna.process().get(anna.grant, insist=True)
    assert process.get(anna.grant) == token
    assert anna.process().get(anna.grant, insist=True) == token, "nothing is wrong any more: nothing to ask"
    assert anna.asked == 2


def test_another_client_secret_goes_on_with_the_refresh_token_that_was_kept(rotating: Granted) -> None:
    rotating.process().get(rotating.grant)
    rotating.now += HOUR
    rotating.changes = {"client_secret": "expired"}
    with pytest.raises(Misconfigured, match="invalid_client: check the client id and the client secret"):
        rotating.process().get(rotating.grant)
    rotating.changes = {}
    assert rotating.server.owner_of(rotating.process().get(rotating.grant).secret)


def test_a_server_that_fails_is_left_alone_and_the_old_token_is_used_while_it_is_valid(anna: Granted) -> None:
    process, failed = anna.process(), counted("failed")
    token = process.get(anna.grant)
    anna.server.script.extend([BROKEN] * 20)
    anna.now += HOUR * 0.9
    with capture_logs() as logs:
        for _ in range(60):
            assert process.get(anna.grant).secret == token.secret
            assert anna.process().get(anna.grant).trouble == "status 500, and no answer of a token endpoint"
            anna.now += 5
        assert 4 <= anna.asked <= 9, "5, 10, 20, 40, 80, 160 s, by chance three quarters of it"
        anna.now += 100
        with pytest.raises(Retry, match=r"127\.0\.0\.1 gives no access token: status 500"):
            process.get(anna.grant)
    assert [line["event"] for line in logs] == ["an access token could not be renewed, trying again"]
    assert counted("failed") == failed + anna.asked - 1
    anna.server.script.clear()
    anna.now += 300
    assert anna.server.owner_of(process.get(anna.grant).secret)


def test_a_server_that_says_when_is_asked_then(anna: Granted) -> None:
    anna.server.script.append((429, {"Retry-After": "1200"}, b'{"error": "temporarily_unavailable"}'))
    process = anna.process()
    for seconds in (0, 600, 599):
        anna.now += seconds
        with pytest.raises(Retry, match="429"):
            process.get(anna.grant)
    assert anna.asked == 1
    anna.now += 2
    process.get(anna.grant)


def test_a_clock_that_was_set_back_does_not_keep_it_waiting(anna: Granted) -> None:
    anna.server.script.append(BROKEN)
    with pytest.raises(Retry):
        anna.process().get(anna.grant)
    anna.now -= 10 * 86_400
    anna.process().get(anna.grant)


def test_a_token_that_a_mail_server_refuses_is_renewed_unless_it_is_new(anna: Granted) -> None:
    process = anna.process()
    first = process.get(anna.grant)
    process.refused(anna.grant, first.secret)
    assert process.get(anna.grant) == first, "the next one would be refused too"
    anna.now += 301
    process.refused(anna.grant, "another")
    assert process.get(anna.grant) == first
    process.refused(anna.grant, first.secret)
    assert process.get(anna.grant).secret != first.secret
    assert anna.asked == 2


def test_a_damaged_file_is_told_and_the_environments_token_used(anna: Granted) -> None:
    anna.process().get(anna.grant)
    anna.file.write_text('{"chain":')
    with capture_logs() as logs:
        anna.process().get(anna.grant)
    assert [line["event"] for line in logs] == [
        "kept tokens can't be read: the refresh token of the environment is used"
    ] * 2
    assert json.loads(anna.file.read_text())["refresh_token"] == anna.refresh_token


def test_two_environments_do_not_chase_each_other(anna: Granted) -> None:
    """A worker that was not restarted has the old refresh token still."""
    old, new = anna.process(), anna.process()
    grants = [anna.grant]
    anna.refresh_token = anna.server.consent("anna@example.com")
    grants.append(anna.grant)
    for _ in range(5):
        old.get(grants[0])
        new.get(grants[1])
    assert anna.asked == 2


def test_where_nothing_can_be_written_the_process_goes_on_with_what_it_knows(rotating: Granted) -> None:
    """The disk takes no byte more: files may be made, and stay empty."""
    program = (
        "import resource, sys; from pathlib import Path; from oauth2.renewal import TokenRenewal; "
        "from schemas.senders import GrantSecrets; from schemas.settings import Settings\n"
        "now = [1000.0]\n"
        "renewal = TokenRenewal(Settings(_env_file=None, data_dir=Path(sys.argv[1])), clock=lambda: now[0])\n"
        "grant = GrantSecrets(sys.argv[2], *sys.argv[3:8])\n"
        "hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))\n"
        "tokens = []\n"
        "for _ in range(3):\n"
        "    tokens.append(renewal.get(grant).secret)\n"
        "    now[0] += 3600\n"
        "print(len(set(tokens)), 'tokens')\n"
    )
    grant = rotating.grant
    words = [grant.name, grant.token_url, grant.scope, grant.client_id, grant.client_secret, grant.refresh_token]
    done = subprocess.run(
        [sys.executable, "-c", program, str(rotating.folder), *words],
        cwd=ROOT, env=os.environ | {"PYTHONUNBUFFERED": "1"}, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert "3 tokens" in done.stdout, done.stdout + done.stderr
    assert (done.stdout + done.stderr).count("a grant's tokens could not be written to disk") == 1
    assert not rotating.file.exists()
    assert list(rotating.file.parent.glob("*.json*")) == []

"""`sendlens judge mail` as a command: files in, a JSON line for each out, an exit code."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from decisions.mail.read import MAX_MAIL
from tests.agents.mails import a_send, instrumented
from tests.corpus.mails import OWN
from tests.docs.shown import commands
from tests.support.processes import ROOT

KEYS = "7:an-old-kettle-and-a-new-one"


def judge(*files: Path | str, data_dir: Path, keys: str = "") -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "sendlens", "judge", "mail", *map(str, files)]
    env = {name: value for name, value in os.environ.items() if not name.startswith("SENDLENS_")}
    env |= {"SENDLENS_DATA_DIR": str(data_dir)} | ({"SENDLENS_TOKEN_KEYS": keys} if keys else {})
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False, env=env)


def told(answer: subprocess.CompletedProcess[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in answer.stdout.splitlines()]


def a_bounce(tmp_path: Path) -> Path:
    sent = instrumented(a_send())
    file = tmp_path / "bounce.eml"
    text = (OWN / "qmail.eml").read_text().replace("To: sender@example.org", f"To: {sent.envelope_from}", 1)
    file.write_text(text)
    return file


def test_each_file_is_a_line_with_kind_and_recipients(tmp_path: Path) -> None:
    answer = judge(OWN / "exim.eml", OWN / "reply-unsubscribe.eml", data_dir=tmp_path)
    assert (answer.returncode, answer.stderr) == (0, "")
    bounce, reply = told(answer)
    assert (bounce["file"], bounce["kind"], bounce["text"]) == (str(OWN / "exim.eml"), "bounce", "")
    assert bounce["recipients"] == [
        {
            "address": "ada@example.com",
            "class": "hard",
            "category": "domain-unknown",
            "status": "",
            "diagnostic": "ada@example.com Unrouteable address",
        },
        {
            "address": "ben@example.com",
            "class": "block",
            "category": "block-list",
            "status": "5.7.1",
            "diagnostic": bounce["recipients"][1]["diagnostic"],
        },
    ]
    assert (reply["kind"], reply["recipients"]) == ("reply", [])
    assert reply["text"] == "Please remove my address, this is spam."
    assert "delivery" not in bounce


def test_what_the_docs_show_is_what_it_prints(tmp_path: Path) -> None:
    shown = next(each for each in commands((ROOT / "docs" / "judging.md").read_text()) if "judge mail" in each.text)
    assert judge(*next(shown.calls())[3:], data_dir=tmp_path).stdout == shown.output.strip("\n") + "\n"


def test_explained_it_tells_the_signs_that_decided_their_weights_and_where_they_were_found(tmp_path: Path) -> None:
    answer = judge("--explain", OWN / "postfix-old.eml", data_dir=tmp_path)
    assert (answer.returncode, answer.stderr) == (0, "")
    (line,) = told(answer)
    evidence = line.pop("evidence")
    assert [line] == told(judge(OWN / "postfix-old.eml", data_dir=tmp_path))
    of_kind = [each for each in evidence if each["about"] == "kind"]
    assert of_kind[0] == {"about": "kind", "name": "report-in-words", "where": "bounce-sender"}
    assert {each["name"]: each["where"].split(": ")[1] for each in of_kind[1:]} == {
        "sender": "MAILER-DAEMON",
        "subject": "Undelivered",
    }
    of_address = [each for each in evidence if each["about"] == "ada@example.com"]
    assert [(each["name"], each.get("where", ""), each.get("weight")) for each in of_address[:-1]] == [
        ("at-an-end-of-its-line", "line 8", 2),
        ("listed-as-failed", "line 8", 2),
        ("failure-said", "line 8", 1),
        ("returned-mail-went-to-it", "", 3),
        ("words", "", None),
    ]
    assert of_address[-1]["where"].endswith(": Host not found")
    assert (ROOT / "decisions/data" / of_address[-1]["where"].split(":")[0]).is_file()


def test_the_help_of_the_command_says_what_evidence_is(tmp_path: Path) -> None:
    shown = " ".join(judge("--help", data_dir=tmp_path).stdout.split())
    assert "--explain" in shown
    assert all(word in shown for word in ("evidence", "about", "where", "weight"))


def test_with_the_keys_the_delivery_is_told_and_by_what_it_is_known(tmp_path: Path) -> None:
    line = told(judge(a_bounce(tmp_path), data_dir=tmp_path, keys=KEYS))[0]
    assert (line["delivery"], line["matched_by"]) == (a_send().delivery_id, "verp")


def test_the_keys_of_an_installation_are_found_in_its_data_directory(tmp_path: Path) -> None:
    (tmp_path / "token_keys").touch(0o600)
    (tmp_path / "token_keys").write_text(KEYS + "\n")
    assert told(judge(a_bounce(tmp_path), data_dir=tmp_path))[0]["matched_by"] == "verp"


def test_without_keys_nothing_is_matched_and_none_are_made(tmp_path: Path) -> None:
    line = told(judge(a_bounce(tmp_path), data_dir=tmp_path / "nothing-here"))[0]
    assert (line["kind"], "delivery" in line) == ("bounce", False)
    assert not (tmp_path / "nothing-here").exists()


def test_keys_that_cannot_be_read_are_explained(tmp_path: Path) -> None:
    answer = judge(OWN / "exim.eml", data_dir=tmp_path, keys="nonsense")
    assert answer.returncode == 2
    assert answer.stderr.startswith("sendlens: SENDLENS_TOKEN_KEYS: write id:secret pairs")


def test_a_file_that_cannot_be_read_hinders_no_other(tmp_path: Path) -> None:
    answer = judge(tmp_path / "missing", tmp_path, OWN / "exim.eml", data_dir=tmp_path)
    assert answer.returncode == 1
    missing, directory = answer.stderr.splitlines()
    assert missing == f"sendlens: {tmp_path / 'missing'}: can't be read (No such file or directory)"
    assert directory.startswith(f"sendlens: {tmp_path}: is a directory; ")
    assert [line["kind"] for line in told(answer)] == ["bounce"]


def test_an_empty_file_and_one_that_is_no_mail_are_neither_reply_nor_bounce(tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    (tmp_path / "noise").write_bytes(bytes(range(256)) * 400)
    answer = judge(tmp_path / "empty", tmp_path / "noise", data_dir=tmp_path)
    assert (answer.returncode, [line["kind"] for line in told(answer)]) == (0, ["other", "other"])


def test_a_file_larger_than_any_mail_is_refused_with_the_limit(tmp_path: Path) -> None:
    huge = tmp_path / "huge.eml"
    with huge.open("wb") as file:
        file.truncate(30 << 20)
    answer = judge(huge, OWN / "exim.eml", data_dir=tmp_path)
    assert answer.returncode == 1
    assert answer.stderr == (
        f"sendlens: {huge}: is larger than {MAX_MAIL >> 20} MiB; no mail server delivers that, give the mail itself\n"
    )
    assert len(told(answer)) == 1


def test_a_reply_with_a_large_attachment_is_read(tmp_path: Path) -> None:
    file = tmp_path / "large.eml"
    file.write_bytes(
        b"From: ada@example.com\nSubject: Re: x\nContent-Type: multipart/mixed; boundary=B\n\n"
        b"--B\n\nHere it is.\n--B\nContent-Type: application/pdf\nContent-Transfer-Encoding: base64\n\n"
        + b"QUJD" * (5 << 20)
        + b"\n--B--\n"
    )
    line = told(judge(file, data_dir=tmp_path))[0]
    assert (line["kind"], line["text"]) == ("reply", "Here it is.")

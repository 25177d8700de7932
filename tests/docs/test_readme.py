"""What the documents say to type can be typed, and what they name is there."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest

from decisions.effects.suppression_list import Entry, fact_of
from decisions.providers.passing import api_fields_for, joined, passed_text, read_passed
from decisions.sending.own_events import OwnEvent
from ingest.api.requests import (
    CampaignRequest,
    InstrumentRequest,
    OwnEventsRequest,
    SendRequest,
    SendsRequest,
    check_campaign,
    check_send,
    check_told,
)
from ingest.api.suppressions import SuppressionsRequest
from schemas.addresses import mailbox
from schemas.settings import Settings, table
from schemas.tokens import Keyring, Purpose, delivery_id
from tests.docs.command import commands as sendlens_commands
from tests.docs.command import complaint, targets
from tests.docs.shown import Command, anchors, blocks, commands, documents, in_backticks, links
from tests.support.kafka import ELSEWHERE
from tests.support.processes import ROOT

DOCUMENTS = documents(ROOT)
README = (ROOT / "README.md").read_text()
SHOWN = [command for document in DOCUMENTS for command in commands(document.read_text())]
SETTINGS = {table.variable(name) for name in Settings.model_fields}


def of(command: str, words: list[str]) -> list[str] | None:
    """The arguments when this is a call of the command, wherever it is installed."""
    if words and (words[0] == command or words[0] == f".venv/bin/{command}"):
        return words[1:]
    return None


def every_call(text: str) -> list[list[str]]:
    """Calls in blocks and in backticks."""
    inline = [Command(code, "") for code in in_backticks(text) if re.match(r"(make|sendlens) ", code)]
    return [call for command in [*commands(text), *inline] for call in command.calls()]


def every_json_block() -> list[str]:
    """The JSON of every document."""
    return [block for document in DOCUMENTS for block in blocks(document.read_text(), "json")]


def body_of(path: str) -> bytes:
    """The JSON that a document posts to a path."""
    (found,) = [command for command in SHOWN if f"{path} --json" in command.text]
    (words,) = found.calls()
    return words[words.index("--json") + 1].encode()


@pytest.fixture(params=DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def text(request: pytest.FixtureRequest) -> str:
    return str(request.param.read_text())


def test_every_make_target_that_is_named_is_there(text: str) -> None:
    for call in every_call(text):
        for target in [word for word in of("make", call) or [] if "=" not in word]:
            if target != ".venv/ready":
                assert target in targets(), f"make {target}"


def test_every_sendlens_command_that_is_shown_would_run(text: str) -> None:
    for call in every_call(text):
        arguments = of("sendlens", call)
        if arguments is not None:
            assert complaint([word.replace("NAME", "judge") for word in arguments]) is None, call


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_file_and_anchor_that_is_linked_is_there(document: Path) -> None:
    for file, anchor in links(document.read_text()):
        target = (document.parent / file) if file else document
        assert target.exists(), f"{document.name} links to {file}"
        if anchor:
            assert anchor in anchors(target.read_text()), f"{document.name} links to {file}#{anchor}"


def test_every_document_is_led_to_from_readme() -> None:
    known, ahead = {ROOT / "CHANGELOG.md"}, [ROOT / "README.md"]
    while ahead:
        document = ahead.pop()
        known.add(document)
        linked = {(document.parent / file).resolve() for file, _ in links(document.read_text()) if file.endswith(".md")}
        ahead += linked - known
    assert set(DOCUMENTS) - known == set()


def test_every_setting_that_is_named_is_one(text: str) -> None:
    named = set(re.findall(r"SENDLENS_[A-Z_]*[A-Z]", text))
    assert named <= SETTINGS | {ELSEWHERE, "SENDLENS_FAULT_HITS", "SENDLENS_LAW_EXAMPLES"}, named - SETTINGS


def test_every_json_block_parses(text: str) -> None:
    for block in blocks(text, "json"):
        json.loads(block)


def test_everything_after_json_is_json(text: str) -> None:
    for command in commands(text):
        for call in command.calls():
            if "--json" in call:
                json.loads(call[call.index("--json") + 1])


def test_the_two_commands_stand_on_the_first_screen() -> None:
    first = "\n".join(README.splitlines()[:20])
    assert "$ make demo" in first
    assert "$ make test" in first
    assert "docs/img/overview.png" in first


def test_the_campaign_that_is_posted_is_taken() -> None:
    check_campaign(msgspec.json.decode(body_of("/v1/campaigns"), type=CampaignRequest))


def test_the_campaign_with_tags_for_its_links_is_taken() -> None:
    (block,) = [block for block in every_json_block() if '"utm_source"' in block]
    check_campaign(msgspec.json.decode(block, type=CampaignRequest))


def test_the_suppressions_that_are_posted_are_taken() -> None:
    keyring, now = Keyring.parse("1:the-key-of-this-very-test"), datetime.now(UTC)
    asked = msgspec.json.decode(body_of("/v1/suppressions"), type=SuppressionsRequest).suppressions
    entries = [msgspec.json.decode(raw, type=Entry, strict=True) for raw in asked]
    assert [fact_of(entry, keyring, now).of for entry in entries] == ["address", "domain", "lead"]


def test_the_sends_that_are_posted_are_taken() -> None:
    (raw,) = msgspec.json.decode(body_of("/v1/sends"), type=SendsRequest).sends
    send = msgspec.json.decode(raw, type=SendRequest)
    check_send(send)
    assert send.campaign == msgspec.json.decode(body_of("/v1/campaigns"), type=CampaignRequest).id


def test_the_parts_that_are_shown_are_taken_with_a_send() -> None:
    (raw,) = msgspec.json.decode(body_of("/v1/sends"), type=SendsRequest).sends
    (parts,) = [json.loads(block) for block in every_json_block() if '"images"' in block]
    send = msgspec.convert(json.loads(bytes(raw)) | parts, SendRequest)
    check_send(send)
    assert send.amp
    assert send.images


def test_what_is_asked_and_reported_for_own_systems_is_taken() -> None:
    (raw,) = msgspec.json.decode(body_of("/v1/instrument"), type=SendsRequest).sends
    asked = msgspec.json.decode(raw, type=InstrumentRequest)
    check_send(asked.as_send())
    (raw,) = msgspec.json.decode(body_of("/v1/events"), type=OwnEventsRequest).events
    told = msgspec.json.decode(raw, type=OwnEvent)
    check_told(told, told.at)
    assert (told.campaign, told.step, told.lead) == (asked.campaign, asked.step, asked.lead)
    (instrumented,) = [command for command in SHOWN if "/v1/instrument --json" in command.text]
    assert f'"delivery_id":"{delivery_id(told.campaign, told.step, told.lead)}"' in instrumented.output


def test_the_request_to_a_providers_api_that_is_shown_names_the_email() -> None:
    (request,) = [json.loads(block) for block in every_json_block() if '"Metadata"' in block]
    token, sender = read_passed(joined(request["Metadata"]))
    assert sender == mailbox(request["From"]).address
    claim = Keyring.parse("1:the-key-of-this-very-test").verify(Purpose.MESSAGE, token)
    assert claim.delivery_id == delivery_id("spring", 2, "lead-4711")
    assert api_fields_for("postmark", passed_text(token, sender)).metadata == request["Metadata"]


def test_the_answers_that_are_shown_have_the_shape_of_ours() -> None:
    from ingest.api.sends import SendsAnswer
    from schemas.events import Campaign

    shown = {command.text.split()[1].rpartition("/")[2]: command.output for command in commands(README)}
    assert msgspec.json.decode(shown["campaigns"], type=Campaign).name == "Spring launch"
    answer = msgspec.json.decode(shown["sends"], type=SendsAnswer)
    assert answer.deliveries[0].delivery_id == str(delivery_id("spring", 1, "lead-4711"))


def test_the_verdicts_that_are_shown_are_given() -> None:
    shown = {command.text: command.output for command in SHOWN}
    hits = shown["cat hits.ndjson"]
    answer = subprocess.run(
        [sys.executable, "-m", "sendlens", "judge", "hits"],
        input=hits, cwd=ROOT, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert answer.returncode == 0, answer.stderr
    assert answer.stdout.strip() == shown[".venv/bin/sendlens judge hits < hits.ndjson"]


def test_the_settings_table_and_env_example_are_todays() -> None:
    written = table.DOCUMENT.read_text()
    assert table.in_document(written) == written, "run `python -m schemas.settings.table`"
    assert table.ENV_EXAMPLE.read_text() == table.env_example(), "run `python -m schemas.settings.table`"


def test_env_example_uncommented_is_what_runs_without_it(tmp_path: Path) -> None:
    """The defaults that are written down are the defaults."""
    lines = [re.sub(r"^# (?=[A-Z_]+=)", "", line) for line in table.env_example().splitlines()]
    file = tmp_path / "env"
    file.write_text("\n".join(lines))
    assert Settings(_env_file=str(file)) == Settings(_env_file=None)  # type: ignore[call-arg]


def test_make_lists_every_target_with_what_it_does() -> None:
    made = subprocess.run(["make", "-s"], cwd=ROOT, capture_output=True, text=True, timeout=30)
    assert made.returncode == 0, made.stderr
    listed = dict(line.split(maxsplit=1) for line in made.stdout.splitlines())
    phony = re.search(r"^\.PHONY: (.+)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert phony is not None
    assert listed == targets()
    assert set(listed) == set(phony[1].split())


def test_every_command_says_what_it_does() -> None:
    for name, about in sendlens_commands().items():
        assert len(about) > 20, f"sendlens {name} has no help"

"""What a chat is told of a pause, in the forms that Slack and Teams document."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

from decisions.effects.chat_messages import CHAT_ID, ChatForm, chat_endpoint, chat_message
from decisions.effects.webhook_messages import report
from schemas.events import CampaignPaused, CampaignResumed, lines

NOW = datetime(2026, 3, 2, 9, tzinfo=UTC)
ID = "00000000-0000-4000-8000-000000000001"


def said(event: CampaignPaused | CampaignResumed, form: ChatForm) -> dict[str, Any]:
    made: dict[str, Any] = json.loads(chat_message(report(lines([event])).data, form, "https://t.example.com"))
    return made


def test_slack_reads_no_markup_out_of_a_campaign_s_id() -> None:
    paused = CampaignPaused(id=ID, at=NOW, campaign="<!channel> & co", reason="operator")
    assert said(paused, "slack") == {
        "text": "*Campaign &lt;!channel&gt; &amp; co was paused*\nby an operator. Nothing more of it is sent.\n"
        "<https://t.example.com/?board=campaign&amp;campaign=%3C%21channel%3E%20%26%20co|Open the campaign>"
    }


def test_a_resumed_campaign_is_told_without_a_reason() -> None:
    resumed = CampaignResumed(id=ID, at=NOW, campaign="spring")
    assert said(resumed, "slack")["text"].splitlines()[0] == "*Campaign spring was resumed*"
    assert len(said(resumed, "slack")["text"].splitlines()) == 2


def test_teams_gets_an_adaptive_card_whose_text_is_no_markdown() -> None:
    paused = CampaignPaused(
        id=ID, at=NOW, campaign="[spring](x)", reason="bounces", detail="3 of 40 emails bounced hard"
    )
    message = said(paused, "teams")
    assert message["type"] == "message"
    (attachment,) = message["attachments"]
    assert attachment["contentType"] == "application/vnd.microsoft.card.adaptive"
    card = attachment["content"]
    assert (card["type"], card["version"]) == ("AdaptiveCard", "1.4")
    assert {block["type"] for block in card["body"]} == {"RichTextBlock"}
    texts = [block["inlines"][0]["text"] for block in card["body"]]
    assert texts == ["Campaign [spring](x) was paused", "3 of 40 emails bounced hard. Nothing more of it is sent."]
    (action,) = card["actions"]
    assert action["type"] == "Action.OpenUrl"
    assert action["url"] == "https://t.example.com/?board=campaign&campaign=%5Bspring%5D%28x%29"


def test_a_chat_is_an_endpoint_for_pauses_alone() -> None:
    chat = chat_endpoint("https://hooks.example.com/x", NOW)
    assert chat.id == CHAT_ID
    assert [kind for kind in ("campaign_paused", "campaign_resumed", "reply") if chat.wants(kind)] == list(chat.kinds)

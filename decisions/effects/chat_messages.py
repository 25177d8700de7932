"""What a chat is told when a campaign is paused or resumed: Slack's form, which Mattermost takes too, or Teams'.

Slack takes a JSON object with `text`, in which `&`, `<` and `>` are escaped
(https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks, .../formatting-message-text). A workflow of
Teams, "When a Teams webhook request is received", takes a message with one Adaptive Card
(https://learn.microsoft.com/microsoftteams/platform/webhooks-and-connectors/how-to/add-incoming-webhook).
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal
from urllib.parse import quote
from uuid import NAMESPACE_URL, uuid5

import msgspec

from schemas.state.webhook_calls import Endpoint

ChatForm = Literal["slack", "teams"]
KINDS = ("campaign_paused", "campaign_resumed")
# The chat among the endpoints that are called. Its address is a secret and stands in the settings alone.
CHAT_ID = str(uuid5(NAMESPACE_URL, "sendlens:pause-webhook"))
_WHY = {"bounces": "too many hard bounces", "operator": "by an operator"}


def chat_endpoint(url: str, since: datetime) -> Endpoint:
    """The chat as an endpoint, which is on no topic."""
    return Endpoint(id=CHAT_ID, url=url, kinds=KINDS, created_at=since, since=since)


def chat_message(event: Mapping[str, Any], form: ChatForm, public_url: str) -> bytes:
    """The body that is posted for a campaign_paused or campaign_resumed event, given by its fields."""
    campaign, link = (
        str(event["campaign"]),
        f"{public_url}/?board=campaign&campaign={quote(str(event['campaign']), safe='')}",
    )
    title, why = _said(event, campaign)
    if form == "slack":
        text = (
            f"*{_escaped(title)}*" + (f"\n{_escaped(why)}" if why else "") + f"\n<{_escaped(link)}|Open the campaign>"
        )
        return msgspec.json.encode({"text": text})
    # Not TextBlock, which reads Markdown: a campaign's id may hold anything.
    blocks = [_block(title, weight="Bolder"), *([_block(why)] if why else [])]
    card = {
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "type": "AdaptiveCard",
        "version": "1.4",
        "body": blocks,
        "actions": [{"type": "Action.OpenUrl", "title": "Open the campaign", "url": link}],
    }
    attachment = {"contentType": "application/vnd.microsoft.card.adaptive", "contentUrl": None, "content": card}
    return msgspec.json.encode({"type": "message", "attachments": [attachment]})


def _said(event: Mapping[str, Any], campaign: str) -> tuple[str, str]:
    """What happened, and why with its numbers."""
    if event["kind"] == "campaign_resumed":
        return f"Campaign {campaign} was resumed", ""
    why = str(event.get("detail") or _WHY.get(str(event["reason"]), event["reason"]))
    return f"Campaign {campaign} was paused", f"{why}. Nothing more of it is sent."


def _block(text: str, **look: str) -> dict[str, Any]:
    return {"type": "RichTextBlock", "inlines": [{"type": "TextRun", "text": text, **look}]}


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")

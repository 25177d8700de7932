"""The mail providers whose webhooks are understood."""

from __future__ import annotations

from typing import Literal, get_args

Provider = Literal["ses", "sendgrid", "postmark", "mailgun", "brevo"]
PROVIDERS: tuple[Provider, ...] = get_args(Provider)

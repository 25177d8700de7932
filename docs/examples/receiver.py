"""Events of Sendlens as notes in HubSpot (HUBSPOT_TOKEN) or Pipedrive (PIPEDRIVE_TOKEN, PIPEDRIVE_URL).

WEBHOOK_SECRET is what `sendlens webhooks add` printed. Listens on PORT of loopback, and keeps the ids of what it took
in the file SEEN.
"""

import html
import json
import os
import sqlite3
from http.server import BaseHTTPRequestHandler, HTTPServer
from urllib.error import HTTPError
from urllib.parse import quote, urlencode
from urllib.request import Request, urlopen

from standardwebhooks import Webhook, WebhookVerificationError

seen = sqlite3.connect(os.environ.get("SEEN", "seen.db"), isolation_level=None)
seen.execute("CREATE TABLE IF NOT EXISTS seen (id TEXT PRIMARY KEY)")


def call(url, headers, body=None):
    data = None if body is None else json.dumps(body).encode()
    with urlopen(Request(url, data, {"Content-Type": "application/json", **headers}), timeout=4) as answer:
        return json.load(answer)


def hubspot(email, note, at):
    api = os.environ.get("HUBSPOT_URL", "https://api.hubapi.com")
    key = {"Authorization": f"Bearer {os.environ['HUBSPOT_TOKEN']}"}
    try:
        contact = call(f"{api}/crm/v3/objects/contacts/{quote(email, safe='')}?idProperty=email", key)
    except HTTPError as error:
        if error.code == 404:  # nobody's contact
            return
        raise
    to_contact = {"associationCategory": "HUBSPOT_DEFINED", "associationTypeId": 202}
    call(
        f"{api}/crm/v3/objects/notes",
        key,
        {
            "properties": {"hs_timestamp": at, "hs_note_body": note},
            "associations": [{"to": {"id": contact["id"]}, "types": [to_contact]}],
        },
    )


def pipedrive(email, note, at):
    api = os.environ["PIPEDRIVE_URL"]  # https://company.pipedrive.com
    key = {"x-api-token": os.environ["PIPEDRIVE_TOKEN"]}
    asked = urlencode({"term": email, "fields": "email", "exact_match": "true"})
    found = call(f"{api}/api/v2/persons/search?{asked}", key)
    for one in found["data"]["items"][:1]:
        call(f"{api}/api/v1/notes", key, {"person_id": one["item"]["id"], "content": note})


class Receiver(BaseHTTPRequestHandler):
    def do_POST(self):
        self.send_response(self.take(self.rfile.read(int(self.headers["Content-Length"]))))
        self.send_header("Content-Length", "0")
        self.end_headers()

    def take(self, body):
        headers = {name.lower(): value for name, value in self.headers.items()}
        try:
            event = Webhook(os.environ["WEBHOOK_SECRET"]).verify(body, headers)
        except WebhookVerificationError:
            return 401
        if seen.execute("SELECT 1 FROM seen WHERE id = ?", [headers["webhook-id"]]).fetchone():
            return 204
        data = event["data"]
        said = f"{event['type']} ({data['reason']}) of {data['campaign']}, step {data['step']}: {data.get('text', '')}"
        try:
            if email := data.get("to") or data.get("from_address"):
                (hubspot if "HUBSPOT_TOKEN" in os.environ else pipedrive)(email, html.escape(said), event["timestamp"])
        except OSError as error:  # the CRM is away, or refuses
            print(error, flush=True)
            return 502
        seen.execute("INSERT INTO seen VALUES (?)", [headers["webhook-id"]])
        return 204


HTTPServer(("127.0.0.1", int(os.environ.get("PORT", "8090"))), Receiver).serve_forever()

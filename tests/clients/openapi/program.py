"""What a platform does with the client that openapi-python-client made of our document; prints what came of it.

Run with the generated package on the path: `program.py URL KEY`.
"""

from __future__ import annotations

import json
import sys

from sendlens_client import AuthenticatedClient
from sendlens_client.api.platform import campaign_stats, declare, export, send, timeline
from sendlens_client.models import CampaignRequest, SendRequest, SendsRequest
from sendlens_client.models.export_table import ExportTable

url, key = sys.argv[1:]
client = AuthenticatedClient(base_url=url, token=key, raise_on_unexpected_status=True)
campaign = declare.sync(client=client, body=CampaignRequest(id="python", name="Python", utm_source="news"))
wanted = SendRequest(
    campaign="python", step=1, lead="lead-1", to="ada@example.com", sender="news@example.net", subject="S", text="T"
)
unknown = SendRequest.from_dict(wanted.to_dict() | {"campaign": "nobody-declared"})
sent = send.sync(client=client, body=SendsRequest(sends=[wanted, unknown]))
refused = send.sync_detailed(client=client, body=SendsRequest(sends=[unknown]))
stats = campaign_stats.sync("python", client=client)
nobody = timeline.sync_detailed("nobody", client=client)
rows = export.sync(client=client, table=ExportTable.EMAILS)
print(
    json.dumps(
        {
            "campaign": [type(campaign).__name__, campaign.id, campaign.utm_source],
            "sent": [type(sent).__name__, sent.accepted, [one.reason for one in sent.rejected]],
            "refused": [int(refused.status_code), type(refused.parsed).__name__, refused.parsed.accepted],
            "stats": [type(stats).__name__, stats.campaign],
            "nobody": [int(nobody.status_code), type(nobody.parsed).__name__, nobody.parsed.status],
            "rows": rows.partition("\n")[0].split(",")[:2],
        }
    )
)

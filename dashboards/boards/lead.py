"""The Lead timeline: everything that ever happened to one lead, hits with the verdict on them and why."""

from __future__ import annotations

from clickhouse.queries import get
from dashboards.boards.rates import CLICKS_OF, OPENS_OF
from dashboards.boards.words import LEAD_STATES, VERDICTS
from dashboards.panels import Board, Color, Field, GridArea, Panel, PanelKind, RateCounts, RowLink, Unit
from dashboards.variables import LEAD

_CHOOSE = "Choose a lead below, or type its id above"
_WHOLE = "All emails ever sent to the lead count, whatever the period."

_PANELS = (
    Panel(
        id=1,
        key="state",
        kind=PanelKind.TABLE,
        title="State now",
        description="Whether the lead gets email now, and if not, why and since when: it unsubscribed, complained of "
        "spam, its address is dead, it asked for a pause, or it was erased. A reason may be known of its address, from "
        "whatever list. No denominator.",
        query=get("lead_state"),
        label=Field(
            "state",
            "State",
            Unit.TEXT,
            "What holds now. What was taken back stands in the timeline alone.",
            words=LEAD_STATES,
        ),
        fields=(
            Field("since", "Since", Unit.TIME, "When it became known; of a lead that gets email, its first."),
            Field("about", "Which means", Unit.TEXT, long=True),
        ),
        area=GridArea(0, 0, 8, 5),
        no_value=_CHOOSE,
    ),
    Panel(
        id=2,
        key="emails",
        kind=PanelKind.STAT,
        title="Emails",
        description=f"Emails put to the lead's mail server, which took or refused them. {_WHOLE} A count: it is the "
        "denominator of what bounced. Beside it, how many events there are of the lead's emails.",
        query=get("lead_summary"),
        fields=(Field("sent", "Sent", Unit.COUNT), Field("events", "Events", Unit.COUNT, color=Color.GREY)),
        area=GridArea(8, 0, 4, 5),
        no_value="Nothing yet",
        compared=False,
    ),
    Panel(
        id=3,
        key="opened",
        kind=PanelKind.STAT,
        title="Opened",
        description=f"Of the delivered emails of this lead, those that a person opened, each once. {_WHOLE} Raw counts "
        "robots and privacy proxies as well.",
        query=get("lead_summary"),
        fields=(
            Field("opened", "By a person", Unit.COUNT),
            Field("raw_opened", "Raw", Unit.COUNT, color=Color.GREY),
        ),
        area=GridArea(12, 0, 4, 5),
        no_value="Nothing yet",
        of=RateCounts("opened_with_pixel", "delivered_with_pixel", OPENS_OF),
        compared=False,
    ),
    Panel(
        id=4,
        key="clicked",
        kind=PanelKind.STAT,
        title="Clicked",
        description=f"Of the delivered emails of this lead, those in which a person followed a link, each once. "
        f"{_WHOLE} Raw counts robots as well.",
        query=get("lead_summary"),
        fields=(
            Field("clicked", "By a person", Unit.COUNT),
            Field("raw_clicked", "Raw", Unit.COUNT, color=Color.GREY),
        ),
        area=GridArea(16, 0, 4, 5),
        no_value="Nothing yet",
        of=RateCounts("clicked", "delivered_with_links", CLICKS_OF),
        compared=False,
    ),
    Panel(
        id=5,
        key="replied",
        kind=PanelKind.STAT,
        title="Replied",
        description=f"Of the delivered emails of this lead, those that it answered. {_WHOLE} An automatic answer is no "
        "reply.",
        query=get("lead_summary"),
        fields=(Field("replied", "Replied", Unit.COUNT),),
        area=GridArea(20, 0, 4, 5),
        no_value="Nothing yet",
        of=RateCounts("replied", "delivered", "delivered"),
        compared=False,
    ),
    Panel(
        id=6,
        key="timeline",
        kind=PanelKind.TIMELINE,
        title="Timeline",
        description="Everything that happened to this lead, in its whole history, newest first: what was sent and what "
        "mail servers said, each open and click with the verdict on it, the rule that gave it and where it came from, "
        "answers, unsubscribing, since when it gets no more mail, and what waits to be sent. The newest 500; the "
        "column Of says of how many. No denominator.",
        query=get("lead_timeline"),
        label=Field("at", "Time", Unit.TIME, "When it happened."),
        fields=(
            Field("happened", "Happened", Unit.TEXT),
            Field(
                "verdict", "Verdict", Unit.TEXT, "Whose open or click it was: human, machine or bot.", words=VERDICTS
            ),
            Field("reason", "Reason", Unit.TEXT, "The rule that gave the verdict, or why an email was not sent."),
            Field(
                "what",
                "What",
                Unit.TEXT,
                "The mail server's words, the reply's subject, the link; of a hit the mail client or browser, the "
                "device, the country, the network and what is kept of the address.",
                long=True,
            ),
            Field("campaign_name", "Campaign", Unit.TEXT),
            Field("step", "Step", Unit.COUNT, "The email's place in the sequence."),
            Field("variant", "Variant", Unit.TEXT, "The version of the text that was sent."),
            Field("wrote", "Wrote", Unit.TEXT, "What the lead answered, without quotes and signature.", Color.GREY),
            Field("user_agent", "User agent", Unit.TEXT, "As it was sent, until it is blanked.", Color.GREY),
            Field("rules_version", "Rules", Unit.TEXT, "The version of the rules that judged.", Color.GREY),
            Field("total", "Of", Unit.COUNT, "How many things happened in all."),
        ),
        area=GridArea(0, 5, 24, 14),
        no_value=_CHOOSE,
    ),
    Panel(
        id=7,
        key="leads",
        kind=PanelKind.TABLE,
        title="Leads",
        description="Leads to choose from: those to whom something last happened in the period, the latest first, at "
        "most 50; a robot's open or click is something, too. What is typed above finds the leads whose id holds it. "
        "Opened, clicked and replied are of all emails ever sent to the lead, by a person.",
        query=get("leads_lately"),
        label=Field("lead", "Lead", Unit.TEXT, "The lead's id. Choose it to see its timeline."),
        link=RowLink("lead", LEAD),
        fields=(
            Field("last_at", "Last", Unit.TIME, "When something last happened to one of its emails."),
            Field("last_happened", "What", Unit.TEXT, "The newest event of its timeline, by whomever."),
            Field("emails", "Emails", Unit.COUNT, "Emails sent to it."),
            Field("opened", "Opened", Unit.COUNT, "Of them, opened by a person."),
            Field("clicked", "Clicked", Unit.COUNT, "Of them, clicked in by a person."),
            Field("replied", "Replied", Unit.COUNT, "Of them, answered by a person."),
        ),
        area=GridArea(0, 19, 24, 9),
        no_value="Nothing happened to any lead: choose a longer period",
    ),
)

LEAD_TIMELINE = Board(
    key="lead",
    uid="sendlens-lead",
    title="Lead timeline",
    description="Everything that ever happened to one lead. The period chooses which leads are offered below; the "
    "timeline and the numbers are of the lead's whole history.",
    panels=_PANELS,
    variables=(LEAD,),
)

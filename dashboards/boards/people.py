"""With what people open and click, and where: panels that Campaign and Robots share."""

from __future__ import annotations

from dataclasses import replace

from clickhouse.queries import get
from dashboards.panels import Field, GridArea, Panel, PanelKind, Unit

_BY_PEOPLE = "Hits by people alone, repeats included, at the time they came; robots and privacy proxies are on Robots."
_OPENS = Field("opens", "Opens", Unit.COUNT, "Opens by people.")
_CLICKS = Field("clicks", "Clicks", Unit.COUNT, "Links that people followed.")
_OPEN_SHARE = Field("open_share", "Of opens", Unit.RATE, "Of all opens by people.")
_CLICK_SHARE = Field("click_share", "Of clicks", Unit.RATE, "Of all clicks by people.")

_OPENS_BY_CLIENT = Panel(
    id=0,
    key="mail-clients",
    kind=PanelKind.TABLE,
    title="Mail clients",
    description=f"The mail clients with which people opened in the period. {_BY_PEOPLE} The share is of all opens by "
    "people. Proxy: the mail provider fetched the image when the person opened the email. A browser's name: the email "
    "was read as a web page.",
    query=get("opens_by_client"),
    label=Field(
        "client_name", "Mail client", Unit.TEXT, "What the user agent says that it is; unknown: nobody knows it."
    ),
    fields=(_OPENS, Field("share", "Share", Unit.RATE, "Of all opens by people.")),
    area=GridArea(0, 0, 12, 9),
    no_value="No person opened",
)
_CLICKS_BY_CLIENT = Panel(
    id=0,
    key="browsers",
    kind=PanelKind.TABLE,
    title="Browsers",
    description=f"The browsers, and apps that show pages themselves, with which people followed links in the period. "
    f"{_BY_PEOPLE} The share is of all clicks by people.",
    query=get("clicks_by_client"),
    label=Field("client_name", "Browser", Unit.TEXT, "What the user agent says that it is; unknown: nobody knows it."),
    fields=(_CLICKS, Field("share", "Share", Unit.RATE, "Of all clicks by people.")),
    area=GridArea(0, 0, 12, 9),
    no_value="No person clicked",
)
_BY_DEVICE = Panel(
    id=0,
    key="devices",
    kind=PanelKind.TABLE,
    title="Devices",
    description=f"The kinds of devices on which people opened and clicked in the period. {_BY_PEOPLE} Shares are of "
    "all opens, and of all clicks, by people. Unknown: a mail provider's proxy asked, or the user agent says nothing "
    "of it. An iPad that asks for desktop pages counts as desktop. Other: televisions, consoles, watches.",
    query=get("people_by_device"),
    label=Field("device_name", "Device", Unit.TEXT, "desktop, mobile, tablet, other or unknown."),
    fields=(_OPENS, _OPEN_SHARE, _CLICKS, _CLICK_SHARE),
    area=GridArea(0, 0, 12, 7),
    no_value="No person opened or clicked",
)
_BY_COUNTRY = Panel(
    id=0,
    key="countries",
    kind=PanelKind.TABLE,
    title="Countries",
    description=f"The countries from which people opened and clicked in the period, by the operator's country file. "
    f"{_BY_PEOPLE} Shares are of all opens, and of all clicks, by people. What came by a mail provider's proxy counts "
    "in the proxy's country: clicks say more.",
    query=get("people_by_country"),
    label=Field(
        "country_name",
        "Country",
        Unit.TEXT,
        "Its code, as ISO 3166-1 has it; No country: the file has none for the address.",
    ),
    fields=(_OPENS, _OPEN_SHARE, _CLICKS, _CLICK_SHARE),
    area=GridArea(0, 0, 12, 7),
    no_value="No country is known: set SENDLENS_COUNTRY_FILE",
)


def people_panels(first_id: int, y: int) -> tuple[Panel, ...]:
    """The panels from this line of the grid on, 16 lines high, with this id and those after it."""
    placed = (
        (_OPENS_BY_CLIENT, GridArea(0, y, 12, 9)),
        (_CLICKS_BY_CLIENT, GridArea(12, y, 12, 9)),
        (_BY_DEVICE, GridArea(0, y + 9, 12, 7)),
        (_BY_COUNTRY, GridArea(12, y + 9, 12, 7)),
    )
    return tuple(replace(panel, id=first_id + at, area=area) for at, (panel, area) in enumerate(placed))

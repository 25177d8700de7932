"""One file per board; `BOARDS` lists them in the order in which they are offered."""

from dashboards.boards.ab import AB
from dashboards.boards.campaign import CAMPAIGN_BOARD
from dashboards.boards.deliverability import DELIVERABILITY
from dashboards.boards.lead import LEAD_TIMELINE
from dashboards.boards.overview import OVERVIEW
from dashboards.boards.pipeline import PIPELINE
from dashboards.boards.recipients import RECIPIENTS
from dashboards.boards.robots import ROBOTS
from dashboards.panels import Board

BOARDS: tuple[Board, ...] = (
    OVERVIEW,
    CAMPAIGN_BOARD,
    AB,
    RECIPIENTS,
    LEAD_TIMELINE,
    DELIVERABILITY,
    ROBOTS,
    PIPELINE,
)

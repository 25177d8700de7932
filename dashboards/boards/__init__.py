"""One file per board; `BOARDS` lists them in the order in which they are offered."""

from dashboards.boards.overview import OVERVIEW
from dashboards.boards.pipeline import PIPELINE
from dashboards.panels import Board

BOARDS: tuple[Board, ...] = (OVERVIEW, PIPELINE)

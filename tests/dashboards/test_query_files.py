"""The loader of `clickhouse/queries/*.sql`: what it reads, and that it fails at start rather than later."""

import pytest

from clickhouse import queries
from schemas.errors import Misconfigured


def test_a_query_carries_its_definition_and_its_parameters() -> None:
    found = queries.read(
        [("x.sql", "-- name: one\n-- What it\n-- means.\nSELECT {since:DateTime64(3, 'UTC')}, {n:UInt8};\n")]
    )
    assert found["one"].about == "What it means."
    assert found["one"].sql == "SELECT {since:DateTime64(3, 'UTC')}, {n:UInt8}"
    assert found["one"].parameters == {"since": "DateTime64(3, 'UTC')", "n": "UInt8"}


def test_a_parameter_named_in_a_comment_is_not_one() -> None:
    found = queries.read([("a.sql", "-- name: one\n-- By {day:String}.\nSELECT 1 -- not {this:String}\n")])
    assert found["one"].parameters == {}


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("-- name: one\n-- A.\nSELECT 1\n-- name: one\n-- B.\nSELECT 2\n", "there twice"),
        ("-- name: one\nSELECT 1\n", "needs a comment"),
        ("-- name: one\n-- A comment alone.\n", "needs a comment"),
    ],
)
def test_a_file_that_is_wrong_stops_the_start(text: str, complaint: str) -> None:
    with pytest.raises(Misconfigured, match=complaint):
        queries.read([("a.sql", text)])


def test_asking_for_a_query_that_is_not_there_says_so() -> None:
    with pytest.raises(Misconfigured, match="no query named nonsense"):
        queries.get("nonsense")


def test_values_bind_what_a_query_takes_and_no_more() -> None:
    query = queries.get("any_emails")
    assert query.values({"since": 1}) == {}
    with pytest.raises(KeyError):
        queries.get("headline").values({"since": 1})

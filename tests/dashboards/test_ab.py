"""A/B tests against computations of other hands: ClickHouse's own functions, published tables, the standard library."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from itertools import accumulate
from math import ceil, isnan, sqrt
from statistics import NormalDist
from typing import Any

import pytest
from clickhouse_connect.driver.client import Client

from clickhouse import queries
from clickhouse.counting import propagate
from clickhouse.query_parameters import QueryParameters
from clickhouse.store import connect
from schemas.settings import Settings

AT = datetime(2026, 3, 2, 9, tzinfo=UTC)
SINCE, UNTIL = AT.replace(hour=0), AT.replace(day=9)
NORMAL = NormalDist()

# Every event is put in twice, as a replay would.
_PUT = """
INSERT INTO events (id, kind, at, delivery_id, campaign, step, variant, bounce_class, verdict)
SELECT
    reinterpretAsUUID(MD5(concat(toString(delivery_id), kind))), kind, {at:DateTime64(3, 'UTC')}, delivery_id,
    {campaign:String}, {step:UInt8}, variant, if(kind = 'bounce', 'hard', ''), 'human'
FROM
(
    SELECT
        variant,
        reinterpretAsUUID(MD5(concat({campaign:String}, variant, toString({step:UInt8}), toString(number)))) AS delivery_id,
        arrayJoin(arrayConcat(
            ['sent', 'sent', if(number < delivered, 'delivered', 'bounce')],
            if(number < reached, ['reply', 'click', 'open', 'reply', 'click', 'open'], [])
        )) AS kind
    FROM
    (
        SELECT variant, delivered, reached, arrayJoin(range(delivered + {bounced:UInt32})) AS number
        FROM (SELECT 1)
        ARRAY JOIN {variants:Array(String)} AS variant, {delivered:Array(UInt32)} AS delivered, {reached:Array(UInt32)} AS reached
    )
)
"""

# By chance, the same every time: `{rate}` of the emails are answered, or `{other}` of those of variant B.
_DRAW = """
INSERT INTO events (id, kind, at, delivery_id, campaign, step, variant)
SELECT reinterpretAsUUID(MD5(concat(toString(delivery_id), kind))), kind, {at:DateTime64(3, 'UTC')}, delivery_id, campaign, 1, variant
FROM
(
    SELECT
        concat({name:String}, leftPad(toString(intDiv(number, {size:UInt32} * {variants:UInt8})), 4, '0')) AS campaign,
        substring('ABCDEFGH', intDiv(number, {size:UInt32}) % {variants:UInt8} + 1, 1) AS variant,
        reinterpretAsUUID(MD5(concat({name:String}, toString(number)))) AS delivery_id,
        cityHash64({name:String}, number, 'chance') / pow(2, 64) AS chance,
        arrayJoin(if(chance < if(variant = 'B', {other:Float64}, {rate:Float64}), ['sent', 'reply'], ['sent'])) AS kind
    FROM numbers({size:UInt32} * {variants:UInt8} * {tests:UInt32})
)
"""


@pytest.fixture(scope="module")
def client(own_database: Settings) -> Iterator[Client]:
    with connect(own_database) as client:
        yield client


def insert(client: Client, sql: str, values: dict[str, Any]) -> None:
    """As `insert_lines` does with lines: what is counted follows."""
    batch = secrets.token_hex(16)
    client.command(sql, parameters=values, settings={"log_comment": batch})
    propagate(client, batch)


def put(
    client: Client, campaign: str, variants: Mapping[str, tuple[int, int]], *, bounced: int = 0, step: int = 1
) -> None:
    """Emails of a step: (delivered, replied) by variant. Clicked and opened are as many as replied."""
    values: dict[str, Any] = {"campaign": campaign, "step": step, "bounced": bounced, "at": "2026-03-02 09:00:00.000"}
    delivered, reached = zip(*variants.values(), strict=True)
    values |= {"variants": list(variants), "delivered": list(delivered), "reached": list(reached)}
    insert(client, _PUT, values)


def ask(client: Client, *campaigns: str, name: str = "ab_replies", steps: tuple[int, ...] = ()) -> list[dict[str, Any]]:
    query = queries.get(name)
    asked = QueryParameters(SINCE, UNTIL, campaigns, "UTC", steps).parameters()
    return list(client.query(query.sql, parameters=query.values(asked)).named_results())


def one(client: Client, campaign: str, baseline: tuple[int, int], other: tuple[int, int]) -> dict[str, Any]:
    """The row of variant B of a step of which (delivered, replied) are given."""
    put(client, campaign, {"A": baseline, "B": other})
    _, row = ask(client, campaign)
    return row


def p_of(n0: int, x0: int, n1: int, x1: int) -> float:
    pooled = (x0 + x1) / (n0 + n1)
    z = (x1 / n1 - x0 / n0) / sqrt(pooled * (1 - pooled) * (1 / n0 + 1 / n1))
    return 2 * (1 - NORMAL.cdf(abs(z)))


def needed_of(n0: int, x0: int, n1: int, x1: int, comparisons: int = 1) -> int:
    first, second, pooled = x0 / n0, x1 / n1, (x0 + x1) / (n0 + n1)
    if abs(second - first) < first / 5:
        second = first * (1.2 if second >= first and first * 1.2 <= 1 else 0.8)
    middle = (first + second) / 2
    alpha, power = NORMAL.inv_cdf(1 - 0.025 / comparisons), NORMAL.inv_cdf(0.8)
    spread = alpha * sqrt(2 * middle * (1 - middle)) + power * sqrt(first * (1 - first) + second * (1 - second))
    return ceil(max((spread / (second - first)) ** 2, 5 / min(pooled, 1 - pooled)))


@pytest.mark.parametrize(
    ("other", "baseline", "low", "high"),
    [
        # Newcombe 1998, table II, method 10: x of n beside x of n.
        ((70, 56), (80, 48), 0.0524, 0.3339),
        ((10, 9), (10, 3), 0.1705, 0.8090),
        ((7, 6), (7, 2), 0.0582, 0.8062),
        ((56, 5), (29, 0), -0.0381, 0.1926),
        ((10, 0), (20, 0), -0.1611, 0.2775),
        ((10, 0), (10, 0), -0.2775, 0.2775),
        ((10, 10), (20, 0), 0.6791, 1.0),
        ((10, 10), (10, 0), 0.6075, 1.0),
    ],
)
def test_the_interval_is_that_of_newcombes_table(
    client: Client, other: tuple[int, int], baseline: tuple[int, int], low: float, high: float
) -> None:
    row = one(client, f"newcombe {other} {baseline}", baseline, other)
    assert (row["low"], row["high"]) == (pytest.approx(low, abs=6e-5), pytest.approx(high, abs=6e-5))


COUNTS = [
    ((1000, 30), (1000, 48)),
    ((500, 10), (480, 31)),
    ((200, 60), (210, 55)),
    ((10_000, 400), (9_900, 405)),
    ((40, 1), (60, 0)),
    ((300, 290), (310, 309)),
    ((30_000, 600), (30_000, 740)),
]


@pytest.mark.parametrize(("baseline", "other"), COUNTS)
def test_rates_lift_and_p_are_as_computed_by_others(
    client: Client, baseline: tuple[int, int], other: tuple[int, int]
) -> None:
    row = one(client, f"counts {baseline} {other}", baseline, other)
    (n0, x0), (n1, x1) = baseline, other
    assert (row["delivered"], row["reached"]) == other
    assert row["rate"] == pytest.approx(x1 / n1)
    assert row["lift"] == pytest.approx((x1 / n1) / (x0 / n0) - 1)
    assert row["p_value"] == pytest.approx(p_of(n0, x0, n1, x1), abs=1e-12)
    own = float(str(client.command(f"SELECT proportionsZTest({x1}, {x0}, {n1}, {n0}, 0.95, 'pooled').2")))
    assert isnan(own) == (x1 == 0)  # what our formula is for: it answers where nobody was reached
    assert isnan(own) or row["p_value"] == pytest.approx(own, abs=1e-9)
    assert row["corrected_p"] == row["p_value"]  # one comparison needs no correction
    assert row["needed"] == needed_of(n0, x0, n1, x1)
    assert row["missing"] == max(0, row["needed"] - min(n0, n1))


@pytest.mark.parametrize(
    ("baseline", "other", "needed_for"),
    [
        ((10_000, 2500), (10_000, 4000), "seen"),  # Fleiss, table A.3 without its correction: 152
        ((10_000, 2500), (10_000, 2600), "fifth"),
        ((10_000, 2500), (10_000, 2400), "fifth"),
        ((10_000, 8800), (10_000, 8900), "fifth"),  # a fifth more would be over 100 %
    ],
)
def test_the_needed_sample_is_that_of_clickhouses_own_function(
    client: Client, baseline: tuple[int, int], other: tuple[int, int], needed_for: str
) -> None:
    row = one(client, f"needed {baseline} {other}", baseline, other)
    first, second = baseline[1] / baseline[0], other[1] / other[0]
    up = second >= first and first * 1.2 <= 1
    size = second - first if needed_for == "seen" else first / 5 * (1 if up else -1)
    lower = min(first, first + size)
    own = client.query(f"SELECT minSampleSizeConversion({lower}, {abs(size)}, 0.8, 0.05).1").result_rows[0][0]
    assert row["needed"] in (ceil(own - 1e-6), ceil(own))
    assert row["needed_for"] == needed_for
    if second == 0.4:
        assert row["needed"] == 152


def test_below_five_expected_replies_of_each_there_is_no_winner(client: Client) -> None:
    row = one(client, "tiny", (15, 0), (15, 6))
    assert row["p_value"] < 0.05
    assert (row["needed"], row["outcome"]) == (25, "short")  # 6 of 30 answered: five are expected of 25


def test_more_than_two_variants_are_corrected_by_holm(client: Client) -> None:
    counts = {"A": (1000, 50), "B": (1000, 72), "C": (1000, 81), "D": (1000, 52), "E": (1000, 70)}
    put(client, "holm", counts)
    baseline, *rows = ask(client, "holm")
    assert (baseline["variant"], baseline["outcome"], baseline["corrected_p"]) == ("A", "baseline", None)
    single = {variant: p_of(*counts["A"], *counts[variant]) for variant in "BCDE"}
    ordered = sorted(single, key=lambda variant: single[variant])
    stepped = accumulate((min(1.0, (4 - place) * single[v]) for place, v in enumerate(ordered)), max)
    wanted = dict(zip(ordered, stepped, strict=True))
    assert {row["variant"]: row["corrected_p"] for row in rows} == pytest.approx(wanted, abs=1e-12)
    assert single["B"] < 0.05 < wanted["B"]  # alone it would have been taken for better
    assert {row["variant"]: row["needed"] for row in rows} == {
        variant: needed_of(*counts["A"], *counts[variant], comparisons=4) for variant in "BCDE"
    }


@pytest.mark.parametrize(
    ("baseline", "other", "outcome", "finding"),
    [
        ((1000, 30), (1000, 70), "better", "B is better than A"),
        ((1000, 70), (1000, 30), "worse", "A is better than B"),
        ((20_000, 1000), (20_000, 1010), "none", "No difference seen"),
        ((1000, 30), (1000, 32), "short", "Not enough data: 12,914 more each"),
        ((100, 2), (90, 9), "short", "B is ahead so far. Not enough data: 48 more each"),
        ((100, 0), (100, 0), "short", "Not enough data: no reply yet"),
        ((100, 100), (100, 100), "short", "Not enough data: all were reached"),
        ((100, 5), (0, 0), "short", "Not enough data: nothing delivered"),
        ((0, 0), (100, 5), "short", "Not enough data: nothing delivered"),
        ((0, 0), (0, 0), "short", "Not enough data: nothing delivered"),
    ],
)
def test_the_finding_says_what_is_known(
    client: Client, baseline: tuple[int, int], other: tuple[int, int], outcome: str, finding: str
) -> None:
    campaign = f"finding {baseline} {other}"
    put(client, campaign, {"A": baseline, "B": other}, bounced=2)
    first, row = ask(client, campaign)
    assert (first["finding"], row["outcome"], row["finding"]) == ("Baseline", outcome, finding)
    for value in (*first.values(), *row.values()):
        assert value == value, "a number that is none"  # NaN is not equal to itself
        assert value not in (float("inf"), float("-inf"))


def test_a_winner_needs_a_small_p_and_the_sample(client: Client) -> None:
    short = one(client, "small p, small sample", (200, 4), (200, 13))
    assert short["p_value"] < 0.05
    assert (short["missing"] > 0, short["outcome"]) == (True, "short")
    large = one(client, "large sample, large p", (30_000, 1500), (30_000, 1550))
    assert large["p_value"] > 0.05
    assert (large["missing"], large["outcome"]) == (0, "none")


def test_the_baseline_is_the_variant_called_control_or_the_first_by_name(client: Client) -> None:
    put(client, "control", {"A": (10, 1), "Control": (10, 1), "B": (10, 1)})
    assert [(row["variant"], row["baseline"]) for row in ask(client, "control")] == [
        ("Control", "Control"),
        ("A", "Control"),
        ("B", "Control"),
    ]
    put(client, "by name", {"short": (10, 1), "long": (10, 1)})
    assert {row["baseline"] for row in ask(client, "by name")} == {"long"}


def test_a_step_with_one_variant_is_no_test_and_emails_without_take_no_part(client: Client) -> None:
    put(client, "alone", {"A": (10, 1)})
    put(client, "alone", {"A": (10, 1), "": (10, 5)}, step=2)
    put(client, "alone", {"A": (10, 1), "B": (10, 5), "": (10, 5)}, step=3)
    assert [(row["step"], row["variant"]) for row in ask(client, "alone")] == [(3, "A"), (3, "B")]
    assert ask(client, "alone", steps=(1, 2)) == []


def test_the_three_metrics_stand_side_by_side(client: Client) -> None:
    put(client, "metrics", {"A": (100, 10), "B": (100, 20)})
    assert [(row["metric"], row["variant"]) for row in ask(client, "metrics", name="ab")] == [
        (metric, variant) for metric in ("reply", "click", "open") for variant in "AB"
    ]
    for metric, name in (("reply", "ab_replies"), ("click", "ab_clicks"), ("open", "ab_opens")):
        assert {row["metric"] for row in ask(client, "metrics", name=name)} == {metric}


def test_an_email_that_bounced_after_it_was_answered_is_no_success_among_the_delivered(client: Client) -> None:
    put(client, "late bounce", {"A": (2, 1), "B": (2, 4)}, bounced=2)
    _, row = ask(client, "late bounce")
    assert (row["delivered"], row["reached"], row["rate"]) == (2, 2, 1.0)


def test_the_summary_counts_tests_by_where_they_stand(client: Client) -> None:
    put(client, "stand 1", {"A": (1000, 30), "B": (1000, 70), "C": (1000, 30)})
    put(client, "stand 2", {"A": (20_000, 1000), "B": (20_000, 1010)})
    put(client, "stand 3", {"A": (100, 5), "B": (100, 6)})
    put(client, "stand 3", {"A": (100, 5), "B": (100, 6)}, step=2)
    rows = ask(client, "stand 1", "stand 2", "stand 3", name="ab_summary")
    assert [(row["state"], row["tests"]) for row in rows] == [
        ("Decided", 1),
        ("No difference seen", 1),
        ("Not enough data", 2),
    ]


def draw(
    client: Client, name: str, tests: int, *, size: int, rate: float, other: float | None = None, variants: int = 2
) -> list[dict[str, Any]]:
    """Tests by chance; the rows of all variants that are compared with another."""
    values = {"name": name, "tests": tests, "size": size, "variants": variants, "rate": rate}
    values |= {"other": rate if other is None else other, "at": "2026-03-02 09:00:00.000"}
    insert(client, _DRAW, values)
    names = [f"{name}{number:04}" for number in range(tests)]
    rows = [row for start in range(0, tests, 200) for row in ask(client, *names[start : start + 200])]
    assert len(rows) == tests * variants
    return [row for row in rows if row["outcome"] != "baseline"]


def test_where_there_is_no_difference_chance_is_taken_for_one_in_5_percent_at_most(client: Client) -> None:
    rows = draw(client, "same", 400, size=300, rate=0.3)
    found = sum(row["p_value"] < 0.05 for row in rows)
    assert 7 <= found <= 33  # 20, give or take three standard deviations
    assert sum(row["outcome"] in ("better", "worse") for row in rows) <= found


def test_four_variants_make_no_more_false_winners_than_two(client: Client) -> None:
    rows = draw(client, "four", 200, size=150, rate=0.3, variants=4)
    corrected = {row["campaign_id"] for row in rows if row["corrected_p"] < 0.05}
    alone = {row["campaign_id"] for row in rows if row["p_value"] < 0.05}
    assert len(corrected) <= 19  # 10, and three standard deviations
    assert len(alone) > 2 * len(corrected)  # what the correction is for


def test_with_the_needed_sample_a_difference_is_found_four_times_in_five(client: Client) -> None:
    size = needed_of(1000, 300, 1000, 400)
    rows = draw(client, "power", 250, size=size, rate=0.3, other=0.4)
    assert 181 <= sum(row["p_value"] < 0.05 for row in rows) <= 219  # 200, give or take three standard deviations

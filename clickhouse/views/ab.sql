-- Whether one variant of a step does better than another, or only seems to. A test is a step of a campaign that was
-- sent in at least two variants; emails that name none take no part. The baseline, which all others are compared with,
-- is the variant called `control`, else the first by name. Emails are those of the cohort (emails.sql), of the steps
-- chosen.
--
-- Of each variant and metric (`reply`, which decides, `click`, `open`; each by a person, each email once):
--   delivered      delivered emails that could show it: of opens those with a pixel, of clicks those with links
--   rate           reached of delivered
--   lift           how much larger the rate is than the baseline's, of the baseline's rate
--   difference     rate minus the baseline's rate; `low` and `high` are its 95 % interval by Newcombe's hybrid score
--                  method (Statistics in Medicine 17, 1998, 873-890, method 10), which holds for small numbers and for
--                  none at all, where the common one would be of width zero. Of each comparison by itself, not corrected for
--                  the step's others: `finding` says so where the interval leaves no difference out and the test does not
--   p_value        two-sided, of the z-test of two proportions with pooled variance: how often chance alone gives a
--                  difference at least as large. 1 where nobody or everybody was reached in both
--   corrected_p    by Holm (Scandinavian Journal of Statistics 6, 1979, 65-70) for the step's comparisons with its
--                  baseline: the chance to name even one variant falsely stays 5 %. The same with two variants. Steps
--                  and metrics are questions of their own
--   needed         delivered emails of each of the two for a power of 80 % at 5 % (two-sided, shared out among the
--                  step's comparisons), to find the difference seen, or a fifth of the baseline's rate where less was
--                  seen (Fleiss, Statistical Methods for Rates and Proportions, 3.2, without continuity correction);
--                  and so many that at least five of each are expected to be reached, and not to be
--                  (Cochran, Biometrics 10, 1954, 417-451), for below that the test does not hold
--   needed_for     which of the two differences that is: `seen` or `fifth`
--   missing        how many of the needed the smaller of the two still lacks
--   outcome        baseline, short, better, worse or none; `finding` says it in words. Better and worse only when
--                  nothing is missing and corrected_p is below 0.05

-- view: ab_rates
-- A row for each variant and metric, with the 95 % interval of its rate by Wilson (JASA 22, 1927, 209-212).
-- 1.959963984540054 is the normal distribution's 97.5th percentile, 3.841458820694124 its square.
SELECT
    campaign,
    step,
    variant,
    metric,
    base AS delivered,
    -- What bounced after it was opened is no success among the delivered.
    least(count_of_metric, delivered) AS reached,
    reached / nullIf(delivered, 0) AS rate,
    (reached + 3.841458820694124 / 2) / (delivered + 3.841458820694124) AS wilson_middle,
    1.959963984540054 * sqrt(reached * (1 - coalesce(rate, 0)) + 3.841458820694124 / 4)
        / (delivered + 3.841458820694124) AS wilson_half,
    wilson_middle - wilson_half AS rate_low,
    wilson_middle + wilson_half AS rate_high
FROM totals(
    by = 'variant',
    per = ['campaign', 'step', 'variant'],
    grains = ['day', 'hour'],
    together = 0,
    begin = {since:DateTime64(3, 'UTC')},
    since = {since:DateTime64(3, 'UTC')},
    until = {until:DateTime64(3, 'UTC')},
    campaigns = {campaigns:Array(String)},
    steps = {steps:Array(UInt8)},
    senders = [],
    unit = 'day',
    timezone = 'UTC'
) AS totals
ARRAY JOIN
    ['reply', 'click', 'open'] AS metric,
    [totals.delivered, delivered_with_links, delivered_with_pixel] AS base,
    [replied, clicked, opened_with_pixel] AS count_of_metric
WHERE variant != ''

-- view: ab_compared
-- The rates of a test's variants, each beside its baseline's.
SELECT
    *,
    if(is_baseline, NULL, rate - baseline_rate) AS difference,
    sqrt(pooled * (1 - pooled) * (1 / nullIf(delivered, 0) + 1 / nullIf(baseline_delivered, 0))) AS deviation,
    multiIf(isNull(difference), NULL, deviation = 0, 1, erfc(abs(difference) / deviation / sqrt(2))) AS p_value
FROM
(
    SELECT
        *,
        variant = baseline AS is_baseline,
        baseline_reached / nullIf(baseline_delivered, 0) AS baseline_rate,
        (reached + baseline_reached) / nullIf(delivered + baseline_delivered, 0) AS pooled
    FROM
    (
        SELECT
            *,
            first_value(variant) OVER step_and_metric AS baseline,
            first_value(delivered) OVER step_and_metric AS baseline_delivered,
            first_value(reached) OVER step_and_metric AS baseline_reached,
            first_value(rate_low) OVER step_and_metric AS baseline_low,
            first_value(rate_high) OVER step_and_metric AS baseline_high,
            count() OVER step_and_metric - 1 AS comparisons
        FROM ab_rates(
            since = {since:DateTime64(3, 'UTC')},
            until = {until:DateTime64(3, 'UTC')},
            campaigns = {campaigns:Array(String)},
            steps = {steps:Array(UInt8)}
        )
        WINDOW step_and_metric AS
        (
            PARTITION BY campaign, step, metric
            ORDER BY lower(variant) != 'control', variant
            ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING
        )
    )
)

-- view: ab_sized
-- `ab_compared`, with the sample that is needed. Step by step, a SELECT in another, because ClickHouse analyses what an alias
-- stands for at each mention: in one SELECT these few lines are four thousand functions.
SELECT
    *,
    needed - toInt64(if(delivered < baseline_delivered, delivered, baseline_delivered)) AS lacking,
    if(lacking < 0, 0, lacking) AS missing
FROM
(
    SELECT
        *,
        if(
            is_baseline OR isNull(for_power) OR isNull(for_validity),
            NULL,
            toInt64(ceil(if(for_power > for_validity, for_power, for_validity)))
        ) AS needed
    FROM
    (
        SELECT
            *,
            -- 0.8416212335729143 is the normal distribution's 80th percentile.
            pow(
                z * sqrt(2 * middle * (1 - middle))
                    + 0.8416212335729143 * sqrt(baseline_rate * (1 - baseline_rate) + target * (1 - target)),
                2
            ) / nullIf(pow(size, 2), 0) AS for_power,
            5 / nullIf(if(pooled < 0.5, pooled, 1 - pooled), 0) AS for_validity
        FROM
        (
            SELECT
                *,
                roughly + (erfc(roughly / sqrt(2)) / 2 - tail) * sqrt(2 * pi()) * exp(pow(roughly, 2) / 2) AS z,
                (baseline_rate + target) / 2 AS middle
            FROM
            (
                SELECT
                    *,
                    -- How far out the level lies that is left for each comparison: Abramowitz and Stegun 26.2.23, refined
                    -- once (Newton).
                    root - (2.515517 + 0.802853 * root + 0.010328 * pow(root, 2))
                        / (1 + 1.432788 * root + 0.189269 * pow(root, 2) + 0.001308 * pow(root, 3)) AS roughly,
                    baseline_rate + if(difference >= 0 AND baseline_rate + size <= 1, size, -size) AS target
                FROM
                (
                    SELECT
                        *,
                        row_number() OVER (
                            PARTITION BY campaign, step, metric ORDER BY is_baseline, coalesce(p_value, 1), variant
                        ) AS place,
                        0.05 / 2 / comparisons AS tail,
                        sqrt(-2 * log(tail)) AS root,
                        if(abs(difference) > baseline_rate / 5, abs(difference), baseline_rate / 5) AS size
                    FROM ab_compared(
                        since = {since:DateTime64(3, 'UTC')},
                        until = {until:DateTime64(3, 'UTC')},
                        campaigns = {campaigns:Array(String)},
                        steps = {steps:Array(UInt8)}
                    )
                    WHERE comparisons > 0
                )
            )
        )
    )
)

-- view: ab_tests
-- Every variant of every step that was sent in at least two, of the emails sent in the period, by metric. What the columns
-- mean stands at the head of the file. A SELECT in another as in ab_sized.
SELECT
    *,
    multiIf(
        is_baseline, 'Baseline',
        isNull(difference) AND metric = 'open', 'Not tracked: none delivered with a pixel',
        isNull(difference) AND metric = 'click', 'Not tracked: none delivered with links',
        isNull(difference), 'Not enough data: nothing delivered',
        isNull(missing) AND reached = 0, concat('Not enough data: no ', metric, ' yet'),
        isNull(missing), 'Not enough data: all were reached',
        missing > 0, concat(
            multiIf(low > 0, concat(variant, ' is ahead so far. '), high < 0, concat(baseline, ' is ahead so far. '), ''),
            'Not enough data: ', thousands, ' more each'
        ),
        outcome = 'none', concat(
            'No difference seen',
            if(low > 0 OR high < 0, concat(', corrected for ', toString(comparisons), ' comparisons'), '')
        ),
        outcome = 'better', concat(variant, ' is better than ', baseline),
        concat(baseline, ' is better than ', variant)
    ) AS finding
FROM
(
    SELECT
        *,
        multiIf(isNull(p_value), NULL, stepped_down > 1, 1, stepped_down) AS corrected_p,
        multiIf(
            is_baseline, 'baseline',
            isNull(missing) OR missing > 0, 'short',
            corrected_p >= 0.05, 'none',
            difference > 0, 'better',
            'worse'
        ) AS outcome
    FROM
    (
        SELECT
            *,
            difference / nullIf(baseline_rate, 0) AS lift,
            difference - sqrt(pow(rate - rate_low, 2) + pow(baseline_high - baseline_rate, 2)) AS low,
            difference + sqrt(pow(rate_high - rate, 2) + pow(baseline_rate - baseline_low, 2)) AS high,
            -- Holm: the smallest of m is held against 1/m of the level, the next against 1/(m - 1), until one does not pass.
            max((comparisons - place + 1) * coalesce(p_value, 1)) OVER (
                PARTITION BY campaign, step, metric ORDER BY place ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
            ) AS stepped_down,
            multiIf(isNull(needed), NULL, size > abs(difference), 'fifth', 'seen') AS needed_for,
            -- 1,234,567
            reverse(arrayStringConcat(extractAll(reverse(toString(assumeNotNull(missing))), '..?.?'), ',')) AS thousands
        FROM ab_sized(
            since = {since:DateTime64(3, 'UTC')},
            until = {until:DateTime64(3, 'UTC')},
            campaigns = {campaigns:Array(String)},
            steps = {steps:Array(UInt8)}
        )
    )
)

-- view: ab
-- Every variant of every step that was sent in at least two, of the emails sent in the period, by metric: `reply`,
-- which decides, `click` and `open`. Rates are of delivered. What the columns mean stands at the head of the file.
SELECT
    tests.campaign AS campaign_id,
    if(known.name = '', tests.campaign, known.name) AS campaign_name,
    tests.step AS step,
    concat('Step ', toString(tests.step)) AS step_name,
    variant,
    metric,
    baseline,
    delivered,
    reached,
    rate,
    lift,
    difference,
    low,
    high,
    p_value,
    corrected_p,
    needed,
    needed_for,
    missing,
    outcome,
    finding,
    -- And as people read it.
    if(isNull(difference), '–', printf('%+.1f to %+.1f pp', 100 * low, 100 * high)) AS interval,
    multiIf(isNull(corrected_p), '–', corrected_p < 0.001, '< 0.001', printf('%.3f', corrected_p)) AS p,
    multiIf(isNull(needed_for), '–', needed_for = 'seen', 'as seen', 'a fifth') AS to_find
FROM ab_tests(
    since = {since:DateTime64(3, 'UTC')},
    until = {until:DateTime64(3, 'UTC')},
    campaigns = {campaigns:Array(String)},
    steps = {steps:Array(UInt8)}
) AS tests
LEFT JOIN (SELECT id, name FROM campaigns FINAL) AS known ON known.id = tests.campaign
ORDER BY campaign_name, campaign_id, step, indexOf(['reply', 'click', 'open'], metric), variant != baseline, variant
LIMIT 3000

-- view: ab_replies
-- As `ab`, by emails that a person replied to, of delivered.
SELECT *
FROM ab(
    since = {since:DateTime64(3, 'UTC')},
    until = {until:DateTime64(3, 'UTC')},
    campaigns = {campaigns:Array(String)},
    steps = {steps:Array(UInt8)}
)
WHERE metric = 'reply'
ORDER BY campaign_name, campaign_id, step, variant != baseline, variant
LIMIT 1000

-- view: ab_clicks
-- As `ab`, by emails that a person clicked in, of delivered.
SELECT *
FROM ab(
    since = {since:DateTime64(3, 'UTC')},
    until = {until:DateTime64(3, 'UTC')},
    campaigns = {campaigns:Array(String)},
    steps = {steps:Array(UInt8)}
)
WHERE metric = 'click'
ORDER BY campaign_name, campaign_id, step, variant != baseline, variant
LIMIT 1000

-- view: ab_opens
-- As `ab`, by emails that a person opened, of delivered.
SELECT *
FROM ab(
    since = {since:DateTime64(3, 'UTC')},
    until = {until:DateTime64(3, 'UTC')},
    campaigns = {campaigns:Array(String)},
    steps = {steps:Array(UInt8)}
)
WHERE metric = 'open'
ORDER BY campaign_name, campaign_id, step, variant != baseline, variant
LIMIT 1000

-- view: ab_summary
-- How many tests there are among the emails sent in the period, and where they stand by their replies: a variant is
-- better than another, none differs from the baseline though there is data enough, or there is not. `share` is of all
-- tests. Always three rows.
SELECT
    ['Decided', 'No difference seen', 'Not enough data'][place] AS state,
    sum(is_test) AS tests,
    tests / nullIf(sum(tests) OVER (), 0) AS share
FROM
(
    SELECT
        multiIf(countIf(outcome IN ('better', 'worse')) > 0, 1, countIf(outcome = 'short') > 0, 3, 2) AS place,
        1 AS is_test
    FROM ab_tests(
        since = {since:DateTime64(3, 'UTC')},
        until = {until:DateTime64(3, 'UTC')},
        campaigns = {campaigns:Array(String)},
        steps = {steps:Array(UInt8)}
    )
    WHERE metric = 'reply'
    GROUP BY campaign, step
    UNION ALL
    SELECT number + 1, 0 FROM numbers(3)
)
GROUP BY place
ORDER BY place

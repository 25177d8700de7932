-- Whether one variant of a step does better than another, or only seems to. A test is a step of a campaign that was
-- sent in at least two variants; emails that name none take no part. The baseline, which all others are compared with,
-- is the variant called `control`, else the first by name. Emails are those of the cohort (emails.sql), of the steps
-- chosen.
--
-- Of each variant and metric (`reply`, which decides, `click`, `open`; each by a person, each email once):
--   rate           reached of delivered
--   lift           how much larger the rate is than the baseline's, of the baseline's rate
--   difference     rate minus the baseline's rate; `low` and `high` are its 95 % interval by Newcombe's hybrid score
--                  method (Statistics in Medicine 17, 1998, 873-890, method 10), which holds for small numbers and for
--                  none at all, where the common one would be of width zero
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

-- fragment: ab_variants
-- A row for each variant and metric, with the 95 % interval of its rate by Wilson (JASA 22, 1927, 209-212).
-- 1.959963984540054 is the normal distribution's 97.5th percentile, 3.841458820694124 its square.
SELECT
    campaign,
    step,
    variant,
    metric,
    delivered,
    -- What bounced after it was opened is no success among the delivered.
    least(count_of_metric, delivered) AS reached,
    reached / nullIf(delivered, 0) AS rate,
    (reached + 3.841458820694124 / 2) / (delivered + 3.841458820694124) AS wilson_middle,
    1.959963984540054 * sqrt(reached * (1 - coalesce(rate, 0)) + 3.841458820694124 / 4)
        / (delivered + 3.841458820694124) AS wilson_half,
    wilson_middle - wilson_half AS rate_low,
    wilson_middle + wilson_half AS rate_high
FROM
(
    SELECT
        campaign,
        step,
        variant,
        -- include: count_sums
    FROM
    (
        -- include: counted_emails
    ) AS counted
    WHERE variant != '' AND
        -- include: of_steps
    GROUP BY campaign, step, variant
)
ARRAY JOIN ['reply', 'click', 'open'] AS metric, [replied, clicked, opened] AS count_of_metric

-- fragment: ab_compared
-- Each beside its baseline.
SELECT
    *,
    first_value(variant) OVER step_and_metric AS baseline,
    variant = baseline AS is_baseline,
    first_value(delivered) OVER step_and_metric AS baseline_delivered,
    first_value(reached) OVER step_and_metric AS baseline_reached,
    first_value(rate_low) OVER step_and_metric AS baseline_low,
    first_value(rate_high) OVER step_and_metric AS baseline_high,
    baseline_reached / nullIf(baseline_delivered, 0) AS baseline_rate,
    count() OVER step_and_metric - 1 AS comparisons,
    if(is_baseline, NULL, rate - baseline_rate) AS difference,
    (reached + baseline_reached) / nullIf(delivered + baseline_delivered, 0) AS pooled,
    sqrt(pooled * (1 - pooled) * (1 / nullIf(delivered, 0) + 1 / nullIf(baseline_delivered, 0))) AS deviation,
    multiIf(isNull(difference), NULL, deviation = 0, 1, erfc(abs(difference) / deviation / sqrt(2))) AS p_value
FROM
(
    -- include: ab_variants
)
WINDOW step_and_metric AS
(
    PARTITION BY campaign, step, metric
    ORDER BY lower(variant) != 'control', variant
    ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING
)

-- fragment: ab_sized
-- With the sample that is needed.
SELECT
    *,
    row_number() OVER (
        PARTITION BY campaign, step, metric ORDER BY is_baseline, coalesce(p_value, 1), variant
    ) AS place,
    -- How far out the level lies that is left for each comparison: Abramowitz and Stegun 26.2.23, refined once (Newton).
    0.05 / 2 / comparisons AS tail,
    sqrt(-2 * log(tail)) AS root,
    root - (2.515517 + 0.802853 * root + 0.010328 * pow(root, 2))
        / (1 + 1.432788 * root + 0.189269 * pow(root, 2) + 0.001308 * pow(root, 3)) AS roughly,
    roughly + (erfc(roughly / sqrt(2)) / 2 - tail) * sqrt(2 * pi()) * exp(pow(roughly, 2) / 2) AS z,
    if(abs(difference) > baseline_rate / 5, abs(difference), baseline_rate / 5) AS size,
    baseline_rate + if(difference >= 0 AND baseline_rate + size <= 1, size, -size) AS target,
    (baseline_rate + target) / 2 AS middle,
    -- 0.8416212335729143 is the normal distribution's 80th percentile.
    pow(
        z * sqrt(2 * middle * (1 - middle))
            + 0.8416212335729143 * sqrt(baseline_rate * (1 - baseline_rate) + target * (1 - target)),
        2
    ) / nullIf(pow(size, 2), 0) AS for_power,
    5 / nullIf(if(pooled < 0.5, pooled, 1 - pooled), 0) AS for_validity,
    if(
        is_baseline OR isNull(for_power) OR isNull(for_validity),
        NULL,
        toInt64(ceil(if(for_power > for_validity, for_power, for_validity)))
    ) AS needed,
    needed - toInt64(if(delivered < baseline_delivered, delivered, baseline_delivered)) AS lacking,
    if(lacking < 0, 0, lacking) AS missing
FROM
(
    -- include: ab_compared
)
WHERE comparisons > 0

-- fragment: ab_tests
SELECT
    *,
    difference / nullIf(baseline_rate, 0) AS lift,
    difference - sqrt(pow(rate - rate_low, 2) + pow(baseline_high - baseline_rate, 2)) AS low,
    difference + sqrt(pow(rate_high - rate, 2) + pow(baseline_rate - baseline_low, 2)) AS high,
    -- Holm: the smallest of m is held against 1/m of the level, the next against 1/(m - 1), until one does not pass.
    max((comparisons - place + 1) * coalesce(p_value, 1)) OVER (
        PARTITION BY campaign, step, metric ORDER BY place ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
    ) AS stepped_down,
    multiIf(isNull(p_value), NULL, stepped_down > 1, 1, stepped_down) AS corrected_p,
    multiIf(isNull(needed), NULL, size > abs(difference), 'fifth', 'seen') AS needed_for,
    -- 1,234,567
    reverse(arrayStringConcat(extractAll(reverse(toString(assumeNotNull(missing))), '..?.?'), ',')) AS thousands,
    multiIf(
        is_baseline, 'baseline',
        isNull(missing) OR missing > 0, 'short',
        corrected_p >= 0.05, 'none',
        difference > 0, 'better',
        'worse'
    ) AS outcome,
    multiIf(
        is_baseline, 'Baseline',
        isNull(difference), 'Not enough data: nothing delivered',
        isNull(missing) AND reached = 0, concat('Not enough data: no ', metric, ' yet'),
        isNull(missing), 'Not enough data: all were reached',
        missing > 0, concat('Not enough data: ', thousands, ' more each'),
        outcome = 'none', 'No difference seen',
        outcome = 'better', concat(variant, ' is better than ', baseline),
        concat(baseline, ' is better than ', variant)
    ) AS finding
FROM
(
    -- include: ab_sized
)

-- fragment: ab_results
-- What the head of the file defines.
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
finding

-- fragment: ab_shown
-- And as people read it.
campaign AS campaign_id,
if(known.name = '', campaign, known.name) AS campaign_name,
step,
concat('Step ', toString(step)) AS step_name,
variant,
metric,
baseline,
-- include: ab_results
,
if(isNull(difference), '–', printf('%+.1f to %+.1f pp', 100 * low, 100 * high)) AS interval,
multiIf(isNull(corrected_p), '–', corrected_p < 0.001, '< 0.001', printf('%.3f', corrected_p)) AS p,
multiIf(isNull(needed_for), '–', needed_for = 'seen', 'as seen', 'a fifth') AS to_find

-- fragment: ab_asked
-- The emails sent in the period, variant by variant.
WITH
    -- include: period
    ,
    -- include: each_by_itself
    ,
    -- include: held
SELECT
    -- include: ab_shown
FROM
(
    -- include: ab_tests
) AS tests
LEFT JOIN
(
    -- include: names
) AS known ON known.id = campaign

-- name: ab
-- Every variant of every step that was sent in at least two, of the emails sent in the period, by metric: `reply`,
-- which decides, `click` and `open`. Rates are of delivered. What the columns mean stands at the head of the file.
-- include: ab_asked
ORDER BY campaign_name, campaign_id, step, indexOf(['reply', 'click', 'open'], metric), variant != baseline, variant
LIMIT 3000

-- name: ab_replies
-- As `ab`, by emails that a person replied to, of delivered.
-- include: ab_asked
WHERE metric = 'reply'
ORDER BY campaign_name, campaign_id, step, variant != baseline, variant
LIMIT 1000

-- name: ab_clicks
-- As `ab`, by emails that a person clicked in, of delivered.
-- include: ab_asked
WHERE metric = 'click'
ORDER BY campaign_name, campaign_id, step, variant != baseline, variant
LIMIT 1000

-- name: ab_opens
-- As `ab`, by emails that a person opened, of delivered.
-- include: ab_asked
WHERE metric = 'open'
ORDER BY campaign_name, campaign_id, step, variant != baseline, variant
LIMIT 1000

-- name: ab_summary
-- How many tests there are among the emails sent in the period, and where they stand by their replies: a variant is
-- better than another, none differs from the baseline though there is data enough, or there is not. `share` is of all
-- tests. Always three rows.
WITH
    -- include: period
    ,
    -- include: each_by_itself
    ,
    -- include: held
SELECT
    ['Decided', 'No difference seen', 'Not enough data'][place] AS state,
    sum(is_test) AS tests,
    tests / nullIf(sum(tests) OVER (), 0) AS share
FROM
(
    SELECT
        multiIf(countIf(outcome IN ('better', 'worse')) > 0, 1, countIf(outcome = 'short') > 0, 3, 2) AS place,
        1 AS is_test
    FROM
    (
        -- include: ab_tests
    )
    WHERE metric = 'reply'
    GROUP BY campaign, step
    UNION ALL
    SELECT number + 1, 0 FROM numbers(3)
)
GROUP BY place
ORDER BY place

-- Who runs the mailboxes of a domain: what the boards call a recipient's provider. The rows are those of providers.tsv, which
-- `sendlens migrate` inserts whenever the file changes, as of 1970: they overrule no row of the operator's.
--
-- Only domains that a provider gives its own mailboxes are there. A company's own domain may be hosted by Google, Microsoft
-- or another, which its MX alone tells, and Sendlens asks no MX: rows may be added for those one knows (source `own`).
CREATE TABLE IF NOT EXISTS providers (
    domain String COMMENT 'in lower case',
    provider LowCardinality(String),
    source String COMMENT 'where it is said; own, of a row that the operator added',
    stored_at DateTime64(3, 'UTC') DEFAULT now64(3),
    CONSTRAINT names_a_domain CHECK domain != '' AND domain = lower(domain) AND provider != ''
)
ENGINE = ReplacingMergeTree(stored_at)
ORDER BY domain
COMMENT 'Who runs the mailboxes of a domain. The newest row of a domain wins.';

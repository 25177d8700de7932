-- What a hit's user agent and address are known as: "Googlebot", "Proofpoint". Written by the judge, which looks both up
-- anyway, so that the boards count by name without the rules' data. Events from before have neither until they are judged
-- again (`sendlens reclassify`).
ALTER TABLE events
    ADD COLUMN IF NOT EXISTS agent LowCardinality(String) AFTER user_agent,
    ADD COLUMN IF NOT EXISTS network LowCardinality(String) AFTER ip;

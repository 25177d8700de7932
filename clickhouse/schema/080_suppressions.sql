-- What made a fact known, and who suppressed an address or a domain by hand.

ALTER TABLE lead_facts ADD COLUMN IF NOT EXISTS source LowCardinality(String) COMMENT 'what made it known: bounce, complaint, page, one-click, mail, import, api or whatever the import says';

ALTER TABLE lead_facts COMMENT COLUMN fact 'unsubscribed, invalid, complained, suppressed, replied or erased';

ALTER TABLE lead_facts COMMENT COLUMN of 'lead, address, domain or hashed-lead';

ALTER TABLE lead_facts COMMENT COLUMN lead 'the lead''s id, or the keyed hash of an address, a domain or an erased lead: see of';

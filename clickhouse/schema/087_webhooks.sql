-- What webhooks are told besides: who replied, and to whom an email went where an endpoint asks for it.

ALTER TABLE events
    ADD COLUMN IF NOT EXISTS recipient String
        COMMENT 'of a sent event, the address, kept for webhooks that ask for it and only where SENDLENS_WEBHOOKS_TO says so' AFTER wrapped_links,
    ADD COLUMN IF NOT EXISTS from_address String COMMENT 'of a reply, the address in From' AFTER text;

ALTER TABLE webhooks ADD COLUMN IF NOT EXISTS with_to Bool COMMENT 'whether it is told the address that an email went to' AFTER kinds;

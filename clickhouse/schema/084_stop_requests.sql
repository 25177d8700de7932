-- Replies that ask for no more mail, and whether a campaign acts on them.

ALTER TABLE events
    ADD COLUMN IF NOT EXISTS asks_to_stop Bool COMMENT 'of a reply: the person asks for no more mail' AFTER text,
    ADD COLUMN IF NOT EXISTS stop_phrase String COMMENT 'of such a reply, the words that ask for it' AFTER asks_to_stop,
    ADD COLUMN IF NOT EXISTS stop_line UInt16
        COMMENT 'of such a reply, the line of its text in which they begin, from 1; 0 is the subject' AFTER stop_phrase,
    COMMENT COLUMN via 'of an unsubscribe: page, one-click, mail, provider or reply; of a bounce: session or report';

ALTER TABLE rare_events
    ADD COLUMN IF NOT EXISTS asks_to_stop Bool AFTER text,
    ADD COLUMN IF NOT EXISTS stop_phrase String AFTER asks_to_stop,
    ADD COLUMN IF NOT EXISTS stop_line UInt16 AFTER stop_phrase;

ALTER TABLE campaigns
    ADD COLUMN IF NOT EXISTS unsubscribe_on_reply Bool
        COMMENT 'who asks in a reply for no more mail is unsubscribed' AFTER bounce_min_sends;

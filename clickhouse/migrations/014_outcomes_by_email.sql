-- The old one. A migration of its own, so that 013 can be run again when killed.
DROP TABLE IF EXISTS outcomes_by_email;

-- Leads are looked for by their address (GET of its keyed hash), and lead_emails is sorted by lead. Among 14 million emails
-- the filter leaves some 60 granules of 256 rows for an address, and takes 26 MB.
ALTER TABLE lead_emails ADD INDEX IF NOT EXISTS by_address address TYPE bloom_filter(0.001) GRANULARITY 1;

ALTER TABLE lead_emails MATERIALIZE INDEX by_address;

-- Where there are events already, what is derived from them is made before `sendlens migrate` is done.
INSERT INTO rebuilding (campaign) SELECT '' FROM events LIMIT 1;

-- What `sendlens token-keys` asks.

-- name: token_keys_alive
-- Processes that reported lately, and the keys that each knew when it last did.
SELECT role, instance, groupUniqArrayIf(kind, name = 'sendlens_token_key' AND is_last) AS keys
FROM (
    SELECT role, instance, name, kind, at = max(at) OVER (PARTITION BY role, instance) AS is_last
    FROM samples
    WHERE at > now() - {seconds:UInt32} AND role != 'clickhouse'
)
GROUP BY role, instance
ORDER BY role, instance

-- Dated as in figures.sql; a request is received on one day and answered on another.
WITH dated AS (
    SELECT outcome, deadline_on,
        (received_at AT TIME ZONE zone)::date AS received,
        (coalesce(answered_at, closed_at) AT TIME ZONE zone)::date AS ended
    FROM dsar_dsarrequest, LATERAL (SELECT coalesce(clock_terms ->> 'zone', %(zone)s) AS zone) AS begun_with
    WHERE tenant_id = %(tenant)s AND received_at < %(to)s::date + 2
), happened AS (
    SELECT received AS day, 1 AS came, 0 AS on_time, 0 AS late FROM dated
    UNION ALL
    SELECT ended, 0, (deadline_on IS NULL OR ended <= deadline_on)::int, (ended > deadline_on)::int
    FROM dated WHERE outcome IN ('completed', 'partially_completed', 'no_data', 'rejected')
)
SELECT to_char(day, %(spelled)s), sum(came), sum(on_time), sum(coalesce(late, 0))
FROM happened WHERE day BETWEEN %(from)s AND %(to)s GROUP BY 1

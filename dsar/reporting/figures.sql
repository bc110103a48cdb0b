WITH dated AS (
    SELECT regulation, request_type, outcome, deadline_on, extended_at,
        %(metrics)s::jsonb ->> request_type AS metric,
        (received_at AT TIME ZONE zone)::date AS received,
        (coalesce(answered_at, closed_at) AT TIME ZONE zone)::date AS ended
    FROM dsar_dsarrequest, LATERAL (SELECT coalesce(clock_terms ->> 'zone', %(zone)s) AS zone) AS begun_with
    WHERE tenant_id = %(tenant)s AND received_at < %(to)s::date + 2
), told AS (
    SELECT *,
        received BETWEEN %(from)s AND %(to)s AS came,
        ended BETWEEN %(from)s AND %(to)s AS went,
        ended BETWEEN %(from)s AND %(to)s
            AND outcome IN ('completed', 'partially_completed', 'no_data', 'rejected') AS answered,
        received <= %(to)s AND (ended IS NULL OR ended > %(to)s) AS waits
    FROM dated
)
SELECT regulation, request_type, metric, grouping(regulation, request_type, metric) AS left_out,
    count(*) FILTER (WHERE came) AS received,
    count(*) FILTER (WHERE went AND outcome = 'completed') AS in_whole,
    count(*) FILTER (WHERE went AND outcome = 'partially_completed') AS in_part,
    count(*) FILTER (WHERE went AND outcome = 'no_data') AS no_data,
    count(*) FILTER (WHERE went AND outcome = 'rejected') AS denied,
    count(*) FILTER (WHERE went AND outcome = 'withdrawn') AS withdrawn,
    count(*) FILTER (WHERE went AND outcome = 'duplicate') AS duplicates,
    count(*) FILTER (WHERE answered) AS answered,
    count(*) FILTER (WHERE answered AND (deadline_on IS NULL OR ended <= deadline_on)) AS on_time,
    count(*) FILTER (WHERE answered AND extended_at IS NOT NULL) AS extended,
    round((percentile_cont(0.5) WITHIN GROUP (ORDER BY ended - received) FILTER (WHERE answered))::numeric, 1)
        AS median_days,
    round(avg(ended - received) FILTER (WHERE answered), 1) AS mean_days,
    count(*) FILTER (WHERE waits) AS open_at_end,
    count(*) FILTER (WHERE waits AND deadline_on < %(late)s) AS overdue_at_end
FROM told
GROUP BY GROUPING SETS ((regulation, request_type), (regulation, metric), (regulation), (request_type), ())
ORDER BY regulation, request_type

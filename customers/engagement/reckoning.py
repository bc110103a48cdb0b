"""Reckoning how engaged customers are: all of them once a week, and in between those of whom something is new.

Figures fade by themselves (see health.py), so a customer of whom nothing is new is not touched. Where all that is new
happened after a customer's figures end, it is added to them. For everybody else, and once a week, everything they did
is looked at again. What was counted then lies at or before the end of the figures, and is never added twice: doing it
again changes nothing. What retention has taken since stays in the figures until the next whole reckoning; the figures
of who did nothing for long age by the class `metrics`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import connection

from customers.engagement import health
from customers.models import EngagementDay, EngagementProgress
from kaireon.lib.budget import Budget
from kaireon.lib.ids import lowest_uuid7
from kaireon.tenancy import context
from kaireon.tenancy.context import requires_transaction, transaction, without_transaction

WHOLE_EVERY = timedelta(days=7)
# A transaction that was open as long as this before the last reckoning is still seen by the next one.
OVERLAP = timedelta(hours=2)
_SLICE = 20_000
_FIRST = UUID(int=0)
# A customer, and the moment of the earliest new act, or nothing: in words, as they go back to PostgreSQL.
_Change = tuple[str, str]

# What came since, and what had come before under a date that was still ahead.
_NEWS = """
    SELECT customer_id, CASE WHEN kind = ANY(%(acts)s) THEN occurred_at END AS acted_at
      FROM public.customers_interaction WHERE tenant_id = %(tenant)s AND {interaction}
     UNION ALL
    SELECT customer_id, NULL FROM public.customers_consentrecord
     WHERE tenant_id = %(tenant)s AND {consent} AND customer_id IS NOT NULL"""
_CAME = "id >= %(since)s"
_CAME_TRUE = "id < %(since)s AND {0} > %(seen)s AND {0} <= %(at)s"
_WHO_CHANGED = f"""
SELECT customer_id::text, coalesce(min(acted_at)::text, '') FROM (
{_NEWS.format(interaction=_CAME, consent=_CAME)}
     UNION ALL
{_NEWS.format(interaction=_CAME_TRUE.format("occurred_at"), consent=_CAME_TRUE.format("recorded_at"))}) news
 GROUP BY customer_id ORDER BY customer_id
"""  # noqa: S608 - expressions of our own
_AT = "%(at)s::timestamptz"
# Who is being erased is waited for, and left out when gone.
_WHO = """who AS MATERIALIZED (
    SELECT id FROM public.customers_customer WHERE tenant_id = %(tenant)s AND {of} ORDER BY id FOR KEY SHARE
)"""
_AGE = health.sql_days(_AT, "i.occurred_at")
_SUMS_OF_ACTS = f"""
    SELECT i.customer_id, max(i.occurred_at) AS last_act_at, min(i.occurred_at) AS first_act_at,
           {health.sql_sum(_AGE, health.LIVELY_DAYS)} AS lively, {health.sql_sum(_AGE, health.STEADY_DAYS)} AS steady
      FROM public.customers_interaction i"""  # noqa: S608 - expressions of our own
_ACTS = "i.tenant_id = %(tenant)s AND i.kind = ANY(%(acts)s) AND i.occurred_at > %(from)s AND i.occurred_at <= %(at)s"
# Of two statements at one moment the withdrawal counts.
_OUTS = """newest AS (
    SELECT DISTINCT ON (c.customer_id, c.channel, c.purpose) c.customer_id, c.status
      FROM public.customers_consentrecord c JOIN who ON who.id = c.customer_id
     WHERE c.tenant_id = %(tenant)s AND c.recorded_at <= %(at)s
     ORDER BY c.customer_id, c.channel, c.purpose, c.recorded_at DESC, c.status = 'withdrawn' DESC
), outs AS (
    SELECT customer_id, count(*) AS opt_outs FROM newest WHERE status = 'withdrawn' GROUP BY customer_id
)"""
_OPT_OUTS = "least(coalesce(o.opt_outs, 0), 32767)"
_RECKON = f"""
WITH {_WHO}, acts AS ({_SUMS_OF_ACTS} JOIN who ON who.id = i.customer_id
     WHERE {{acted}} AND {_ACTS}
     GROUP BY i.customer_id
), {_OUTS}
INSERT INTO public.customers_engagementhealth AS h
       (id, tenant_id, customer_id, last_act_at, lively, steady, score, opt_outs, period_start, period_end, created_at)
SELECT gen_random_uuid(), %(tenant)s, customer_id, last_act_at, lively, steady, {health.sql_score("period_end")},
       opt_outs, period_start, period_end, period_end
  FROM (SELECT a.customer_id, a.last_act_at, a.lively, a.steady, a.first_act_at AS period_start,
               {_OPT_OUTS} AS opt_outs, {_AT} AS period_end
          FROM acts a LEFT JOIN outs o USING (customer_id)) figures
    ON CONFLICT (tenant_id, customer_id) DO UPDATE
       SET last_act_at = excluded.last_act_at, lively = excluded.lively, steady = excluded.steady,
           score = excluded.score, opt_outs = excluded.opt_outs,
           period_start = excluded.period_start, period_end = excluded.period_end
     WHERE h.period_end <= excluded.period_end
"""  # noqa: S608 - as above
# One text is a fiftieth of the work that thousands of values are on their way.
_IDS = "string_to_array(%(ids)s, ',')::uuid[]"
_ACTED = "string_to_array(%(acted)s, ',', '')::timestamptz[]"
_OF_THEM = "ANY(ARRAY(SELECT id FROM who))"
_SOME = _RECKON.format(of=f"id = ANY({_IDS})", acted=f"i.customer_id = {_OF_THEM}")
_RANGE = _RECKON.format(
    of="id > %(after)s AND id <= %(until)s", acted="i.customer_id > %(after)s AND i.customer_id <= %(until)s"
)
# What the two below join are thousands on either side, whatever PostgreSQL expects of rows that came since it looked:
# each beside each would take minutes.
_IN_ONE_GO = "SELECT set_config('enable_nestloop', 'off', true)"
# Of whom the earliest new act came after the figures end: what they were fades, and what came since is added. The last
# whole reckoning counted them too, or else there is nothing to add to. What somebody else changes meanwhile is left.
_PASSED = health.sql_days(_AT, "k.period_end")
_ADD = f"""
WITH {_WHO.format(of=f"id = ANY({_IDS})")}, known AS MATERIALIZED (
    SELECT customer_id, lively, steady, period_end FROM public.customers_engagementhealth
     WHERE tenant_id = %(tenant)s AND customer_id = {_OF_THEM}
), acts AS ({_SUMS_OF_ACTS} JOIN known k ON k.customer_id = i.customer_id AND i.occurred_at > k.period_end
     WHERE {_ACTS}
     GROUP BY i.customer_id
), {_OUTS}, figures AS (
    SELECT k.customer_id, k.period_end AS known_at, a.last_act_at, {_OPT_OUTS} AS opt_outs, {_AT} AS period_end,
           {health.sql_faded("k.lively", _PASSED, health.LIVELY_DAYS)} + a.lively AS lively,
           {health.sql_faded("k.steady", _PASSED, health.STEADY_DAYS)} + a.steady AS steady
      FROM known k JOIN acts a USING (customer_id) LEFT JOIN outs o USING (customer_id)
      JOIN unnest({_IDS}, {_ACTED}) news (customer_id, acted_at) USING (customer_id)
     WHERE k.period_end >= %(from)s AND k.period_end < news.acted_at
), scored AS (SELECT *, {health.sql_score("period_end")} AS score FROM figures)
UPDATE public.customers_engagementhealth h
   SET last_act_at = s.last_act_at, lively = s.lively, steady = s.steady, score = s.score, opt_outs = s.opt_outs,
       period_end = s.period_end
  FROM scored s
 WHERE h.tenant_id = %(tenant)s AND h.customer_id = {_OF_THEM}
   AND h.customer_id = s.customer_id AND h.period_end = s.known_at
RETURNING h.customer_id::text
"""  # noqa: S608 - as above
# The last one of the next slice.
_NEXT = """
SELECT max(id::text)::uuid, count(*) FROM (
    SELECT id FROM public.customers_customer WHERE tenant_id = %s AND id > %s ORDER BY id LIMIT %s) next
"""
# Each score is worked out once, whatever is asked of it, and from what each sum is by then: hence each OFFSET.
_SUMS = f"""
SELECT count(*), count(*) FILTER (WHERE score >= {health.ENGAGED_FROM}),
       count(*) FILTER (WHERE score >= {health.FADING_FROM} AND score < {health.ENGAGED_FROM}),
       count(*) FILTER (WHERE score < {health.FADING_FROM}), count(*) FILTER (WHERE opt_outs > 0),
       coalesce(avg(score), 0)::float8
  FROM (SELECT opt_outs, {health.sql_score_of("lively", "steady", "since")} AS score
          FROM (SELECT opt_outs, {health.sql_faded("lively", "passed", health.LIVELY_DAYS)} AS lively,
                       {health.sql_faded("steady", "passed", health.STEADY_DAYS)} AS steady, since
                  FROM (SELECT opt_outs, lively, steady, {health.sql_days(_AT, "period_end")} AS passed,
                               {health.sql_days(_AT, "last_act_at")} AS since
                          FROM public.customers_engagementhealth
                         WHERE tenant_id = %(tenant)s AND period_end <= %(at)s OFFSET 0) aged
                OFFSET 0) faded
        OFFSET 0) scored
"""  # noqa: S608 - as above


@dataclass(frozen=True, kw_only=True)
class Reckoned:
    """`whole`: of everybody. Of `looked_at` customers `reckoned` have figures. Not `done`: the next call goes on."""

    whole: bool
    looked_at: int
    reckoned: int
    done: bool


@without_transaction
def reckon(*, now: datetime, budget: Budget, whole: bool = False) -> Reckoned:
    """Bring the active tenant's figures up to now, some customers at a time, and sum them up for today.

    Whole when it is asked for, when the last whole one is a week old, and when one was begun. What does not fit into
    the budget is left for the next call.
    """
    with transaction():
        progress = EngagementProgress.objects.select_for_update().first() or EngagementProgress()
        is_whole = whole or progress.position is not None or is_due(progress, now)
        if is_whole and progress.position is None:
            progress.whole_began_at, progress.position = now, _FIRST
            progress.save()
    looked_at, reckoned, done = (_everybody if is_whole else _changed)(progress, now, budget)
    if done:
        with transaction():
            _finish(progress, now, whole=is_whole)
    return Reckoned(whole=is_whole, looked_at=looked_at, reckoned=reckoned, done=done)


@requires_transaction
def waiting(*, now: datetime) -> Reckoned:
    """What `reckon` would look at. Nothing changes."""
    progress = EngagementProgress.objects.first() or EngagementProgress()
    is_whole = progress.position is not None or is_due(progress, now)
    with connection.cursor() as cursor:
        if is_whole:
            sql = "SELECT count(*) FROM public.customers_customer WHERE tenant_id = %s AND id > %s"
            cursor.execute(sql, [context.tenant_id(), progress.position or _FIRST])
            (looked_at,) = cursor.fetchone()
        else:
            looked_at = len(_who_changed(progress, now))
    return Reckoned(whole=is_whole, looked_at=looked_at, reckoned=0, done=False)


def is_due(progress: EngagementProgress, now: datetime) -> bool:
    """Whether everybody is to be looked at again. Also when the clock was set back behind what was seen."""
    if progress.whole_at is None or progress.seen_until is None:
        return True
    return now - progress.whole_at >= WHOLE_EVERY or now < progress.seen_until


def _everybody(progress: EngagementProgress, now: datetime, budget: Budget) -> tuple[int, int, bool]:
    looked_at = reckoned = 0
    after = progress.position or _FIRST
    while not (budget.spent and looked_at):
        with transaction(), connection.cursor() as cursor:
            cursor.execute(_NEXT, [context.tenant_id(), after, _SLICE])
            until, count = cursor.fetchone()
            if not count:
                return looked_at, reckoned, True
            cursor.execute(_RANGE, _given(now) | {"after": after, "until": until})
            reckoned += cursor.rowcount
            EngagementProgress.objects.filter(pk=progress.pk).update(position=until)
        looked_at, after = looked_at + count, until
    return looked_at, reckoned, False


def _changed(progress: EngagementProgress, now: datetime, budget: Budget) -> tuple[int, int, bool]:
    with transaction():
        changed = _who_changed(progress, now)
    reckoned = 0
    for start in range(0, len(changed), _SLICE):
        if budget.spent and start:
            # Not noted as seen: the next call begins with the same ones.
            return start, reckoned, False
        reckoned += _reckon_again(changed[start : start + _SLICE], progress, now)
    return len(changed), reckoned, True


def _reckon_again(changed: Sequence[_Change], progress: EngagementProgress, now: datetime) -> int:
    """Of how many there are figures as of now: added to where that is enough, and made anew for everybody else."""
    ids, acted = ",".join(pk for pk, _ in changed), ",".join(moment for _, moment in changed)
    with transaction(), connection.cursor() as cursor:
        cursor.execute(_IN_ONE_GO)
        cursor.execute(_ADD, _given(now) | {"ids": ids, "acted": acted, "from": progress.whole_at})
        added = {pk for (pk,) in cursor.fetchall()}
        if left := [pk for pk, _ in changed if pk not in added]:
            cursor.execute(_SOME, _given(now) | {"ids": ",".join(left)})
        return len(added) + (int(cursor.rowcount) if left else 0)


def _who_changed(progress: EngagementProgress, now: datetime) -> Sequence[_Change]:
    assert progress.seen_until is not None  # noqa: S101 - or everybody is looked at
    with connection.cursor() as cursor:
        since = lowest_uuid7(progress.seen_until - OVERLAP)
        cursor.execute(_WHO_CHANGED, _given(now) | {"since": since, "seen": progress.seen_until})
        return [(pk, moment) for pk, moment in cursor.fetchall()]


def _given(now: datetime) -> dict[str, Any]:
    return {
        "tenant": context.tenant_id(),
        "at": now,
        "from": now - health.LOOK_BACK,
        "acts": list(health.ACTS),
    }


def _finish(progress: EngagementProgress, now: datetime, *, whole: bool) -> None:
    # Whatever came while it went on came after it had begun.
    began = progress.whole_began_at if whole else now
    if whole:
        progress.whole_at = began
    progress.seen_until, progress.position, progress.whole_began_at = began, None, None
    progress.save()
    with connection.cursor() as cursor:
        cursor.execute(_SUMS, {"tenant": context.tenant_id(), "at": now})
        customers, engaged, fading, dormant, opted_out, average = cursor.fetchone()
    EngagementDay.objects.update_or_create(
        day=now.date(),
        defaults={
            "computed_at": now,
            "customers": customers,
            "engaged": engaged,
            "fading": fading,
            "dormant": dormant,
            "opted_out": opted_out,
            "average": average,
        },
    )

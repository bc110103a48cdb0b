"""Reckoning how engaged customers are: all of them once a week, and in between those of whom something is new.

Everything a customer did is looked at again, so that doing it twice changes nothing. Figures fade by themselves (see
health.py), so a customer of whom nothing is new is not touched. What retention has taken since stays in the figures
until the next whole reckoning; the figures of who did nothing for long age by the class `metrics`.
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

_WHO_CHANGED = """
SELECT customer_id FROM public.customers_interaction WHERE tenant_id = %(tenant)s AND id >= %(since)s
 UNION
SELECT customer_id FROM public.customers_consentrecord
 WHERE tenant_id = %(tenant)s AND id >= %(since)s AND customer_id IS NOT NULL
 ORDER BY 1
"""
_AGE = health.sql_days("%(at)s::timestamptz", "i.occurred_at")
# Who is being erased is waited for, and left out when gone. Of two statements at one moment the withdrawal counts.
_RECKON = f"""
WITH who AS MATERIALIZED (
    SELECT id FROM public.customers_customer WHERE tenant_id = %(tenant)s AND {{of}} ORDER BY id FOR KEY SHARE
), acts AS (
    SELECT i.customer_id, max(i.occurred_at) AS last_act_at, min(i.occurred_at) AS first_act_at,
           {health.sql_sum(_AGE, health.LIVELY_DAYS)} AS lively, {health.sql_sum(_AGE, health.STEADY_DAYS)} AS steady
      FROM public.customers_interaction i JOIN who ON who.id = i.customer_id
     WHERE i.tenant_id = %(tenant)s AND {{acted}} AND i.kind = ANY(%(acts)s)
       AND i.occurred_at > %(from)s AND i.occurred_at <= %(at)s
     GROUP BY i.customer_id
), newest AS (
    SELECT DISTINCT ON (c.customer_id, c.channel, c.purpose) c.customer_id, c.status
      FROM public.customers_consentrecord c JOIN who ON who.id = c.customer_id
     WHERE c.tenant_id = %(tenant)s AND c.recorded_at <= %(at)s
     ORDER BY c.customer_id, c.channel, c.purpose, c.recorded_at DESC, c.status = 'withdrawn' DESC
), outs AS (
    SELECT customer_id, count(*) AS opt_outs FROM newest WHERE status = 'withdrawn' GROUP BY customer_id
)
INSERT INTO public.customers_engagementhealth AS h
       (id, tenant_id, customer_id, last_act_at, lively, steady, score, opt_outs, period_start, period_end, created_at)
SELECT gen_random_uuid(), %(tenant)s, customer_id, last_act_at, lively, steady, {health.sql_score("period_end")},
       opt_outs, period_start, period_end, period_end
  FROM (SELECT a.customer_id, a.last_act_at, a.lively, a.steady, a.first_act_at AS period_start,
               least(coalesce(o.opt_outs, 0), 32767) AS opt_outs, %(at)s::timestamptz AS period_end
          FROM acts a LEFT JOIN outs o USING (customer_id)) figures
    ON CONFLICT (tenant_id, customer_id) DO UPDATE
       SET last_act_at = excluded.last_act_at, lively = excluded.lively, steady = excluded.steady,
           score = excluded.score, opt_outs = excluded.opt_outs,
           period_start = excluded.period_start, period_end = excluded.period_end
     WHERE h.period_end <= excluded.period_end
"""  # noqa: S608 - expressions of our own
_SOME = _RECKON.format(of="id = ANY(%(ids)s)", acted="i.customer_id = ANY(%(ids)s)")
_RANGE = _RECKON.format(
    of="id > %(after)s AND id <= %(until)s", acted="i.customer_id > %(after)s AND i.customer_id <= %(until)s"
)
# The last one of the next slice.
_NEXT = """
SELECT max(id::text)::uuid, count(*) FROM (
    SELECT id FROM public.customers_customer WHERE tenant_id = %s AND id > %s ORDER BY id LIMIT %s) next
"""
# Each score is worked out once, whatever is asked of it: hence the OFFSET.
_SUMS = f"""
SELECT count(*), count(*) FILTER (WHERE score >= {health.ENGAGED_FROM}),
       count(*) FILTER (WHERE score >= {health.FADING_FROM} AND score < {health.ENGAGED_FROM}),
       count(*) FILTER (WHERE score < {health.FADING_FROM}), count(*) FILTER (WHERE opt_outs > 0),
       coalesce(avg(score), 0)::float8
  FROM (SELECT opt_outs, {health.sql_score("%(at)s::timestamptz")} AS score
          FROM public.customers_engagementhealth WHERE tenant_id = %(tenant)s AND period_end <= %(at)s OFFSET 0) scored
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
            looked_at = len(_who_changed(progress))
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
        who = _who_changed(progress)
    reckoned = 0
    for start in range(0, len(who), _SLICE):
        if budget.spent and start:
            # Not noted as seen: the next call begins with the same ones.
            return start, reckoned, False
        with transaction(), connection.cursor() as cursor:
            cursor.execute(_SOME, _given(now) | {"ids": who[start : start + _SLICE]})
            reckoned += cursor.rowcount
    return len(who), reckoned, True


def _who_changed(progress: EngagementProgress) -> Sequence[UUID]:
    assert progress.seen_until is not None  # noqa: S101 - or everybody is looked at
    with connection.cursor() as cursor:
        since = lowest_uuid7(progress.seen_until - OVERLAP)
        cursor.execute(_WHO_CHANGED, {"tenant": context.tenant_id(), "since": since})
        return [pk for (pk,) in cursor.fetchall()]


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

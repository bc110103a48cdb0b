"""The steps of an erasure as rows: which are done, how often one was tried, why it failed last."""

import json
from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import connection
from django.db.models import Max

from dsar.models import ErasureStep, Step, StepState
from kaireon.lib import clock
from kaireon.lib.ids import uuid7
from kaireon.tenancy import context
from kaireon.tenancy.context import requires_transaction
from kaireon.tenancy.managers import TenantQuerySet

ORDER: tuple[Step, ...] = tuple(Step)

# Asked many times in each erasure: of the last turn, in one trip.
_TABLE = "public.dsar_erasurestep"
_OF_TURN = f"""
    tenant_id = %(tenant)s AND request_id = %(request)s
    AND turn = (SELECT max(turn) FROM {_TABLE} WHERE tenant_id = %(tenant)s AND request_id = %(request)s)
"""  # noqa: S608 - names of our own
_BEGIN = f"""
INSERT INTO {_TABLE} (id, tenant_id, request_id, turn, position, name, state, attempts, error, counts, began_at)
SELECT step.id, %(tenant)s, %(request)s, 1, step.place - 1, step.name, %(waiting)s, (step.place = 1)::integer, '',
       '{{}}', CASE WHEN step.place = 1 THEN %(now)s::timestamptz END
  FROM unnest(%(ids)s::uuid[], %(names)s::text[]) WITH ORDINALITY step (id, name, place)
 WHERE NOT EXISTS (SELECT FROM {_TABLE} WHERE tenant_id = %(tenant)s AND request_id = %(request)s)
RETURNING name
"""  # noqa: S608 - as above
_BEGIN_NEXT = f"""
UPDATE {_TABLE} SET attempts = attempts + 1, began_at = %(now)s
 WHERE {_OF_TURN} AND position = (SELECT min(position) FROM {_TABLE} WHERE {_OF_TURN} AND state <> %(done)s)
RETURNING name
"""  # noqa: S608 - as above
# Those that are finished and the one that begins change in one statement.
_DONE = f"""
WITH step AS (
    SELECT id, finished.counts, finished.place,
           position = min(position) FILTER (WHERE state <> %(done)s AND finished.place IS NULL) OVER () AS begins
      FROM {_TABLE}
      LEFT JOIN unnest(%(names)s::text[], %(counts)s::jsonb[]) WITH ORDINALITY finished (name, counts, place)
     USING (name)
     WHERE {_OF_TURN}
)
UPDATE {_TABLE} target
   SET state = CASE WHEN place IS NULL THEN state ELSE %(done)s END,
       finished_at = CASE WHEN place IS NULL THEN finished_at ELSE %(now)s END,
       counts = CASE WHEN place IS NULL THEN target.counts ELSE step.counts END,
       error = CASE WHEN place IS NULL THEN error ELSE '' END,
       attempts = attempts + (place IS DISTINCT FROM 1)::integer,
       began_at = CASE WHEN place = 1 THEN began_at ELSE %(now)s END
  FROM step WHERE target.tenant_id = %(tenant)s AND target.id = step.id AND (place IS NOT NULL OR begins)
RETURNING CASE WHEN place IS NULL THEN name END
"""  # noqa: S608 - as above


@requires_transaction
def begin(request_id: UUID, *, now: datetime) -> Step | None:
    """The first step that is not done, with one attempt more; None when all are. Call it under the request's lock.

    Whoever comes first writes the steps down.
    """
    given = {"ids": [uuid7() for _ in ORDER], "names": [str(step) for step in ORDER], "waiting": str(StepState.WAITING)}
    first = _asked(_BEGIN, _named(request_id) | given | {"now": now})
    return first or _asked(_BEGIN_NEXT, _named(request_id) | {"done": str(StepState.DONE), "now": now})


@requires_transaction
def begin_turn(request_id: UUID) -> int:
    """Write down another turn: there is more to take. Its number."""
    turn = _last(request_id) + 1
    ErasureStep.objects.bulk_create(
        ErasureStep(request_id=request_id, turn=turn, position=position, name=name)
        for position, name in enumerate(ORDER)
    )
    return turn


@requires_transaction
def done(request_id: UUID, counts: Mapping[Step, dict[str, Any]], *, now: datetime) -> Step | None:
    """In the transaction of its effect; the next step begins with it. None when this was the last.

    `counts` of the step that had begun; and of those behind it that were found to have nothing to do.
    """
    given = {
        "names": [str(step) for step in counts],
        "counts": [json.dumps(said) for said in counts.values()],
        "done": str(StepState.DONE),
        "now": now,
    }
    return _asked(_DONE, _named(request_id) | given)


@requires_transaction
def failed(request_id: UUID, step: Step, *, code: str) -> None:
    """Its effect was rolled back, or is half there and goes on; a step that was done by then stays done."""
    _current(request_id).filter(name=step).exclude(state=StepState.DONE).update(state=StepState.FAILED, error=code[:64])


@requires_transaction
def reopen(request_id: UUID) -> None:
    """The turn begins anew: there is more to take than was seen."""
    _current(request_id).update(state=StepState.WAITING, finished_at=None)


@requires_transaction
def of(request_ids: Collection[UUID]) -> dict[UUID, list[dict[str, Any]]]:
    """The steps of these requests, in camelCase, in order."""
    found: dict[UUID, list[dict[str, Any]]] = {}
    for row in ErasureStep.objects.filter(request__in=request_ids).in_order():
        found.setdefault(row.request_id, []).append(
            {
                "turn": row.turn,
                "name": row.name,
                "state": row.state,
                "attempts": row.attempts,
                "error": row.error or None,
                "finishedAt": clock.rfc3339(row.finished_at) if row.finished_at else None,
                "counts": row.counts,
            }
        )
    return found


def _asked(statement: str, given: dict[str, Any]) -> Step | None:
    """The step that a statement began, beside those that it only finished."""
    with connection.cursor() as cursor:
        cursor.execute(statement, given)
        return next((Step(name) for (name,) in cursor.fetchall() if name), None)


def _named(request_id: UUID) -> dict[str, Any]:
    return {"tenant": context.tenant_id(), "request": request_id}


def _last(request_id: UUID) -> int:
    return int(ErasureStep.objects.filter(request=request_id).aggregate(last=Max("turn"))["last"] or 0)


def _current(request_id: UUID) -> Any:
    rows: TenantQuerySet[ErasureStep] = ErasureStep.objects.filter(request=request_id, turn=_last(request_id))
    return rows

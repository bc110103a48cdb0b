"""Writing down what went, in the transaction in which it goes."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import connection

from compliance.models import Disposition, Method
from compliance.purging.periods import Terms
from compliance.purging.sweeps import Sweep
from kaireon.lib import clock
from kaireon.lib.ids import uuid7
from kaireon.tenancy import context
from kaireon.tenancy.context import requires_transaction

_COLUMNS = [f.attname for f in Disposition._meta.concrete_fields]
# Whoever was first made the row; everybody after them adds to it, also one who continues where another was killed.
_COUNT = f"""
INSERT INTO public.compliance_disposition AS d ({", ".join(_COLUMNS)})
VALUES ({", ".join(f"%({column})s" for column in _COLUMNS)})
ON CONFLICT (tenant_id, run, data_class, entity, method, policy_class, policy_version) DO UPDATE
   SET rows = d.rows + excluded.rows, last_at = greatest(d.last_at, excluded.last_at),
       clock_from = least(d.clock_from, excluded.clock_from),
       clock_until = greatest(d.clock_until, excluded.clock_until)
"""  # noqa: S608 - columns of our own model


@dataclass(frozen=True, kw_only=True)
class Run:
    """One purge of the active tenant. `dry`: it only counts. Of a plan it bears the plan's id, whoever goes on.

    `done_by` is who began it, where that is somebody else than the job that does the work.
    """

    id: UUID = field(default_factory=uuid7)
    plan: UUID | None = None
    approved_by: str = ""
    approved_by_name: str = ""
    done_by: str = ""
    done_by_name: str = ""
    dry: bool = False


@requires_transaction
def count(run: Run, sweep: Sweep, rows: int, *, clock_from: datetime, clock_until: datetime) -> None:
    """Add rows of a sweep that this transaction deleted."""
    add(
        run,
        data_class=sweep.data_class,
        entity=sweep.entity.name,
        clock_column=sweep.clock,
        rows=rows,
        terms=sweep.terms,
        clock_from=clock_from,
        clock_until=clock_until,
    )


@requires_transaction
def add(
    run: Run,
    *,
    data_class: str,
    entity: str,
    clock_column: str,
    rows: int,
    terms: Terms | None,
    clock_from: datetime,
    clock_until: datetime,
    method: Method = Method.DELETED,
) -> None:
    """The same for what is no sweep's. Of no rows nothing is written."""
    if not rows:
        return
    here, now = context.current(), clock.now()
    values: dict[str, Any] = {
        "id": uuid7(),
        "tenant_id": context.tenant_id(),
        "run": run.id,
        "plan": run.plan,
        "data_class": data_class,
        "entity": entity,
        "method": method.value,
        "rows": rows,
        "clock": clock_column,
        "clock_from": clock_from,
        "clock_until": clock_until,
        "retention_days": terms.days if terms else None,
        "policy_version": terms.version if terms else 0,
        "policy_class": terms.policy_class if terms else "",
        "law": terms.law if terms else "",
        "approved_by": run.approved_by,
        "approved_by_name": run.approved_by_name,
        "done_by": run.done_by or here.actor.id[:64],
        "done_by_name": run.done_by_name or here.actor.name[:200],
        "first_at": now,
        "last_at": now,
    }
    with connection.cursor() as cursor:
        cursor.execute(_COUNT, values)

"""Who erases: `python -m tests.bench.erasure.worker TENANT`, told in JSON lines.

`{"tenant": true}` makes the tenant. `{"erase": number}` answers a request for erasure as a worker does: `seconds` is of
that alone, from the claim of its job to its end. `{"plain": number}` does the same to the same rows of that customer by
plain statements. Both give `rows`: how many were deleted, and `left`: how many are left. `{"tables": true}` names the
tables that plain statements write to.
"""

import sys
import time
from typing import Any
from uuid import UUID

import django

from tests.bench.talker import answer

_REQUESTS = "dsar_dsarrequest"
_TOMBSTONES = "customers_erasedsubject"
_KEYS = "audit_subjectkey"
# The key to the person's values in the log goes, or, where none was needed yet, none will ever be made.
_DESTROY = f"""
INSERT INTO {_KEYS} (id, tenant_id, subject_id, key_version, created_at, destroyed_at)
VALUES (%(key_id)s, %(tenant)s, %(customer)s::text, 0, now(), now())
ON CONFLICT (tenant_id, subject_id) DO UPDATE SET key_wrapped = NULL, destroyed_at = now()
"""


def main(tenant: str) -> None:
    django.setup()
    from django.db import connection

    from customers.catalogue import CATALOGUE, Erasure
    from customers.models import Customer
    from dsar.requests import services, subjects
    from kaireon.jobs import runner
    from kaireon.jobs.models import JobState
    from kaireon.lib import clock
    from kaireon.lib.ids import uuid7
    from kaireon.tenancy import tenants
    from kaireon.tenancy.context import Actor, scope, transaction

    actor = Actor.system("bench")
    deleted = [entity for entity in CATALOGUE if entity.erasure == Erasure.DELETE]
    deletes = [f"DELETE FROM {e.table} WHERE tenant_id = %(tenant)s AND {_column(e)} = %(customer)s" for e in deleted]
    others = (
        "UPDATE customers_consentrecord SET customer_id = NULL, source = '', subject_key = %(key)s"
        " WHERE tenant_id = %(tenant)s AND customer_id = %(customer)s",
        f"UPDATE {_REQUESTS} SET subject_sealed = NULL, notes_sealed = NULL, subject_key = '', pseudonym = %(name)s,"
        " state = 'completed', status = 'completed', outcome = 'completed', erased_at = now(), closed_at = now()"
        " WHERE tenant_id = %(tenant)s AND customer_ref = %(customer)s",
    )

    def filed(number: str) -> services.Filed:
        with transaction():
            return services.create_request(request_type="delete", subject_id=number, actor=actor, now=clock.now())

    def erased(number: str, customer: UUID) -> float:
        job = filed(number).job
        start = time.perf_counter()
        done = runner.run(job_id=job.pk)
        seconds = time.perf_counter() - start
        if done is None or done.state != JobState.DONE:
            raise RuntimeError(f"The erasure of {number} is not done.")
        return seconds

    def plainly(number: str, customer: UUID) -> float:
        filed(number)
        given = {"tenant": tenant, "customer": customer, "key": "v1:" + "0" * 64, "name": "erased-" + "0" * 32}
        start = time.perf_counter()
        with transaction(), connection.cursor() as cursor:
            for key in ("number", "email"):
                cursor.execute(
                    f"INSERT INTO {_TOMBSTONES} (id, tenant_id, subject_key, created_at, released_by,"
                    " released_by_name, reason) VALUES (%s, %s, %s, now(), '', '', '')",
                    [uuid7(), tenant, f"{key}:{customer}"],
                )
            # What refers to others goes first, as in the catalogue.
            for statement in (*others, *deletes, _DESTROY):
                cursor.execute(statement, {**given, "key_id": uuid7()})
        return time.perf_counter() - start

    def left(customer: UUID) -> int:
        with transaction(), connection.cursor() as cursor:
            counts = " + ".join(
                f"(SELECT count(*) FROM {e.table} WHERE tenant_id = %(tenant)s AND {_column(e)} = %(customer)s)"
                for e in deleted
            )
            cursor.execute(f"SELECT {counts}", {"tenant": tenant, "customer": customer})
            return int(cursor.fetchone()[0])

    def respond(order: dict[str, Any]) -> dict[str, Any]:
        if "tenant" in order:
            tenants.create_tenant(tenant_id=tenant, name=tenant, actor=actor)
            return {}
        if "tables" in order:
            return {
                "tables": sorted(
                    {*(e.table for e in deleted), "customers_consentrecord", _REQUESTS, _TOMBSTONES, _KEYS}
                )
            }
        with scope(tenant_id=tenant, actor=actor):
            number = order.get("erase") or order["plain"]
            with transaction():
                customer = Customer.objects.get(customer_id=number).pk
            before = left(customer)
            seconds = (erased if "erase" in order else plainly)(number, customer)
            after = left(customer)
            with transaction():
                assert subjects.resolve("customer_id", number) is None
        return {"seconds": seconds, "rows": before - after, "left": after}

    answer(respond)


def _column(entity: Any) -> str:
    return str(entity.model_class._meta.get_field(entity.subject).column)


if __name__ == "__main__":
    main(sys.argv[1])

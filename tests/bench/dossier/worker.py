"""Who answers: `python -m tests.bench.dossier.worker TENANT`, told in JSON lines.

`{"tenant": true}` makes the tenant. `{"export": number}` files a request about that customer and answers it as a worker
does: `seconds` is of the answer alone, from the claim of its job to its commit. `{"sql": number, "request": id}` writes
the same JSON to a file by hand-written SQL. Both give `rows`, `bytes`, and `mib`: the most memory the process ever had.
`{"same": request, "number": number}` sees to it that the two wrote the same.
"""

import hashlib
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import IO, Any

import django

from tests.bench.talker import answer

_MOMENT = """to_char({} AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') AS "{}\""""
_RECORDED = _MOMENT.format('"timestamp"', "timestamp")


class NotTheSame(RuntimeError):
    """The two dossiers differ in more than their moment."""


def main(tenant: str) -> None:
    django.setup()
    from django.db import connection, models

    from customers.catalogue import CATALOGUE
    from dsar.dossiers import export, keeping, writing
    from dsar.models import Dossier, DsarRequest
    from dsar.requests import services
    from kaireon.jobs import runner
    from kaireon.lib import clock
    from kaireon.tenancy import tenants
    from kaireon.tenancy.context import Actor, scope, transaction

    actor = Actor.system("bench")
    entities = {entity.section: entity for entity in CATALOGUE if entity.section}

    def selected(section: str) -> str:
        """The statement of a section."""
        if section == "auditLogs":
            return (
                f'SELECT id, seq, {_RECORDED}, action, entity_type AS "entityType",'
                ' entity_id AS "entityId", changes::json AS changes, actor_type AS "actorType" FROM audit_record'
                " WHERE tenant_id = %(tenant)s AND (entity_type, entity_id) IN (('DsarRequest', %(request)s),"
                " ('Customer', %(customer)s)) ORDER BY seq"
            )
        if section == "dsarRequests":
            return (
                'SELECT id, request_type AS "requestType", regulation, status, outcome FROM dsar_dsarrequest'
                " WHERE tenant_id = %(tenant)s AND id = %(request)s"
            )
        entity = entities[section]
        columns = []
        for name, path in entity.shown().items():
            if "__" in path:
                columns.append(f's.name AS "{name}"')
                continue
            field = entity.model_class._meta.get_field(path)
            if isinstance(field, models.DateTimeField):
                columns.append(_MOMENT.format(f"t.{field.column}", name))
            elif isinstance(field, models.DecimalField):
                columns.append(f't.{field.column}::text AS "{name}"')
            else:
                columns.append(f't.{field.column} AS "{name}"')
        joined = " JOIN customers_dynamicschema s ON s.id = t.schema_id" if section == "dynamicSchemaRows" else ""
        return (
            f"SELECT {', '.join(columns)} FROM {entity.table} t{joined}"
            f" WHERE t.tenant_id = %(tenant)s AND t.{entity.subject} = %(customer)s ORDER BY t.{entity.clock}, t.id"
        )

    statements = {
        section: f"COPY (SELECT row_to_json(r) FROM ({selected(section)}) r) TO STDOUT (FORMAT binary)"
        for section in writing.SECTIONS
    }

    def by_hand(file: IO[bytes], number: str, request: str) -> int:
        with export.one_moment(), connection.cursor() as cursor:
            found = "SELECT id FROM customers_customer WHERE tenant_id = %s AND customer_id = %s"
            cursor.execute(found, [tenant, number])
            (customer,) = cursor.fetchone()
            file.write(b'{"customerId": "' + number.encode() + b'", "encrypted": false, "data": {')
            counts = {}
            for section, statement in statements.items():
                given = {"tenant": tenant, "customer": customer, "request": request}
                file.write(b'"' + section.encode() + b'": [')
                rows = 0
                if section == "auditLogs":
                    given["customer"] = str(customer)
                with cursor.copy(statement, given) as copy:
                    copy.set_types(["text"])
                    for (row,) in copy.rows():
                        file.write((b"," if rows else b"") + row.encode())
                        rows += 1
                counts[section] = rows
                file.write(b"], ")
            file.write(b'"end": null}, "counts": ' + json.dumps(counts).encode() + b"}")
        return sum(counts.values())

    def exported(number: str) -> dict[str, Any]:
        with transaction():
            filed = services.create_request(request_type="export", subject_id=number, actor=actor, now=clock.now())
        start = time.perf_counter()
        runner.run(job_id=filed.job.pk)
        seconds = time.perf_counter() - start
        with transaction():
            request = DsarRequest.objects.get(pk=filed.request.pk)
            dossier = Dossier.objects.get(request=request)
        return {
            "seconds": seconds,
            "rows": sum(request.counts.values()),
            "bytes": dossier.size,
            "request": str(request.pk),
        }

    def digest_of(document: dict[str, Any]) -> str:
        # Their requests, and the records of these, change from one to the next.
        data = {s: rows for s, rows in document["data"].items() if s not in ("auditLogs", "dsarRequests", "end")}
        data["profile"] = [data["profile"]] if isinstance(data["profile"], dict) else data["profile"]
        return hashlib.sha256(json.dumps(data, sort_keys=True).encode()).hexdigest()

    def same(number: str, request: str) -> dict[str, Any]:
        with transaction():
            dossier = Dossier.objects.get(request=request)
        ours = digest_of(json.loads(b"".join(keeping.opened(dossier))))
        with tempfile.TemporaryFile() as file:
            by_hand(file, number, request)
            file.seek(0)
            if digest_of(json.load(file)) != ours:
                raise NotTheSame(number)
        return {"same": True}

    def respond(order: dict[str, Any]) -> dict[str, Any]:
        if "tenant" in order:
            tenants.create_tenant(tenant_id=tenant, name=tenant, actor=actor)
            return {}
        with scope(tenant_id=tenant, actor=actor):
            if "same" in order:
                return same(order["number"], order["same"])
            if "export" in order:
                done = exported(order["export"])
            else:
                with tempfile.TemporaryFile() as file:
                    start = time.perf_counter()
                    rows = by_hand(file, order["sql"], order["request"])
                    file.flush()
                    done = {"seconds": time.perf_counter() - start, "rows": rows, "bytes": file.tell()}
        return {**done, "mib": _most_memory()}

    answer(respond)


def _most_memory() -> float:
    """MiB."""
    return int(Path("/proc/self/status").read_text().partition("VmHWM:")[2].split()[0]) / 1024


if __name__ == "__main__":
    main(sys.argv[1])

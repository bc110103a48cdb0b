"""The floor: hand-written SQL that writes the same JSON to the same kind of place, in clear.

One transaction that sees one moment; PostgreSQL writes each section as JSON (`COPY (SELECT row_to_json(…)) TO STDOUT`),
rows under the same names and in the same order; a small package is then a row of a plain table, committed, a large
one a file in storage and such a row. No job, no audit, no seal, no state of a request.
"""

import json
import tempfile
from typing import IO, Any

from django.core.files.base import File
from django.core.files.storage import default_storage
from django.db import connection, models

from customers.catalogue import Entity, shown_in
from dsar.dossiers import keeping, writing
from kaireon.tenancy.context import transaction

# Made by subjects.load.
TABLE = "bench_package"

_MOMENT = """to_char({} AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') AS "{}\""""
# Whose changes are recorded row by row.
_RECORDED = {
    "Customer": "customers_customer WHERE id",
    **{
        model: f"customers_{model.lower()} WHERE customer_id"
        for model in (
            "ConsentRecord",
            "Suppression",
            "AttributionResult",
            "VariantAssignment",
            "IdentityLink",
            "JourneyEnrollment",
            "DynamicRow",
            "Attachment",
        )
    },
    "DsarRequest": "dsar_dsarrequest WHERE customer_ref",
}
_RECORDS = (
    "SELECT r.id, r.seq, "
    + _MOMENT.format('r."timestamp"', "timestamp")
    + ', r.action, r.entity_type AS "entityType", r.entity_id AS "entityId", r.changes, r.actor_type AS "actorType"'
    + " FROM ("
    + " UNION ALL ".join(
        f"SELECT '{kind}' AS kind, id::text AS id FROM {rows} = %(customer)s" for kind, rows in _RECORDED.items()
    )
    + ") mine JOIN audit_record r"
    " ON r.tenant_id = %(tenant)s AND r.entity_type = mine.kind AND r.entity_id = mine.id ORDER BY r.seq"
)
_REQUESTS = (
    'SELECT id, request_type AS "requestType", subject_type AS "subjectType", %(number)s AS "subjectId", regulation, '
    + _MOMENT.format("received_at", "receivedAt")
    + ', due_on AS "dueOn", status, outcome, '
    + _MOMENT.format("closed_at", "closedAt")
    + " FROM dsar_dsarrequest WHERE tenant_id = %(tenant)s AND customer_ref = %(customer)s ORDER BY requested_at, id"
)


def write(*, tenant: str, number: str) -> dict[str, Any]:
    """How many rows, and bytes; `read` gives what was written."""
    with tempfile.SpooledTemporaryFile(max_size=2 * keeping.MOST_IN_ROW) as file:
        with transaction(one_moment=True):
            rows = _read(file, tenant, number)
        size = file.tell()
        file.seek(0)
        name, content = "", b""
        if size <= keeping.MOST_IN_ROW:
            content = file.read()
        else:
            name = default_storage.save(f"bench/{number}", File(file))
        with transaction(), connection.cursor() as cursor:
            cursor.execute(f"INSERT INTO {TABLE} (number, name, content) VALUES (%s, %s, %s)", [number, name, content])
    return {"rows": rows, "bytes": size}


def read(number: str) -> dict[str, Any]:
    """What was last written of this customer."""
    with transaction(), connection.cursor() as cursor:
        cursor.execute(f"SELECT name, content FROM {TABLE} WHERE number = %s ORDER BY n DESC LIMIT 1", [number])
        name, content = cursor.fetchone()
    if name:
        with default_storage.open(name) as file:
            return dict(json.load(file))
    return dict(json.loads(bytes(content)))


def clear() -> None:
    """Take away what lies in storage."""
    if default_storage.exists("bench"):
        for name in default_storage.listdir("bench")[1]:
            default_storage.delete(f"bench/{name}")


def _read(file: IO[bytes], tenant: str, number: str) -> int:
    counts = {}
    with connection.cursor() as cursor:
        found = "SELECT id FROM customers_customer WHERE tenant_id = %s AND customer_id = %s"
        cursor.execute(found, [tenant, number])
        given = {"tenant": tenant, "number": number, "customer": cursor.fetchone()[0]}
        file.write(b'{"customerId": ' + json.dumps(number).encode() + b', "encrypted": false, "data": {')
        for section, statement in _STATEMENTS.items():
            file.write((b", " if counts else b"") + b'"' + section.encode() + b'": [')
            rows = 0
            with cursor.copy(statement, given) as copy:
                copy.set_types(["text"])
                for (row,) in copy.rows():
                    file.write((b"," if rows else b"") + row.encode())
                    rows += 1
            counts[section] = rows
            file.write(b"]")
        file.write(b'}, "counts": ' + json.dumps(counts).encode() + b"}")
    return sum(counts.values())


def _selected(section: str) -> str:
    if section in ("auditLogs", "dsarRequests"):
        return f"SELECT row_to_json(r) FROM ({_RECORDS if section == 'auditLogs' else _REQUESTS}) r"
    return " UNION ALL ".join(f"SELECT row_to_json(r) FROM ({_rows_of(entity)}) r" for entity in shown_in(section))


def _rows_of(entity: Entity) -> str:
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
    joined = " JOIN customers_dynamicschema s ON s.id = t.schema_id" if entity.section == "dynamicSchemaRows" else ""
    return (
        f"SELECT {', '.join(columns)} FROM {entity.table} t{joined}"
        f" WHERE t.tenant_id = %(tenant)s AND t.{entity.subject} = %(customer)s ORDER BY t.{entity.clock}, t.id"
    )


_STATEMENTS = {section: f"COPY ({_selected(section)}) TO STDOUT (FORMAT binary)" for section in writing.SECTIONS}

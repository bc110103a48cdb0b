"""The records of a dossier: what the audit log says of the subject's rows, with the subject's own sealed values opened.

Without our own people: who acted in office is not the subject's data (CJEU C-579/21, Pankki S). That goes for what the
rows themselves say of it too.
"""

import json
import re
from collections.abc import Iterable, Iterator
from functools import cache
from typing import Any

import orjson

from audit.models import AuditRecord
from audit.sealing import reveal, subject_keys
from customers import spelling
from customers.catalogue import CATALOGUE
from customers.entity import camel
from customers.models import Customer
from dsar.models import DsarRequest
from kaireon.lib.canonical import exact
from kaireon.tenancy.context import requires_transaction

REDACTED = {"redacted": True}
COLUMNS = ("id", "seq", "timestamp", "action", "entity_type", "entity_id", "changes", "actor_type")

# Their changes are recorded by the statement, not by the row.
_IN_BULK = frozenset({"Interaction", "InteractionSummary", "EngagementHealth", "DecisionTrace", "Delivery"})
# Columns that name who acted for the tenant, and what stands in their place.
_IN_OFFICE = re.compile(r"_by(_name)?$|^(assign|vouch)")
# What a record has to have in it, for any of its values to be replaced. Most have none of it.
_MAY_CHANGE = re.compile(rb'"sealed"|_by(_name)?"|"(assign|vouch)|[0-9.]{16}')


def select(customer: Customer | None) -> str:
    """The statement of the records, as customers/spelling.py takes it; `requests` are the subject's."""
    return _select(has_customer=customer is not None)


@requires_transaction
def own_key(customer: Customer | None) -> reveal.Keys:
    """The one key whose values are shown: what else stands in these records is somebody else's."""
    return {} if customer is None else subject_keys.of_subject(str(customer.pk))


def shown(blocks: Iterable[bytes], keys: reveal.Keys) -> Iterator[bytes]:
    """The records as the subject may see them."""
    for block in blocks:
        if _MAY_CHANGE.search(block):
            yield b"".join(spelling.BEFORE + _shown(row, keys) for row in block.split(spelling.BEFORE)[1:])
        else:
            yield block


@cache
def _select(*, has_customer: bool) -> str:
    mine = [f"SELECT '{DsarRequest.__name__}' AS kind, unnest(%(requests)s::text[]) AS id"]
    for entity in CATALOGUE if has_customer else ():
        kind = entity.model_class.__name__
        if entity.section and entity.section != "dsarRequests" and kind not in _IN_BULK:
            mine.append(f"SELECT '{kind}', id::text FROM ({entity.ids_select()}) t (id)")  # noqa: S608
    # Row by row through the index: the log holds all the others' records too.
    sql = f"""
        SELECT {", ".join(f"record.{column}" for column in COLUMNS)} FROM ({" UNION ALL ".join(mine)}) mine
         CROSS JOIN LATERAL (SELECT * FROM {AuditRecord._meta.db_table} found
                              WHERE found.tenant_id = %(tenant)s AND found.entity_type = mine.kind
                                AND found.entity_id = mine.id OFFSET 0) record
         ORDER BY record.seq
    """  # noqa: S608 - names of our own tables and columns
    return spelling.spelled(sql, {camel(column): spelling.field_of(AuditRecord, column) for column in COLUMNS})


def _shown(row: bytes, keys: reveal.Keys) -> bytes:
    if not _MAY_CHANGE.search(row):
        return row
    record = json.loads(row)
    record["changes"] = exact(_readable(record["entityType"], record["changes"], keys))
    return orjson.dumps(record)


def _readable(entity_type: str, changes: Any, keys: reveal.Keys) -> Any:
    shown = reveal.open_contents(entity_type, changes, keys).value if keys else changes
    if not isinstance(shown, dict):
        return shown
    return {column: REDACTED if _IN_OFFICE.search(column) else value for column, value in shown.items()}

"""Opening sealed values for somebody to see: who may, what becomes of those that cannot be opened, and its record."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from django.core.exceptions import PermissionDenied

from audit import services
from audit.models import AuditRecord
from audit.sealing import subject_keys
from audit.sealing.sealed import ERASED, Sealer, key_id_of
from kaireon.lib.sealing import CannotOpen
from kaireon.tenancy.context import requires_transaction
from kaireon.tenancy.principal import Principal
from kaireon.tenancy.roles import Permission

# What stands in place of a value that is there and cannot be opened now, because a key is missing or it was altered.
UNREADABLE = {"unreadable": True}


class MayNotReveal(PermissionDenied):
    """Sealed values are opened for those only who may read both the log and personal data: admins."""


@dataclass(frozen=True, kw_only=True)
class Opened:
    """A record's contents with its sealed values opened.

    A value whose subject was erased is `{"erased": true}`; one that cannot be opened is `{"unreadable": true}`.
    `columns` are those that something was opened in.
    """

    changes: Any
    before: Any
    after: Any
    columns: list[str]


def may_reveal(principal: Principal) -> bool:
    """Whether `opened` would open something for them: show the button only then."""
    return {Permission.READ_AUDIT, Permission.READ_PERSONAL} <= principal.permissions


def has_sealed(record: AuditRecord) -> bool:
    """Whether the record holds a sealed value at all: nothing is opened or recorded for one that does not."""
    return any(_keys_in(part) for part in (record.changes, record.before, record.after))


@requires_transaction
def opened(record: AuditRecord, *, principal: Principal) -> Opened:
    """Give the record's personal values in clear, and record that they were seen, as `audit_log.reveal`.

    For a page: on a POST, since it writes; show what it returns in that answer and keep it nowhere. The record itself
    is left as it is. What was seen is recorded by its columns, in the same transaction, without the values.
    Raises MayNotReveal.
    """
    if not may_reveal(principal):
        raise MayNotReveal("Only who may read both the audit log and personal data opens sealed values.")
    keys = keys_of([record.changes, record.before, record.after])
    shown = {name: open_contents(record.entity_type, getattr(record, name), keys) for name in _PARTS}
    columns = sorted({column for part in shown.values() for column in part.columns})
    if has_sealed(record):
        services.record(
            action="audit_log.reveal",
            entity_type="AuditRecord",
            entity_id=str(record.pk),
            changes={"seq": record.seq, "of": record.entity_type, "columns": columns},
        )
    return Opened(
        changes=shown["changes"].value, before=shown["before"].value, after=shown["after"].value, columns=columns
    )


@dataclass
class Part:
    """`changes`, `before` or `after` with its values opened, and the columns of those."""

    value: Any
    columns: list[str] = field(default_factory=list)


# The keys named in some contents: None of a destroyed one, absent of one that is missing or cannot be opened.
Keys = Mapping[UUID, Sealer | None]


@requires_transaction
def keys_of(parts: list[Any]) -> Keys:
    """The keys that sealed values in these `changes`, `before` and `after` name."""
    found: dict[UUID, Sealer | None] = {}
    for key_id in {key_id for part in parts for key_id in _keys_in(part)}:
        try:
            found |= subject_keys.by_id([key_id])
        except CannotOpen:
            # Shown as unreadable; the others are opened.
            continue
    return found


def open_contents(entity_type: str, contents: Any, keys: Keys) -> Part:
    """`changes`, `before` or `after` of a record with what these keys sealed opened."""
    part = Part(contents)
    if isinstance(contents, dict):
        part.value = {}
        for column, value in contents.items():
            name = f"{entity_type}.{column}"
            is_pair = isinstance(value, list) and len(value) == 2
            part.value[column] = [_open(v, name, keys) for v in value] if is_pair else _open(value, name, keys)
            if part.value[column] != value:
                part.columns.append(column)
    return part


_PARTS = ("changes", "before", "after")


def _open(value: Any, column: str, keys: Keys) -> Any:
    key_id = key_id_of(value)
    if key_id is None:
        return value
    if key_id not in keys:
        return UNREADABLE
    key = keys[key_id]
    if key is None:
        return ERASED
    try:
        return key.open(value, column=column)
    except CannotOpen:
        return UNREADABLE


def _keys_in(contents: Any) -> set[UUID]:
    if not isinstance(contents, dict):
        return set()
    values = [v for value in contents.values() for v in (value if isinstance(value, list) else [value])]
    return {key_id for value in values if (key_id := key_id_of(value)) is not None}

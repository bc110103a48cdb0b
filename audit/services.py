"""Writing to the log: verbs for changes to come, events that change no row, and draining the inbox."""

import json
from collections.abc import Sequence
from typing import Protocol

from django.db import DEFAULT_DB_ALIAS, connection, connections

from audit import sequencer
from kaireon.lib.canonical import exact
from kaireon.tenancy import trips
from kaireon.tenancy.context import requires_transaction


class Entity(Protocol):
    """Anything with a primary key; its record's entity type is its class's name."""

    @property
    def pk(self) -> object: ...


@requires_transaction
def action(verb: str, *, entity: Entity, entity_type: str = "") -> None:
    """Name the record that the next change of `entity` in this transaction brings, `dsar.create` for `create`."""
    trips.say(
        connections[DEFAULT_DB_ALIAS],
        "SELECT set_config('app.audit_actions', (coalesce(nullif(current_setting('app.audit_actions', true), ''),"
        " '{}')::jsonb || jsonb_build_object(%s::text, %s::text))::text, true)",
        [f"{entity_type or type(entity).__name__}:{entity.pk}", verb],
    )


@requires_transaction
def record(
    *,
    action: str,
    entity_type: str,
    entity_id: str,
    entity_name: str | None = None,
    changes: dict[str, object] | None = None,
    platform: bool = False,
) -> None:
    """Record what changes no row: a read, an export, a refusal. Never put personal values in.

    Commits or rolls back with the caller's transaction. `platform=True` writes to the log of no tenant. What no text of
    PostgreSQL can hold (NUL, half of a surrogate pair) becomes U+FFFD: an odd value from outside fails no request.
    """
    action, entity_type, entity_id, entity_name = map(exact, (action, entity_type, entity_id, entity_name))  # type: ignore[assignment]
    text = None if changes is None else json.dumps(exact(changes), allow_nan=False)
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT public.audit_event(%s, %s, %s, %s, %s, %s::jsonb)",
            [platform, action, entity_type, entity_id, entity_name, text],
        )


@requires_transaction
def record_each(
    *, action: str, entity_type: str, entity_ids: Sequence[str], changes: dict[str, object] | None = None
) -> None:
    """As `record`, the same of each of these entities, in their order and in one statement."""
    text = None if changes is None else json.dumps(exact(changes), allow_nan=False)
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT public.audit_event(false, %s, %s, id, NULL, %s::jsonb)"
            " FROM unnest(%s::text[]) WITH ORDINALITY given (id, place) ORDER BY place",
            [str(exact(action)), str(exact(entity_type)), text, [str(exact(given)) for given in entity_ids]],
        )


def drain(tenant_id: str, *, wholly: bool = False) -> int:
    """Sequence what the tenant's inbox holds now; returns how many records it made.

    Call it before the reader's transaction opens: readers then see their own writes. What cannot be sequenced waits on;
    `wholly` raises sequencer.LogStandsStill then, for who may not go on while something waits.
    """
    return sequencer.drain(tenant_id, wholly=wholly)

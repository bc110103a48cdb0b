"""manage.py export_rebase: let the numbers of transactions go on rising in a server that counts from the start."""

from typing import Any

import psycopg
from django.core.management.base import BaseCommand, CommandError
from psycopg import sql

from kaireon import env
from kaireon.tenancy import resolver

_NEWEST = """
SELECT greatest((SELECT max(arrival) FROM public.customers_interaction WHERE tenant_id = %(tenant)s),
                (SELECT max(arrival) FROM public.customers_exportcheckpoint WHERE tenant_id = %(tenant)s))
"""
_SET = """
CREATE OR REPLACE FUNCTION public.interaction_offset() RETURNS bigint LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS 'SELECT {}::bigint'
"""


class Command(BaseCommand):
    help = "After a restore into another server: put new interactions behind all that are there, for their export."

    def handle(self, *args: Any, **options: Any) -> None:
        if not env.OWNER_DATABASE_URL:
            raise CommandError("It needs OWNER_DATABASE_URL: the application's own role defines nothing.")
        try:
            with psycopg.connect(env.OWNER_DATABASE_URL, connect_timeout=5) as owner:
                self.stdout.write(_rebased(owner))
        except psycopg.OperationalError as error:
            raise CommandError("OWNER_DATABASE_URL does not connect. Run it again.") from error


def _rebased(owner: psycopg.Connection[Any]) -> str:
    # Nobody writes interactions from here to the commit: what they would have been numbered by changes.
    owner.execute("LOCK TABLE public.customers_interaction IN SHARE ROW EXCLUSIVE MODE")
    newest = max((_newest_of(owner, tenant) for tenant in resolver.active_tenants()), default=0)
    offset, next_one = _one(owner, "SELECT public.interaction_offset(), pg_current_xact_id()::text::bigint")
    if newest < offset + next_one:
        return "Nothing to do: new interactions come behind all that are there."
    needed = newest + 1 - next_one
    owner.execute(sql.SQL(_SET).format(sql.Literal(needed)))
    return f"New interactions come behind all that are there, by {needed - offset}."


def _newest_of(owner: psycopg.Connection[Any], tenant: str) -> int:
    # The owner is bound by the policies too.
    owner.execute("SELECT set_config('app.tenant_id', %s, true)", [tenant])
    return int(owner.execute(_NEWEST, {"tenant": tenant}).fetchall()[0][0] or 0)


def _one(owner: psycopg.Connection[Any], query: str) -> tuple[int, int]:
    [(first, second)] = owner.execute(query).fetchall()
    return first, second

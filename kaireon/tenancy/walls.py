"""The second lock, proved: reads the catalogues and tries the holes, as the roles the product really connects as.

`WALLS` names every wall with the function that looks for faults in it. Everything runs in transactions that are rolled
back, in under a second, against any size of database. Nothing here trusts the migrations: a policy dropped by hand
is found like one that was forgotten.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from django.db import DEFAULT_DB_ALIAS, DatabaseError, OperationalError, connections
from django.db import transaction as django_transaction
from django.db.backends.utils import CursorWrapper
from psycopg.sql import SQL, Composed, Identifier

SEQUENCER = "sequencer"
# A tenant's id is a slug, so nobody can ever have this one.
STRANGER = "!stranger"
INSUFFICIENT_PRIVILEGE = "42501"

# The sequencer's own tables, and nothing else.
SEQUENCERS = (
    "audit_arrival",
    "audit_checkpoint",
    "audit_cosignature",
    "audit_head",
    "audit_inbox",
    "audit_publication",
    "audit_record",
    "audit_subjectkey",
    "audit_tenantkey",
    "audit_tile",
)

# Unique over all tenants on purpose: by these a tenant is found before it is known. All are random and unguessable.
UNIQUE_EVERYWHERE = {
    "tenancy_apikey (prefix)": "finds the tenant of an API key",
    "tenancy_refreshtoken (token_hash)": "finds the tenant of a refresh token",
}

_TENANT_TABLES = """
WITH tables AS (SELECT c.oid, c.relname, c.relkind, c.relrowsecurity, c.relforcerowsecurity, c.relowner
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE n.nspname = 'public' AND c.relkind IN ('r', 'p')
   AND (c.relname = 'tenancy_tenant'
        OR EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attname = 'tenant_id' AND a.attnum > 0)))
"""


@dataclass(frozen=True)
class Wall:
    """One wall and what is wrong with it; nothing, when it stands."""

    name: str
    faults: list[str] = field(default_factory=list)

    @property
    def stands(self) -> bool:
        return not self.faults


class WallsDown(Exception):
    """Tenants are not kept apart in this database: do not serve it. `manage.py tenancy_selftest` names the faults."""


def inspect() -> list[Wall]:
    """Look at every wall. Raises django.db.OperationalError when a database cannot be reached."""
    return [Wall(name, sorted(find())) for name, find in WALLS.items()]


def require() -> None:
    """Raises WallsDown, with every fault, unless all walls stand."""
    if faults := [f"{wall.name}: {fault}" for wall in inspect() for fault in wall.faults]:
        raise WallsDown("; ".join(faults))


def role_attributes() -> Iterator[str]:
    """No role of ours is above the policies: no superuser, no BYPASSRLS, no way to make roles or databases."""
    with _cursor() as cursor:
        yield from _rows(
            cursor,
            _among_tenant_tables(
                "SELECT rolname || ' has ' || power FROM pg_roles, LATERAL (VALUES ('SUPERUSER', rolsuper),"
                " ('BYPASSRLS', rolbypassrls), ('CREATEROLE', rolcreaterole), ('CREATEDB', rolcreatedb),"
                " ('REPLICATION', rolreplication)) AS v (power, has)"
                " WHERE has AND (rolname = ANY(%s) OR oid IN (SELECT relowner FROM tables))"
            ),
            [list(_connected_roles())],
        )


def role_belongings() -> Iterator[str]:
    """The roles we connect as own nothing, are members of nothing and may create nothing."""
    for alias in (DEFAULT_DB_ALIAS, SEQUENCER):
        with _cursor(alias) as cursor:
            yield from _rows(
                cursor,
                "SELECT current_user || ' owns ' || relname FROM pg_class WHERE relowner = current_user::regrole"
                " UNION ALL SELECT current_user || ' owns function ' || proname FROM pg_proc"
                " WHERE proowner = current_user::regrole"
                " UNION ALL SELECT current_user || ' is a member of ' || roleid::regrole FROM pg_auth_members"
                " WHERE member = current_user::regrole"
                " UNION ALL SELECT current_user || ' may create in schema ' || nspname FROM pg_namespace"
                " WHERE nspname !~ '^pg_' AND has_schema_privilege(oid, 'CREATE')"
                " UNION ALL SELECT current_user || ' has ' || p || ' on the database' FROM unnest("
                " ARRAY['CREATE', 'TEMPORARY']) p WHERE has_database_privilege(current_database(), p)",
            )


def grants() -> Iterator[str]:
    """Rows are read and written, tables never emptied or referred to; the public has nothing."""
    with _cursor() as cursor:
        yield from _rows(
            cursor,
            "SELECT coalesce(nullif(a.grantee, 0)::regrole::text, 'PUBLIC') || ' has ' || a.privilege_type || ' on '"
            " || c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace, aclexplode(c.relacl) a"
            " WHERE n.nspname = 'public' AND c.relkind IN ('r', 'p', 'v', 'm') AND (a.grantee = 0"
            " OR (a.grantee = current_user::regrole"
            " AND a.privilege_type NOT IN ('SELECT', 'INSERT', 'UPDATE', 'DELETE')))",
        )
    with _cursor(SEQUENCER) as cursor:
        yield from _rows(
            cursor,
            "SELECT current_user || ' has ' || p || ' on ' || c.relname"
            " FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace,"
            " unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE', 'TRUNCATE']) p"
            " WHERE n.nspname = 'public' AND c.relkind IN ('r', 'p') AND NOT c.relname = ANY(%s)"
            " AND has_table_privilege(c.oid, p)",
            [list(SEQUENCERS)],
        )


def row_security() -> Iterator[str]:
    """On every table with a tenant, partitions too: enabled, forced, and with a policy."""
    with _cursor() as cursor:
        if not _rows(cursor, _among_tenant_tables("SELECT relname FROM tables")):
            yield "there is no tenant table: the migrations have not run"
        yield from _rows(
            cursor,
            _among_tenant_tables(
                "SELECT relname || ': ' || fault FROM tables, LATERAL (VALUES"
                " ('row-level security is not enabled', NOT relrowsecurity),"
                " ('row-level security is not forced on its owner', NOT relforcerowsecurity),"
                " ('has no policy', NOT EXISTS (SELECT FROM pg_policy WHERE polrelid = tables.oid))"
                " ) AS f (fault, is_so) WHERE is_so"
            ),
        )


def policies() -> Iterator[str]:
    """Whatever lets the application or the owner through asks current_tenant(), reading and writing."""
    with _cursor() as cursor:
        yield from _rows(
            cursor,
            "SELECT tablename || ': policy ' || policyname || ' lets ' || array_to_string(roles, ', ')"
            " || ' past the tenant' FROM pg_policies p WHERE schemaname = 'public' AND permissive = 'PERMISSIVE'"
            " AND EXISTS (SELECT FROM unnest(roles) r WHERE r = 'public' OR r = current_user OR r IN ("
            "  SELECT pg_get_userbyid(c.relowner) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
            "  WHERE n.nspname = 'public' AND c.relname = p.tablename))"
            " AND (coalesce(qual, with_check) !~ 'current_tenant\\(\\)'"
            "  OR coalesce(with_check, qual) !~ 'current_tenant\\(\\)')",
        )


def references() -> Iterator[str]:
    """A foreign key between tenant tables goes by (tenant_id, …): a plain one tells what other tenants have."""
    with _cursor() as cursor:
        yield from _rows(
            cursor,
            _among_tenant_tables(
                "SELECT c.conrelid::regclass || ': ' || c.conname || ' refers across tenants' FROM pg_constraint c"
                " WHERE c.contype = 'f' AND c.conrelid IN (SELECT oid FROM tables)"
                " AND c.confrelid IN (SELECT oid FROM tables WHERE relname <> 'tenancy_tenant')"
                " AND NOT EXISTS (SELECT FROM unnest(c.conkey, c.confkey) AS k (ours, theirs)"
                "  JOIN pg_attribute o ON o.attrelid = c.conrelid AND o.attnum = k.ours"
                "  JOIN pg_attribute t ON t.attrelid = c.confrelid AND t.attnum = k.theirs"
                "  WHERE o.attname = 'tenant_id' AND t.attname = 'tenant_id')"
            ),
        )


def uniqueness() -> Iterator[str]:
    """Unique within the tenant; else a conflict tells what other tenants have. Our random ids are the exception."""
    with _cursor() as cursor:
        cursor.execute(
            _among_tenant_tables(
                "SELECT t.relname, array_agg(coalesce(a.attname, '(expression)') ORDER BY k.n)"
                " FROM pg_index i JOIN tables t ON t.oid = i.indrelid"
                " CROSS JOIN unnest(i.indkey::int2[]) WITH ORDINALITY AS k (attnum, n)"
                " LEFT JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum AND k.attnum > 0"
                " WHERE i.indisunique AND k.n <= i.indnkeyatts GROUP BY i.indexrelid, t.relname"
            )
        )
        for table, columns in cursor.fetchall():
            named = f"{table} ({', '.join(columns)})"
            if columns[0] not in ("tenant_id", "id") and named not in UNIQUE_EVERYWHERE:
                yield f"{named} is unique across tenants"


def definer_functions() -> Iterator[str]:
    """What runs with its owner's rights looks names up nowhere else, and not everybody may call it."""
    with _cursor() as cursor:
        yield from _rows(
            cursor,
            "SELECT p.proname || ': ' || fault FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace"
            " JOIN pg_roles o ON o.oid = p.proowner, LATERAL (VALUES"
            " ('has no fixed search_path', NOT coalesce('search_path=pg_catalog, pg_temp' = ANY(p.proconfig), false)),"
            " ('may be executed by PUBLIC', p.proacl IS NULL OR EXISTS ("
            "   SELECT FROM aclexplode(p.proacl) a WHERE a.grantee = 0 AND a.privilege_type = 'EXECUTE')),"
            " ('runs as a superuser', o.rolsuper), ('runs above the policies', o.rolbypassrls)"
            " ) AS f (fault, is_so) WHERE n.nspname = 'public' AND p.prosecdef AND f.is_so",
        )


def triggers() -> Iterator[str]:
    """None of them is switched off."""
    with _cursor() as cursor:
        yield from _rows(
            cursor,
            "SELECT c.relname || ': trigger ' || t.tgname || ' is disabled' FROM pg_trigger t"
            " JOIN pg_class c ON c.oid = t.tgrelid JOIN pg_namespace n ON n.oid = c.relnamespace"
            " WHERE n.nspname = 'public' AND t.tgenabled = 'D'",
        )


def no_tenant_no_data() -> Iterator[str]:
    """With the setting unset or empty, asking for the tenant is refused instead of answered with nothing."""
    if not _is_refused("SELECT public.current_tenant()", tenant=""):
        yield "an empty app.tenant_id passes for a tenant"
    if not _is_refused("SELECT public.current_tenant()", tenant=None):
        yield "no app.tenant_id passes for a tenant"


def strangers_see_nothing() -> Iterator[str]:
    """A tenant that does not exist sees no row of any tenant table, asked directly and partition by partition."""
    for name, _ in _readable_tables():
        with _cursor(tenant=STRANGER) as cursor:
            cursor.execute(SQL("SELECT EXISTS (SELECT FROM public.{})").format(Identifier(name)))
            if cursor.fetchone() == (True,):
                yield f"{name}: shows rows to a tenant they do not belong to"


def strangers_write_nothing() -> Iterator[str]:
    """Nobody inserts a row for another tenant: refused by the policy, before any other rule looks at the row."""
    for name, kind in _readable_tables():
        column = "id" if name == "tenancy_tenant" else "tenant_id"
        insert = SQL("INSERT INTO public.{} ({}) VALUES (%s)").format(Identifier(name), Identifier(column))
        # A partitioned parent looks for the partition first; its partitions are tried themselves.
        if kind == "r" and not _is_refused(insert, "another"):
            yield f"{name}: takes rows for another tenant"


def forbidden_statements() -> Iterator[str]:
    """What would open a wall is refused to the application's role."""
    for statement in (
        "CREATE TEMPORARY TABLE audit_inbox (id int)",
        "CREATE TABLE public.tenancy_door (id int)",
        "CREATE SCHEMA tenancy_door",
        "ALTER TABLE public.tenancy_tenant DISABLE ROW LEVEL SECURITY",
        "ALTER TABLE public.tenancy_tenant NO FORCE ROW LEVEL SECURITY",
        "DROP POLICY tenant ON public.tenancy_tenant",
        "TRUNCATE public.tenancy_membership",
        "SET LOCAL session_replication_role = 'replica'",
        "SET LOCAL ROLE kaireon_owner",
        "SET LOCAL ROLE kaireon_resolver",
        "SET LOCAL ROLE kaireon_capture",
        "SET LOCAL ROLE kaireon_pruner",
        "ALTER ROLE CURRENT_USER BYPASSRLS",
    ):
        if not _is_refused(statement):
            yield f"allowed: {statement}"


WALLS: dict[str, Callable[[], Iterator[str]]] = {
    "role attributes": role_attributes,
    "role belongings": role_belongings,
    "grants": grants,
    "row security": row_security,
    "policies": policies,
    "references": references,
    "uniqueness": uniqueness,
    "definer functions": definer_functions,
    "triggers": triggers,
    "no tenant, no data": no_tenant_no_data,
    "strangers see nothing": strangers_see_nothing,
    "strangers write nothing": strangers_write_nothing,
    "forbidden statements": forbidden_statements,
}


def _connected_roles() -> Iterator[str]:
    for alias in (DEFAULT_DB_ALIAS, SEQUENCER):
        with _cursor(alias) as cursor:
            yield from _rows(cursor, "SELECT current_user::text")


def _readable_tables() -> list[tuple[str, str]]:
    with _cursor() as cursor:
        cursor.execute(
            _among_tenant_tables("SELECT relname, relkind::text FROM tables WHERE has_table_privilege(oid, 'SELECT')")
        )
        return [(name, kind) for name, kind in cursor.fetchall()]


@contextmanager
def _cursor(alias: str = DEFAULT_DB_ALIAS, *, tenant: str = "") -> Iterator[CursorWrapper]:
    """A cursor in a transaction of its own that is rolled back."""
    with django_transaction.atomic(using=alias), connections[alias].cursor() as cursor:
        cursor.execute("SELECT set_config('app.tenant_id', %s, true)", [tenant])
        yield cursor
        django_transaction.set_rollback(True, using=alias)


def _among_tenant_tables(query: str) -> str:
    """The query with `tables` in front of it: every table, partitioned or not, that holds a tenant's rows."""
    return _TENANT_TABLES + query


def _rows(cursor: CursorWrapper, query: str, parameters: list[Any] | None = None) -> list[str]:
    cursor.execute(query, parameters)
    return [row[0] for row in cursor.fetchall()]


def _is_refused(statement: str | Composed, *parameters: str, tenant: str | None = STRANGER) -> bool:
    """Whether PostgreSQL refuses for want of privilege. Any other outcome, an error included, is a hole."""
    try:
        with _cursor(tenant=tenant or "") as cursor:
            if tenant is None:
                cursor.execute("SET LOCAL app.tenant_id TO DEFAULT")
            cursor.execute(statement, parameters)
    except OperationalError:
        raise
    except DatabaseError as error:
        return getattr(error.__cause__, "sqlstate", None) == INSUFFICIENT_PRIVILEGE
    return False

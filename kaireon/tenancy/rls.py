"""The second lock, as migration operations: row-level security, references and partitions that keep tenants apart.

Every operation is SQL run as the owner. References are (tenant_id, id): a plain one tells whether another tenant's row
exists. FORCE is lifted while a reference is added, because the owner is bound by the policies too.
"""

from django.db.migrations.operations import RunSQL

OWNER = "kaireon_owner"
APP = "kaireon_app"
RESOLVER = "kaireon_resolver"

SELECT_ONLY = "SELECT"
READ_WRITE = "SELECT, INSERT, UPDATE, DELETE"
APPEND_ONLY = "SELECT, INSERT"


def tenant_table(table: str, grants: str = READ_WRITE, *, column: str = "tenant_id", resolver: bool = False) -> RunSQL:
    """Put a tenant's table behind row-level security, enabled and forced, and give the application its grants.

    `resolver=True` lets the resolver's functions look rows up across tenants (key → tenant and the like).
    The primary key stays `id`; `(tenant_id, id)` becomes unique so that others can refer to it.
    """
    return RunSQL(f"SELECT public.secure_tenant_table('{table}', '{column}', '{grants}', {str(resolver).lower()})", "")


def global_table(table: str, grants: str) -> RunSQL:
    """Grants on a table that belongs to no tenant."""
    return RunSQL(f'REVOKE ALL ON public."{table}" FROM PUBLIC, {APP}; GRANT {grants} ON public."{table}" TO {APP}', "")


def tenant_reference(table: str, column: str, target: str, *, on_delete: str = "NO ACTION") -> RunSQL:
    """A foreign key (tenant_id, column) → target (tenant_id, id), checked by the database, within the tenant."""
    return RunSQL(f"SELECT public.add_tenant_reference('{table}', '{column}', '{target}', '{on_delete}')", "")


def month_partitioned(table: str, column: str) -> RunSQL:
    """Turn a table that was just created, and is empty, into one partitioned by month of `column`.

    Call it before `tenant_table`. The key becomes (id, column). `public.partition_ensure(table, date)` creates the
    month's partition (its own policies, grants and statement triggers); without one, an insert is refused.
    """
    return RunSQL(f"SELECT public.partition_by_month('{table}', '{column}')", "")


def resolver_function(signature: str, returns: str, query: str) -> RunSQL:
    """A SECURITY DEFINER function of the resolver: one narrow question across tenants, for the application to ask."""
    name = signature.split("(", maxsplit=1)[0]
    arguments = signature[len(name) :]
    types = ", ".join(a.split()[-1] for a in arguments.strip("()").split(",") if a.strip())
    return RunSQL(
        f"""
        CREATE FUNCTION public.{name}{arguments} RETURNS {returns}
        LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$ {query} $$;
        REVOKE ALL ON FUNCTION public.{name}({types}) FROM PUBLIC;
        GRANT EXECUTE ON FUNCTION public.{name}({types}) TO {APP};
        ALTER FUNCTION public.{name}({types}) OWNER TO {RESOLVER};
        """,
        f"SET LOCAL ROLE {RESOLVER}; DROP FUNCTION public.{name}({types}); RESET ROLE",
    )

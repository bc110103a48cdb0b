"""The second lock: raw SQL as the application's role, with the tenant manager out of the way."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from typing import Any

import psycopg
import pytest
from psycopg import sql
from psycopg.errors import ForeignKeyViolation, InsufficientPrivilege, UniqueViolation

from tests.cast import ACME, ADA, GLOBEX
from tests.servers import SUITE

Row = dict[str, Any]

# Every table that holds a tenant's rows, partitions included.
TENANT_TABLES = """
SELECT c.relname, c.relkind::text AS kind, has_table_privilege('kaireon_app', c.oid, 'SELECT') AS readable
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE n.nspname = 'public' AND c.relkind IN ('r', 'p')
   AND EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attname = 'tenant_id' AND a.attnum > 0)
 ORDER BY c.relname
"""


@pytest.fixture
def app(db: str) -> Iterator[psycopg.Connection[Row]]:
    """A connection of the application's role, and nothing of Django."""
    with psycopg.connect(SUITE.urls(db)["default"], row_factory=psycopg.rows.dict_row) as connection:
        yield connection


@pytest.fixture
def root(superuser_url: str) -> Iterator[psycopg.Connection[Row]]:
    with psycopg.connect(superuser_url, autocommit=True, row_factory=psycopg.rows.dict_row) as connection:
        yield connection


@contextmanager
def as_tenant(app: psycopg.Connection[Row], tenant: str) -> Iterator[psycopg.Connection[Row]]:
    """A transaction in the tenant with an actor, rolled back at the end."""
    with app.transaction(force_rollback=True):
        app.execute(
            "SELECT set_config('app.tenant_id', %s, true), set_config('app.actor_type', 'user', true),"
            " set_config('app.actor_id', 'u', true), set_config('app.actor_name', 'Mallory', true)",
            [tenant],
        )
        yield app


@contextmanager
def refused(app: psycopg.Connection[Row], *errors: type[psycopg.Error]) -> Iterator[None]:
    """The statement inside fails for want of privilege; the transaction around it goes on."""
    with pytest.raises(errors or InsufficientPrivilege), app.transaction():
        yield


def tables(connection: psycopg.Connection[Row], kinds: str = "rp") -> list[str]:
    return [row["relname"] for row in connection.execute(TENANT_TABLES) if row["kind"] in kinds and row["readable"]]


class TestReading:
    def test_it_shows_each_tenant_its_own_rows(self, app: psycopg.Connection[Row]) -> None:
        for tenant, expected in ((ACME, {"ada", "ed", "aud", "vi"}), (GLOBEX, {"mallory"})):
            with as_tenant(app, tenant):
                assert {row["prefix"] for row in app.execute("SELECT prefix FROM tenancy_apikey")} == expected

    def test_it_shows_no_row_of_another_tenant_in_any_table(self, app: psycopg.Connection[Row]) -> None:
        with as_tenant(app, GLOBEX):
            for table in tables(app):
                query = sql.SQL("SELECT count(*) AS n FROM {} WHERE tenant_id <> %s").format(sql.Identifier(table))
                assert app.execute(query, [GLOBEX]).fetchone() == {"n": 0}, table
                assert app.execute(query, [ACME]).fetchone()

    @pytest.mark.parametrize("setting", [None, ""], ids=["unset", "empty"])
    def test_it_refuses_to_read_without_a_tenant(self, app: psycopg.Connection[Row], setting: str | None) -> None:
        if setting is not None:
            # What every transaction leaves behind on its connection.
            with as_tenant(app, GLOBEX):
                pass
        for query in (
            "SELECT * FROM tenancy_apikey",
            "SELECT count(*) FROM tenancy_membership",
            "SELECT EXISTS (SELECT FROM tenancy_tenant)",
            "UPDATE tenancy_apikey SET name = 'taken'",
            "DELETE FROM tenancy_membership",
            "INSERT INTO tenancy_idempotencykey (tenant_id) VALUES ('acme')",
            "SELECT current_tenant()",
        ):
            with refused(app):
                app.execute(query)  # type: ignore[call-overload]

    def test_it_does_not_answer_through_side_channels(self, app: psycopg.Connection[Row]) -> None:
        """Statistics, copies and cursors are bound like everything else."""
        with as_tenant(app, GLOBEX):
            assert app.execute("SELECT * FROM pg_stats WHERE tablename = 'tenancy_apikey'").fetchall() == []
            with app.cursor().copy("COPY (SELECT prefix FROM tenancy_apikey) TO STDOUT") as copy:
                assert b"".join(bytes(part) for part in copy) == b"mallory\n"
            app.execute("DECLARE c CURSOR FOR SELECT prefix FROM tenancy_apikey")
            assert app.execute("FETCH ALL FROM c").fetchall() == [{"prefix": "mallory"}]
            with refused(app):
                app.execute("SET LOCAL row_security = off")
                app.execute("SELECT * FROM tenancy_apikey")

    def test_it_pushes_no_careless_function_below_the_policy(self, app: psycopg.Connection[Row]) -> None:
        """A cheap function in WHERE that complains about what it sees must not see another tenant's rows."""
        with as_tenant(app, GLOBEX):
            rows = app.execute("SELECT 1 FROM tenancy_apikey WHERE 1 / (CASE prefix WHEN 'ada' THEN 0 ELSE 1 END) = 1")
            assert len(rows.fetchall()) == 1


class TestWriting:
    def test_it_changes_no_row_of_another_tenant(self, app: psycopg.Connection[Row]) -> None:
        with as_tenant(app, GLOBEX):
            for statement in (
                "UPDATE tenancy_apikey SET name = 'taken' WHERE tenant_id = 'acme'",
                "UPDATE tenancy_apikey SET name = 'taken' WHERE prefix = 'ada'",
                "DELETE FROM tenancy_membership WHERE tenant_id = 'acme'",
                "UPDATE tenancy_tenant SET name = 'taken' WHERE id = 'acme'",
                "UPDATE tenancy_apikey a SET name = b.name FROM tenancy_apikey b WHERE a.tenant_id = 'acme'",
            ):
                assert app.execute(statement).rowcount == 0, statement  # type: ignore[call-overload]

    def test_it_moves_no_row_to_another_tenant(self, app: psycopg.Connection[Row]) -> None:
        with as_tenant(app, GLOBEX):
            for statement in (
                "UPDATE tenancy_apikey SET tenant_id = 'acme'",
                "UPDATE tenancy_membership SET tenant_id = 'acme'",
                "UPDATE tenancy_tenant SET id = 'initech'",
            ):
                with refused(app):
                    app.execute(statement)  # type: ignore[call-overload]

    def test_it_inserts_nothing_for_another_tenant_into_any_table(self, app: psycopg.Connection[Row]) -> None:
        with as_tenant(app, GLOBEX):
            for table in tables(app, "r"):
                with refused(app):
                    app.execute(sql.SQL("INSERT INTO {} (tenant_id) VALUES ('acme')").format(sql.Identifier(table)))

    def test_it_upserts_nothing_of_another_tenant(self, app: psycopg.Connection[Row], root: Any) -> None:
        theirs = root.execute("SELECT * FROM tenancy_apikey WHERE prefix = 'ada'").fetchone()
        insert = (
            "INSERT INTO tenancy_apikey"
            " (id, tenant_id, name, prefix, secret_hash, role, scopes, created_at, created_by)"
            " VALUES (%(id)s, %(tenant)s, 'taken', %(prefix)s, 'x', 'admin', '[]', now(), '')"
        )
        with as_tenant(app, GLOBEX):
            # By the secret id: the row is there, and must be neither changed nor shown.
            given = {"id": theirs["id"], "tenant": GLOBEX, "prefix": "new"}
            with refused(app):
                app.execute(insert + " ON CONFLICT (id) DO UPDATE SET name = 'taken' RETURNING name", given)
            with refused(app):
                app.execute(insert + " ON CONFLICT (id) DO UPDATE SET name = 'taken'", {**given, "tenant": ACME})

    def test_it_empties_no_table(self, app: psycopg.Connection[Row]) -> None:
        with as_tenant(app, GLOBEX):
            for table in tables(app):
                with refused(app):
                    app.execute(sql.SQL("TRUNCATE {} CASCADE").format(sql.Identifier(table)))

    def test_it_watches_no_statement_of_another_session(self, app: psycopg.Connection[Row]) -> None:
        with refused(app):
            app.execute("SELECT query FROM pg_stat_activity")
        with refused(app):
            app.execute("SELECT pg_stat_get_backend_activity(1)")

    def test_it_leaves_nothing_where_no_policy_looks(self, app: psycopg.Connection[Row]) -> None:
        for statement in ("SELECT lo_create(0)", "SELECT lo_creat(-1)", "SELECT lo_from_bytea(0, 'x')"):
            with refused(app):
                app.execute(statement)  # type: ignore[call-overload]

    def test_it_locks_no_row_of_another_tenant(self, app: psycopg.Connection[Row]) -> None:
        with as_tenant(app, GLOBEX):
            assert len(app.execute("SELECT * FROM tenancy_apikey FOR UPDATE").fetchall()) == 1

    def test_it_merges_nothing_of_another_tenant(self, app: psycopg.Connection[Row], root: Any) -> None:
        theirs = root.execute("SELECT id FROM tenancy_membership WHERE tenant_id = 'acme' LIMIT 1").fetchone()
        with as_tenant(app, GLOBEX):
            app.execute(
                "MERGE INTO tenancy_membership m USING (SELECT %s::uuid AS id) s ON m.id = s.id"
                " WHEN MATCHED THEN UPDATE SET role = 'viewer'",
                [theirs["id"]],
            )
        assert root.execute("SELECT 1 FROM tenancy_membership WHERE role = 'viewer'").rowcount == 1


class TestReferences:
    """A foreign key must not tell whether another tenant has a row, and a cascade must not reach it."""

    FOREIGN_KEYS = """
    SELECT c.conname, c.conrelid::regclass::text AS child, c.confrelid::regclass::text AS parent, c.confdeltype::text,
           array(SELECT a.attname::text FROM unnest(c.conkey) k JOIN pg_attribute a
                   ON a.attrelid = c.conrelid AND a.attnum = k) AS columns,
           EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = c.confrelid AND a.attname = 'tenant_id') AS to_tenant
      FROM pg_constraint c JOIN pg_attribute t ON t.attrelid = c.conrelid AND t.attname = 'tenant_id'
     WHERE c.contype = 'f'
    """

    def test_every_reference_between_tenant_tables_includes_the_tenant(self, root: Any) -> None:
        found = root.execute(self.FOREIGN_KEYS).fetchall()
        assert found
        assert [r["conname"] for r in found if r["to_tenant"] and "tenant_id" not in r["columns"]] == []

    def test_no_cascade_leaves_the_tenant(self, root: Any) -> None:
        found = root.execute(self.FOREIGN_KEYS).fetchall()
        no_action, restrict, cascade = "a", "r", "c"
        assert {r["confdeltype"] for r in found} <= {no_action, restrict, cascade}
        assert [r["conname"] for r in found if r["confdeltype"] == cascade and "tenant_id" not in r["columns"]] == []

    def test_it_answers_alike_for_a_foreign_row_and_for_none(self, app: psycopg.Connection[Row], root: Any) -> None:
        root.execute("CREATE TABLE probe (id uuid PRIMARY KEY, tenant_id text, key_id uuid)")
        root.execute("ALTER TABLE probe OWNER TO kaireon_owner")
        with psycopg.connect(SUITE.urls(app.info.dbname)["owner"]) as owner:
            owner.execute("SELECT secure_tenant_table('probe', 'tenant_id', 'SELECT, INSERT', false)")
            owner.execute("SELECT add_tenant_reference('probe', 'key_id', 'tenancy_apikey', 'NO ACTION')")
        theirs = root.execute("SELECT id FROM tenancy_apikey WHERE prefix = 'ada'").fetchone()["id"]
        ours = root.execute("SELECT id FROM tenancy_apikey WHERE prefix = 'mallory'").fetchone()["id"]
        insert = "INSERT INTO probe VALUES (gen_random_uuid(), 'globex', %s)"

        with as_tenant(app, GLOBEX):
            app.execute(insert, [ours])
            for nobodys in (theirs, "01900000-0000-7000-8000-000000000000"):
                with refused(app, ForeignKeyViolation):
                    app.execute(insert, [nobodys])


class TestUniqueness:
    def test_it_lets_two_tenants_have_the_same(self, app: psycopg.Connection[Row]) -> None:
        mallory = "SELECT id FROM tenancy_user WHERE email = 'ada@acme.example'"
        with as_tenant(app, GLOBEX):
            member = app.execute(mallory).fetchone()
            assert member is not None
            insert = (
                "INSERT INTO tenancy_membership (id, tenant_id, user_id, role, joined_at)"
                " VALUES (gen_random_uuid(), 'globex', %s, 'viewer', now())"
            )
            app.execute(insert, [member["id"]])
            with refused(app, UniqueViolation):
                app.execute(insert, [member["id"]])


class TestRole:
    def test_it_has_no_power_over_the_walls(self, app: psycopg.Connection[Row]) -> None:
        row = app.execute(
            "SELECT rolsuper OR rolbypassrls OR rolcreaterole OR rolcreatedb OR rolreplication OR rolinherit AS power"
            " FROM pg_roles WHERE rolname = current_user"
        ).fetchone()
        assert row == {"power": False}

    @pytest.mark.parametrize("role", ["kaireon_app", "kaireon_sequencer"])
    def test_it_owns_nothing_and_creates_nothing(self, root: psycopg.Connection[Row], role: str) -> None:
        owned = "SELECT (SELECT count(*) FROM pg_class WHERE relowner = %(r)s::regrole) AS n"
        assert root.execute(owned, {"r": role}).fetchone() == {"n": 0}
        may = root.execute(
            "SELECT has_database_privilege(%(r)s, current_database(), 'TEMPORARY') AS temporary,"
            " has_database_privilege(%(r)s, current_database(), 'CREATE') AS schema,"
            " has_schema_privilege(%(r)s, 'public', 'CREATE') AS object,"
            " EXISTS (SELECT FROM pg_auth_members WHERE member = %(r)s::regrole) AS member",
            {"r": role},
        ).fetchone()
        assert may == {"temporary": False, "schema": False, "object": False, "member": False}

    def test_it_is_refused_what_opens_a_wall(self, app: psycopg.Connection[Row]) -> None:
        for statement in (
            "CREATE TEMPORARY TABLE audit_inbox (id int)",
            "SELECT 1 INTO TEMPORARY mine",
            "CREATE TABLE public.mine (id int)",
            "CREATE SCHEMA mine",
            "CREATE FUNCTION public.mine() RETURNS int LANGUAGE sql AS 'SELECT 1'",
            "ALTER TABLE tenancy_apikey DISABLE ROW LEVEL SECURITY",
            "ALTER TABLE tenancy_apikey DISABLE TRIGGER ALL",
            "DROP POLICY tenant ON tenancy_apikey",
            "SET ROLE kaireon_owner",
            "SET ROLE kaireon_capture",
            "SET ROLE kaireon_pruner",
            "SET SESSION AUTHORIZATION kaireon_owner",
            "SET session_replication_role = replica",
            "ALTER ROLE kaireon_app BYPASSRLS",
            "ALTER TABLE tenancy_apikey OWNER TO kaireon_app",
            "LOCK TABLE audit_record IN ACCESS EXCLUSIVE MODE",
            "COPY tenancy_apikey TO PROGRAM 'cat'",
            "SELECT pg_read_file('postgresql.conf')",
            "SELECT secure_one_table('tenancy_apikey'::regclass, 'tenant_id', '', true)",
        ):
            with refused(app):
                app.execute(statement)  # type: ignore[call-overload]

    def test_it_cannot_grant_anything(self, app: psycopg.Connection[Row]) -> None:
        """A grant without the right to grant is a warning, not an error: what counts is that nothing comes of it."""
        rights = "SELECT relacl::text FROM pg_class WHERE relname = 'tenancy_apikey'"
        before = app.execute(rights).fetchone()
        with app.transaction(force_rollback=True):
            app.execute("GRANT ALL ON tenancy_apikey TO kaireon_app, PUBLIC")
            assert app.execute(rights).fetchone() == before

    def test_the_sequencer_sees_the_log_and_nothing_else(self, db: str) -> None:
        with psycopg.connect(SUITE.urls(db)["sequencer"], row_factory=psycopg.rows.dict_row) as connection:
            allowed = {
                *("audit_arrival", "audit_checkpoint", "audit_cosignature", "audit_head", "audit_inbox"),
                *("audit_publication", "audit_record", "audit_subjectkey", "audit_tenantkey", "audit_tile"),
            }
            for row in connection.execute(TENANT_TABLES).fetchall():
                if row["relname"] not in allowed:
                    with refused(connection):
                        connection.execute(sql.SQL("SELECT 1 FROM {}").format(sql.Identifier(row["relname"])))
            for statement in ("UPDATE audit_record SET action = 'x'", "TRUNCATE audit_inbox"):
                with refused(connection):
                    connection.execute(statement)  # type: ignore[call-overload]

    def test_who_only_owns_functions_cannot_log_in(self, root: psycopg.Connection[Row]) -> None:
        rows = root.execute(
            "SELECT rolname FROM pg_roles WHERE NOT rolcanlogin"
            " AND rolname IN ('kaireon_resolver', 'kaireon_capture', 'kaireon_pruner')"
        )
        assert len(rows.fetchall()) == 3

    def test_a_request_that_hangs_in_a_transaction_is_ended(self, app: psycopg.Connection[Row]) -> None:
        assert app.execute("SHOW idle_in_transaction_session_timeout").fetchone() == {
            "idle_in_transaction_session_timeout": "30s"
        }


class TestOwner:
    """The owner of the tables is bound by the policies too."""

    def test_it_sees_nothing_without_a_tenant(self, db: str) -> None:
        with psycopg.connect(SUITE.urls(db)["owner"]) as owner:
            with pytest.raises(InsufficientPrivilege), owner.transaction():
                owner.execute("SELECT * FROM tenancy_apikey")
            owner.execute("SELECT set_config('app.tenant_id', 'globex', true)")
            assert owner.execute("SELECT prefix FROM tenancy_apikey").fetchall() == [("mallory",)]


class TestPartitions:
    """A partition is a table of its own: whoever names it directly meets the same walls."""

    TABLE = "customers_interaction"

    @pytest.fixture
    def partition(self, app: psycopg.Connection[Row]) -> str:
        with as_tenant(app, ACME):
            pass
        app.execute("SELECT partition_ensure(%s, %s)", [self.TABLE, date(2031, 5, 1)])
        app.commit()
        return f"{self.TABLE}_2031_05"

    def test_it_is_walled_like_its_parent(self, partition: str, root: psycopg.Connection[Row]) -> None:
        row = root.execute(
            "SELECT relrowsecurity, relforcerowsecurity, pg_get_userbyid(relowner) AS owner FROM pg_class"
            " WHERE relname = %s",
            [partition],
        ).fetchone()
        assert row == {"relrowsecurity": True, "relforcerowsecurity": True, "owner": "kaireon_owner"}

    def test_it_refuses_no_tenant_and_another(self, partition: str, app: psycopg.Connection[Row]) -> None:
        table = sql.Identifier(partition)
        with as_tenant(app, GLOBEX):
            for statement in ("INSERT INTO {} (tenant_id) VALUES ('acme')", "TRUNCATE {}", "DROP TABLE {}"):
                with refused(app):
                    app.execute(sql.SQL(statement).format(table))
        with app.transaction(force_rollback=True), refused(app):
            app.execute(sql.SQL("INSERT INTO {} (tenant_id) VALUES ('acme')").format(table))

    def test_it_is_made_once_and_for_sensible_months_only(self, partition: str, app: psycopg.Connection[Row]) -> None:
        again = app.execute("SELECT partition_ensure(%s, '2031-05-20') AS made", [self.TABLE]).fetchone()
        assert again == {"made": False}
        for name, month in (("tenancy_apikey", "2031-05-01"), ("pg_class", "2031-05-01"), (self.TABLE, "9999-01-01")):
            with pytest.raises(psycopg.Error), app.transaction():
                app.execute("SELECT partition_ensure(%s, %s::date)", [name, month])

    def test_it_leaves_the_callers_tenant_as_it_was(self, app: psycopg.Connection[Row]) -> None:
        with as_tenant(app, GLOBEX):
            app.execute("SELECT partition_ensure(%s, '2032-01-01')", [self.TABLE])
            assert app.execute("SELECT current_tenant() AS t").fetchone() == {"t": GLOBEX}


class TestResolver:
    """The narrow questions across tenants: no wider than their names."""

    def test_it_finds_a_key_by_its_exact_prefix_only(self, app: psycopg.Connection[Row]) -> None:
        for wanted, found in (("ada", 1), ("", 0), ("%", 0), ("a", 0), (None, 0)):
            assert len(app.execute("SELECT * FROM resolve_api_key(%s)", [wanted]).fetchall()) == found

    def test_it_lists_the_memberships_of_one_person(self, app: psycopg.Connection[Row]) -> None:
        rows = app.execute("SELECT tenant_id FROM resolve_memberships(%s)", [ADA.user.pk]).fetchall()
        assert rows == [{"tenant_id": ACME}]

    def test_it_is_the_applications_alone(self, db: str) -> None:
        with psycopg.connect(SUITE.urls(db)["sequencer"]) as sequencer:
            for call in (
                "active_tenants()",
                "resolve_api_key('ada')",
                "partition_ensure('customers_interaction', now())",
            ):
                with pytest.raises(psycopg.errors.Error), sequencer.transaction():
                    sequencer.execute(f"SELECT {call}")  # type: ignore[call-overload]

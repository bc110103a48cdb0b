"""The self-test: says that the walls stand when they do, and names each one that was taken down."""

import json
from io import StringIO

import psycopg
import pytest
from django.core.management import CommandError, call_command

from kaireon.tenancy import walls


def faults() -> dict[str, list[str]]:
    return {wall.name: wall.faults for wall in walls.inspect() if not wall.stands}


def test_it_finds_every_wall_standing(db: str) -> None:
    assert faults() == {}
    walls.require()


# What somebody with the superuser's password may have done, and the wall that must say so.
DAMAGE = {
    "ALTER TABLE tenancy_membership DISABLE ROW LEVEL SECURITY": "row security",
    "ALTER TABLE tenancy_membership NO FORCE ROW LEVEL SECURITY": "row security",
    "DROP POLICY tenant ON tenancy_apikey; DROP POLICY resolver ON tenancy_apikey": "row security",
    "CREATE TABLE forgotten (id uuid PRIMARY KEY, tenant_id text)": "row security",
    "CREATE POLICY open ON tenancy_apikey TO kaireon_app USING (true)": "policies",
    "CREATE POLICY open ON tenancy_apikey USING (true)": "policies",
    "CREATE POLICY open ON tenancy_apikey FOR INSERT TO kaireon_app WITH CHECK (true)": "policies",
    "ALTER POLICY tenant ON tenancy_apikey USING (tenant_id = current_setting('app.tenant_id', true))": "policies",
    "GRANT TRUNCATE ON tenancy_membership TO kaireon_app": "grants",
    "GRANT SELECT ON tenancy_membership TO PUBLIC": "grants",
    "GRANT SELECT ON tenancy_user TO kaireon_sequencer": "grants",
    "ALTER TABLE tenancy_membership OWNER TO kaireon_app": "role belongings",
    "GRANT CREATE ON SCHEMA public TO kaireon_app": "role belongings",
    "GRANT CREATE ON SCHEMA public TO PUBLIC": "role belongings",
    "DO $$ BEGIN EXECUTE 'GRANT TEMPORARY ON DATABASE ' || current_database() || ' TO kaireon_app'; END $$": (
        "role belongings"
    ),
    "ALTER TABLE tenancy_membership ADD FOREIGN KEY (id) REFERENCES tenancy_apikey (id) NOT VALID": "references",
    "CREATE UNIQUE INDEX ON tenancy_apikey (name)": "uniqueness",
    "CREATE UNIQUE INDEX ON tenancy_apikey (lower(name), tenant_id)": "uniqueness",
    "ALTER FUNCTION active_tenants() RESET search_path": "definer functions",
    "ALTER FUNCTION active_tenants() SET search_path = public": "definer functions",
    "GRANT EXECUTE ON FUNCTION active_tenants() TO PUBLIC": "definer functions",
    "ALTER FUNCTION active_tenants() OWNER TO CURRENT_USER": "definer functions",
    "ALTER TABLE audit_record DISABLE TRIGGER append_only": "triggers",
    "CREATE OR REPLACE FUNCTION current_tenant() RETURNS text LANGUAGE sql STABLE AS"
    " $$ SELECT current_setting('app.tenant_id', true) $$": "no tenant, no data",
    "CREATE OR REPLACE FUNCTION current_tenant() RETURNS text LANGUAGE sql STABLE AS $$ SELECT 'acme'::text $$": (
        "strangers see nothing"
    ),
    "CREATE POLICY door ON tenancy_idempotencykey FOR INSERT TO kaireon_app WITH CHECK"
    " (tenant_id = tenant_id OR current_tenant() = '')": "strangers write nothing",
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_it_names_the_wall_that_was_taken_down(damage: str, superuser_url: str) -> None:
    with psycopg.connect(superuser_url) as connection:
        connection.execute(damage)  # type: ignore[call-overload]

    assert DAMAGE[damage] in faults()
    with pytest.raises(walls.WallsDown, match=DAMAGE[damage]):
        walls.require()


def test_it_changes_nothing_by_looking(superuser_url: str) -> None:
    count = "SELECT (SELECT count(*) FROM pg_class), (SELECT count(*) FROM tenancy_idempotencykey)"
    with psycopg.connect(superuser_url, autocommit=True) as connection:
        before = connection.execute(count).fetchone()
        walls.inspect()
        assert connection.execute(count).fetchone() == before


class TestCommand:
    def test_it_lists_every_wall(self, db: str) -> None:
        out = StringIO()
        call_command("tenancy_selftest", stdout=out)
        assert out.getvalue().count("ok  ") == len(walls.WALLS)

    def test_it_speaks_json(self, db: str) -> None:
        out = StringIO()
        call_command("tenancy_selftest", "--json", stdout=out)
        answer = json.loads(out.getvalue())
        assert answer["standing"] is True
        assert [wall["name"] for wall in answer["walls"]] == list(walls.WALLS)

    def test_it_fails_and_names_the_fault(self, superuser_url: str) -> None:
        with psycopg.connect(superuser_url) as connection:
            connection.execute("ALTER TABLE tenancy_membership DISABLE ROW LEVEL SECURITY")
        out = StringIO()
        with pytest.raises(CommandError, match="not kept apart"):
            call_command("tenancy_selftest", stdout=out)
        assert "tenancy_membership: row-level security is not enabled" in out.getvalue()

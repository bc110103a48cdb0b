"""Migrations that were merged into one: a database with all of them goes on, one with some of them is refused."""

from io import StringIO

import psycopg
import pytest
from django.core.management import call_command
from django.core.management.base import SystemCheckError
from django.db.migrations.loader import MigrationLoader

from audit.capture import coverage
from kaireon.ops import health

MERGED = {key: migration.replaces for key, migration in MigrationLoader(None).replacements.items()}


def forget(superuser_url: str, *names: tuple[str, str]) -> None:
    with psycopg.connect(superuser_url) as root:
        for app, name in names:
            gone = root.execute("DELETE FROM django_migrations WHERE (app, name) = (%s, %s)", [app, name])
            assert gone.rowcount == 1


def migrated() -> str:
    said = StringIO()
    call_command("migrate", database="owner", interactive=False, skip_checks=False, no_color=True, stdout=said)
    return said.getvalue()


@pytest.mark.parametrize("name", MERGED, ids=".".join)
def test_a_database_with_all_of_them_has_nothing_to_do(name: tuple[str, str], db: str, superuser_url: str) -> None:
    forget(superuser_url, name)
    assert health.MigrationsApplied()() is True
    assert "No migrations to apply" in migrated()
    with psycopg.connect(superuser_url) as root:
        assert root.execute("SELECT FROM django_migrations WHERE (app, name) = (%s, %s)", name).fetchone() is not None
    assert coverage.inspect(strict=True) == []


@pytest.mark.parametrize("name", MERGED, ids=".".join)
def test_a_database_with_some_of_them_is_refused(name: tuple[str, str], db: str, superuser_url: str) -> None:
    *_, (app, last) = MERGED[name]
    forget(superuser_url, name, (app, last))
    with pytest.raises(SystemCheckError, match=rf"kaireon\.E024.*{'.'.join(name)}, and lacks {app}\.{last}\."):
        migrated()
    assert health.MigrationsApplied()() is False


@pytest.mark.parametrize("name", MERGED, ids=".".join)
def test_what_it_merged_is_in_no_file_any_more(name: tuple[str, str]) -> None:
    assert not {*MERGED[name]} & {*MigrationLoader(None).disk_migrations}

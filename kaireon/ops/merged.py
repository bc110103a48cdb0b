"""Databases that have some of the migrations which were merged into one since, and lack others of them.

Nothing takes these further: what they lack is in no file any more, and the merged migration makes what is there
already. Django leaves it out and says that there is nothing to apply.
"""

from collections.abc import Container, Iterable

from django.db.migrations import Migration


def halfway(migrations: Iterable[Migration], applied: Container[tuple[str, str]]) -> dict[str, list[str]]:
    """What is lacking of each merged migration that a database has in part, as app.name. `applied` is its history."""
    found = {}
    for migration in migrations:
        lacking = [f"{app}.{name}" for app, name in migration.replaces if (app, name) not in applied]
        if 0 < len(lacking) < len(migration.replaces):
            found[str(migration)] = lacking
    return found

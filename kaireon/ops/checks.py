"""System checks of the switches: a word that does nothing is worse than none, for somebody trusts in it.

And one of a database that cannot be migrated.
"""

import os
from collections.abc import Sequence
from typing import Any

from django.conf import settings
from django.core import checks
from django.core.checks import CheckMessage, Error, Tags, register
from django.db import connections
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.recorder import MigrationRecorder

from kaireon.jobs import pauses, registry
from kaireon.ops import merged

BOOLEANS = (
    "CIRCUIT_BREAKER_ENABLED",
    "AUTH_FALLBACK_ENABLED",
    "SINGLE_TENANT_MODE",
    "DEBUG",
    "SECURE_COOKIES",
    "ALLOW_PRIVATE_DESTINATIONS",
    "MONITOR_PING_PRIVATE",
    "AUDIT_WITNESS_PRIVATE",
)
# What django-environ takes for true, and what people write for false; anything else would silently be false.
WORDS = frozenset({"", "true", "on", "ok", "y", "yes", "1", "false", "off", "n", "no", "0"})


@register
def booleans_are_words(app_configs: Sequence[Any] | None, **kwargs: Any) -> list[CheckMessage]:
    return [
        Error(f"{name} is neither true nor false.", hint=f"Set {name} to true or false.", id="kaireon.E020")
        for name in BOOLEANS
        if os.environ.get(name, "").strip().lower() not in WORDS
    ]


@register
def skipped_types_exist(app_configs: Sequence[Any] | None, **kwargs: Any) -> list[CheckMessage]:
    known = {job.name for job in registry.all_types()}
    return [
        checks.Warning(
            f"SKIP_JOB_TYPES names {name!r}, which is no type of job here.",
            hint=f"Known types, comma separated: {', '.join(sorted(known))}.",
            id="kaireon.W020",
        )
        for name in pauses.here()
        if name not in known
    ]


@register
def blocked_routes_are_paths(app_configs: Sequence[Any] | None, **kwargs: Any) -> list[CheckMessage]:
    return [
        Error(
            f"BLOCKED_ROUTES has {entry!r}, which is no path.",
            hint="Write paths such as /api/v1/pipelines/execute, comma separated; what is below them is blocked too.",
            id="kaireon.E021",
        )
        for entry in settings.BLOCKED_ROUTES
        if not _is_path(entry.strip())
    ]


@register
def fallback_has_a_use(app_configs: Sequence[Any] | None, **kwargs: Any) -> list[CheckMessage]:
    if not settings.AUTH_FALLBACK_ENABLED:
        return []
    return [
        checks.Warning(
            "AUTH_FALLBACK_ENABLED is set and has nothing to do: no OIDC provider is configured.",
            hint="Unset it. Everybody signs in locally as it is.",
            id="kaireon.W021",
        )
    ]


@register(Tags.database)
def merged_migrations_are_whole(
    app_configs: Sequence[Any] | None, databases: Sequence[str] | None = None, **kwargs: Any
) -> list[CheckMessage]:
    """Asked by `migrate`, before it does anything."""
    if not databases:
        # Every process that starts is checked, and has no need of all the migrations.
        return []
    migrations = MigrationLoader(None).disk_migrations.values()
    return [
        Error(
            f"The database {alias!r} is of a version before {name}, and lacks {', '.join(lacking)}.",
            hint="Migrate it with the last version that has these, or begin anew (that of `make run`: `make reset`).",
            id="kaireon.E024",
        )
        for alias in databases
        for name, lacking in merged.halfway(
            migrations, MigrationRecorder(connections[alias]).applied_migrations()
        ).items()
    ]


def _is_path(entry: str) -> bool:
    return (
        entry.startswith("/") and entry.strip("/") != "" and not any(c in entry for c in "*?#<> ") and "//" not in entry
    )

"""System checks: every misconfiguration has an id and a hint."""

import base64
import binascii
from collections.abc import Sequence
from typing import Any

from django.conf import settings
from django.core import checks
from django.core.checks import CheckMessage, Error, Tags, register

from kaireon import env
from kaireon.tenancy.internal_services import SERVICES

REQUIRED = {
    "SECRET_KEY": "kaireon.E001",
    "DATABASE_URL": "kaireon.E002",
    "SEQUENCER_DATABASE_URL": "kaireon.E003",
    "REDIS_URL": "kaireon.E004",
    "API_KEY_PEPPER": "kaireon.E005",
    "SEALING_KEYS": "kaireon.E006",
}
MINIMUM_LENGTH = {
    "SECRET_KEY": 32,
    "API_KEY_PEPPER": 32,
    "CRON_SECRET": 16,
    "CRON_TOKEN": 16,
    **{service.setting: 16 for service in SERVICES.values()},
}


@register(Tags.security)
def required_variables(app_configs: Sequence[Any] | None, **kwargs: Any) -> list[CheckMessage]:
    return [
        Error(f"{name} is not set.", hint=f"Set {name}; .env.example says how to make one.", id=check_id)
        for name, check_id in REQUIRED.items()
        if not getattr(env, name)
    ]


@register(Tags.security)
def secrets_are_long(app_configs: Sequence[Any] | None, **kwargs: Any) -> list[CheckMessage]:
    return [
        Error(
            f"{name} is shorter than {least} characters.",
            hint='Make one with: python -c "import secrets; print(secrets.token_urlsafe(48))"',
            id="kaireon.E010",
        )
        for name, least in MINIMUM_LENGTH.items()
        if 0 < len(getattr(env, name)) < least
    ]


@register(Tags.security)
def sealing_keys_parse(app_configs: Sequence[Any] | None, **kwargs: Any) -> list[CheckMessage]:
    for part in filter(None, env.SEALING_KEYS.split(",")):
        version, _, key = part.strip().partition(":")
        if not version or not _is_key(key):
            return [
                Error(
                    "SEALING_KEYS is malformed.",
                    hint="Write version:base64 of 32 bytes, comma separated, newest last, such as v1:….",
                    id="kaireon.E011",
                )
            ]
    return []


@register(Tags.security)
def cron_is_reachable(app_configs: Sequence[Any] | None, **kwargs: Any) -> list[CheckMessage]:
    if settings.CRON_SECRET:
        return []
    return [
        checks.Warning("CRON_SECRET is not set: every cron route refuses.", hint="Set CRON_SECRET.", id="kaireon.W001")
    ]


@register(Tags.security)
def one_key_each(app_configs: Sequence[Any] | None, **kwargs: Any) -> list[CheckMessage]:
    """With a key of another service, or the cron secret, nobody could tell who calls: then neither is let in."""
    keys = {name: getattr(env, name) for name in (*(s.setting for s in SERVICES.values()), "CRON_SECRET")}
    shared = sorted(name for name, key in keys.items() if key and list(keys.values()).count(key) > 1)
    if not shared:
        return []
    hint = "Give each its own secret."
    return [Error(f"{' and '.join(shared)} are the same.", hint=hint, id="kaireon.E014")]


@register(Tags.security)
def one_role_each(app_configs: Sequence[Any] | None, **kwargs: Any) -> list[CheckMessage]:
    """The application must not connect as the owner: row-level security would be its own to lift."""
    users = {alias: settings.DATABASES[alias].get("USER", "") for alias in ("default", "owner", "sequencer")}
    if users["default"] and users["default"] in (users["owner"], users["sequencer"]):
        return [
            Error(
                "DATABASE_URL uses the same role as OWNER_DATABASE_URL or SEQUENCER_DATABASE_URL.",
                hint="Give each its own role: deploy/postgres/roles.sql makes them.",
                id="kaireon.E012",
            )
        ]
    return []


@register(Tags.security, deploy=True)
def production_is_production(app_configs: Sequence[Any] | None, **kwargs: Any) -> list[CheckMessage]:
    found: list[CheckMessage] = []
    if settings.DEBUG and settings.PRODUCTION:
        found.append(Error("DEBUG is on in production.", hint="Unset DEBUG.", id="kaireon.E013"))
    if settings.PRODUCTION and not env.TRUSTED_PROXIES:
        found.append(
            checks.Warning(
                "TRUSTED_PROXIES is 0 in production: TLS must end in this process.",
                hint="Set TRUSTED_PROXIES to the number of proxies in front.",
                id="kaireon.W002",
            )
        )
    return found


def _is_key(text: str) -> bool:
    try:
        return len(base64.b64decode(text, validate=True)) == 32
    except (binascii.Error, ValueError):
        return False

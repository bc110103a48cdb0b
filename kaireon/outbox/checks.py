"""System checks of what leaves the house."""

from collections.abc import Sequence
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, Warning, register  # noqa: A004  Django's own word

from kaireon import env


@register(Tags.security, deploy=True)
def destinations_are_public(app_configs: Sequence[Any] | None, **kwargs: Any) -> list[CheckMessage]:
    if not (settings.PRODUCTION and settings.ALLOW_PRIVATE_DESTINATIONS):
        return []
    return [
        Warning(
            "ALLOW_PRIVATE_DESTINATIONS is on in production: webhooks may reach your own network.",
            hint="Unset ALLOW_PRIVATE_DESTINATIONS.",
            id="kaireon.W020",
        )
    ]


@register(Tags.security)
def object_storage_is_known(app_configs: Sequence[Any] | None, **kwargs: Any) -> list[CheckMessage]:
    if env.OBJECT_STORAGE == "file":
        return []
    if env.OBJECT_STORAGE != "s3":
        return [Error("OBJECT_STORAGE is unknown.", hint="Set it to file or s3.", id="kaireon.E020")]
    if not env.OBJECT_BUCKET:
        return [Error("OBJECT_STORAGE=s3 needs a bucket.", hint="Set OBJECT_BUCKET.", id="kaireon.E021")]
    return []

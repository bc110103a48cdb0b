"""System checks of what leaves the house."""

from collections.abc import Sequence
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, Warning, register  # noqa: A004  Django's own word

from kaireon import env
from kaireon.outbox.sending import SEND_SECONDS

# A batch is given back when no further delivery, however slow, would fit into its lease.
LEAST_SECONDS = int(SEND_SECONDS) + 10

_TO_A_SERVER = "django.core.mail.backends.smtp.EmailBackend"


@register(Tags.security, deploy=True)
def destinations_are_public(app_configs: Sequence[Any] | None, **kwargs: Any) -> list[CheckMessage]:
    if not (settings.PRODUCTION and settings.ALLOW_PRIVATE_DESTINATIONS):
        return []
    return [
        Warning(
            "ALLOW_PRIVATE_DESTINATIONS is on in production: webhooks may reach your own network.",
            hint="Unset ALLOW_PRIVATE_DESTINATIONS.",
            id="kaireon.W022",
        )
    ]


@register(Tags.security)
def object_storage_is_known(app_configs: Sequence[Any] | None, **kwargs: Any) -> list[CheckMessage]:
    if env.OBJECT_STORAGE == "file":
        return []
    if env.OBJECT_STORAGE != "s3":
        return [Error("OBJECT_STORAGE is unknown.", hint="Set it to file or s3.", id="kaireon.E022")]
    if not env.OBJECT_BUCKET:
        return [Error("OBJECT_STORAGE=s3 needs a bucket.", hint="Set OBJECT_BUCKET.", id="kaireon.E023")]
    return []


@register(Tags.security)
def mail_leaves_the_house(app_configs: Sequence[Any] | None, **kwargs: Any) -> list[CheckMessage]:
    """Codes and letters that only a file or a console gets are noted as sent all the same."""
    if not settings.PRODUCTION or settings.EMAIL_BACKEND == _TO_A_SERVER:
        return []
    return [
        Error(
            "EMAIL_URL names no mail server: in production nobody would get what is called sent.",
            hint="Set EMAIL_URL to smtp://, smtp+tls:// or smtp+ssl:// and the server.",
            id="kaireon.E025",
        )
    ]


@register
def lease_outlives_a_delivery(app_configs: Sequence[Any] | None, **kwargs: Any) -> list[CheckMessage]:
    if settings.OUTBOX_LEASE_SECONDS >= LEAST_SECONDS:
        return []
    return [
        Error(
            f"OUTBOX_LEASE_SECONDS is {settings.OUTBOX_LEASE_SECONDS}: shorter than a slow delivery.",
            hint=f"Set it to {LEAST_SECONDS} or more; 60 is the default.",
            id="kaireon.E031",
        )
    ]

"""System checks of the operator's SIEM."""

from collections.abc import Sequence
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, Warning, register  # noqa: A004  Django's own word

from audit.models import SiemBackend
from audit.shipping import destinations


@register
def siem_can_be_shipped_to(app_configs: Sequence[Any] | None, **kwargs: Any) -> list[CheckMessage]:
    try:
        destinations.operators()
    except destinations.NotConfigured as e:
        return [
            Error(
                f"The SIEM cannot be shipped to: {e}.",
                hint=f"Set SIEM_BACKEND to {', '.join(SiemBackend.values)} with SIEM_ENDPOINT and SIEM_API_KEY, for"
                " elastic SIEM_INDEX too, or unset all of them. Until then siem-ship skips it.",
                id="kaireon.E044",
            )
        ]
    return []


@register(Tags.security, deploy=True)
def siem_is_public(app_configs: Sequence[Any] | None, **kwargs: Any) -> list[CheckMessage]:
    plain = settings.SIEM_ENDPOINT.startswith("http://")
    if not (settings.PRODUCTION and settings.SIEM_PRIVATE and plain):
        return []
    return [
        Warning(
            "SIEM_ENDPOINT is plain HTTP: the key and the log travel in the clear.",
            hint="Use https://; a certificate of your own authority is trusted by SSL_CERT_FILE.",
            id="kaireon.W044",
        )
    ]

"""System checks of what an environment says about requests of data subjects."""

from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.core.checks import CheckMessage, Error, register


@register
def window_is_a_time(app_configs: Sequence[Any] | None, **kwargs: Any) -> list[CheckMessage]:
    if settings.DSAR_ERASURE_WINDOW_HOURS >= 0:
        return []
    hint = "Set DSAR_ERASURE_WINDOW_HOURS to a number of hours; 0 is none."
    return [Error("DSAR_ERASURE_WINDOW_HOURS is less than 0.", hint=hint, id="kaireon.E070")]


@register
def public_url_is_one(app_configs: Sequence[Any] | None, **kwargs: Any) -> list[CheckMessage]:
    parts = urlsplit(settings.PUBLIC_URL)
    schemes = ("https",) if settings.PRODUCTION else ("https", "http")
    beside = parts.path or parts.query or parts.fragment or parts.username
    if not settings.PUBLIC_URL or (parts.scheme in schemes and parts.hostname and not beside):
        return []
    hint = "Set PUBLIC_URL to scheme and host, such as https://privacy.example.com, or unset it."
    return [Error("PUBLIC_URL is no address to begin a link with.", hint=hint, id="kaireon.E071")]

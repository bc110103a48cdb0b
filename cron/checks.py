"""System checks of what an environment says about jobs: each names the variable and the remedy."""

from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.core.checks import CheckMessage, Error, register

from cron import certificates, environment
from cron.jobs import SHIPPED
from kaireon import env


@register
def jobs_are_configured(app_configs: Sequence[Any] | None, **kwargs: Any) -> list[CheckMessage]:
    return [
        Error(f"{fault.variable} {fault.problem}", hint=fault.remedy, id="kaireon.E030")
        for fault in environment.faults(SHIPPED, env.CRON_JOBS)
    ]


@register
def runs_are_kept(app_configs: Sequence[Any] | None, **kwargs: Any) -> list[CheckMessage]:
    if settings.JOB_RUN_DAYS >= 1:
        return []
    return [Error("JOB_RUN_DAYS is less than 1.", hint="Set JOB_RUN_DAYS to a number of days.", id="kaireon.E031")]


@register
def monitor_is_an_address(app_configs: Sequence[Any] | None, **kwargs: Any) -> list[CheckMessage]:
    if not settings.MONITOR_PING_URL or is_web_address(settings.MONITOR_PING_URL):
        return []
    return [
        Error(
            "MONITOR_PING_URL is no http or https address.",
            hint="Write it as https://monitor.example.com/ping/{job}/{event}, or unset it.",
            id="kaireon.E032",
        )
    ]


@register
def certificates_are_endpoints(app_configs: Sequence[Any] | None, **kwargs: Any) -> list[CheckMessage]:
    return [
        Error(
            f"CERTIFICATE_ENDPOINTS: {text[:100]!r} is no endpoint.",
            hint="Write host:port, such as compliance.example.com:443, with commas between them.",
            id="kaireon.E033",
        )
        for text in settings.CERTIFICATE_ENDPOINTS
        if text.strip() and not _is_endpoint(text.strip())
    ]


@register
def disk_has_a_size(app_configs: Sequence[Any] | None, **kwargs: Any) -> list[CheckMessage]:
    if settings.DISK_CAPACITY_BYTES >= 0:
        return []
    hint = "Set it to the size of the database's disk in bytes, or unset it."
    return [Error("DISK_CAPACITY_BYTES is less than 0.", hint=hint, id="kaireon.E034")]


def _is_endpoint(text: str) -> bool:
    try:
        certificates.endpoint_of(text)
    except ValueError:
        return False
    return True


def is_web_address(text: str) -> bool:
    try:
        parts = urlsplit(text)
        return text.isascii() and parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False

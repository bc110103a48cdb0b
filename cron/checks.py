"""System checks of what an environment says about jobs: each names the variable and the remedy."""

from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.core.checks import CheckMessage, Error, register

from cron import environment
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


def is_web_address(text: str) -> bool:
    try:
        parts = urlsplit(text)
        return text.isascii() and parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False

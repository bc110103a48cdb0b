"""Events for Sentry, where SENTRY_DSN is set: our own words, ids and counts. It learns nothing else of this process."""

import logging
from collections.abc import Mapping
from functools import cache
from typing import Any

from django.conf import settings

logger = logging.getLogger("kaireon.security")

# What an event is sorted by there.
TAGS = ("tenant", "kind", "severity")
FLUSH_SECONDS = 2.0


def send(event: str, *, level: str, said: Mapping[str, Any]) -> None:
    """Line an event up to be sent; nothing without a DSN. Best effort: the line in the log is what counts. It waits for
    nobody, so that it may stand in a transaction; `flush` after it."""
    if not settings.SENTRY_DSN:
        return
    try:
        client = _client(settings.SENTRY_DSN, settings.ENVIRONMENT)
        client.capture_event(
            {
                "message": event,
                "level": level,
                "logger": "kaireon.security",
                "fingerprint": [str(said.get("fingerprint", event))],
                "tags": {name: str(said[name]) for name in TAGS if name in said},
                "extra": dict(said),
            }
        )
    except Exception as error:  # noqa: BLE001  whatever goes wrong there must not lose the signal here
        logger.warning("sentry_failed", extra={"error_type": type(error).__name__})


def flush() -> None:
    """Wait a moment for what is lined up to be sent. Outside any transaction."""
    if not settings.SENTRY_DSN:
        return
    try:
        _client(settings.SENTRY_DSN, settings.ENVIRONMENT).flush(timeout=FLUSH_SECONDS)
    except Exception as error:  # noqa: BLE001  as above
        logger.warning("sentry_failed", extra={"error_type": type(error).__name__})


@cache
def _client(dsn: str, environment: str) -> Any:
    # Loaded only where it is used: it looks at the process it is in.
    from sentry_sdk import Client

    return Client(
        dsn=dsn,
        environment=environment,
        default_integrations=False,
        auto_enabling_integrations=False,
        include_local_variables=False,
        include_source_context=False,
        attach_stacktrace=False,
        send_client_reports=False,
        auto_session_tracking=False,
        max_breadcrumbs=0,
        server_name="kaireon",
    )

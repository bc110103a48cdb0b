"""Attempts to get in, counted and, when refused, logged for whoever asks where they come from.

The address is in the log only: as a label it would be personal data in every monitoring system.
"""

import logging

from django.http import HttpRequest

from kaireon.api import metrics
from kaireon.tenancy.addresses import source_address

logger = logging.getLogger("kaireon.auth")


def attempted() -> None:
    """Somebody presents a credential, or ought to."""
    metrics.AUTH_ATTEMPTS.inc()


def failed(reason: str, request: HttpRequest | None) -> None:
    """An attempt was refused. `reason` is one of our own words, never anything that was sent."""
    metrics.AUTH_FAILURES.labels(reason).inc()
    address = source_address(request) if request is not None else ""
    logger.warning("auth_failure", extra={"reason": reason, "source_ip": address})


def service_called(service: str, *, accepted: bool) -> None:
    """One of our own services showed, or did not show, its secret."""
    logger.info("internal_service_auth", extra={"service": service, "accepted": accepted})

"""The thresholds of the rules, as the installation's settings say."""

from datetime import timedelta

from django.conf import settings

from compliance.detection.rules import Thresholds


class NotHours(ValueError):
    """DETECTION_ODD_HOURS is not two different hours of a day, such as 22-6."""


def current() -> Thresholds:
    """Raises NotHours."""
    return Thresholds(
        odd_hours=hours(settings.DETECTION_ODD_HOURS),
        release_purge=timedelta(minutes=settings.DETECTION_RELEASE_PURGE_MINUTES),
        erasures=settings.DETECTION_ERASURES,
        audit_views=settings.DETECTION_AUDIT_VIEWS,
        refusals=settings.DETECTION_REFUSALS,
        sources=settings.DETECTION_LOGIN_SOURCES,
    )


def hours(text: str) -> tuple[int, int]:
    """Raises NotHours."""
    first, _, last = text.strip().partition("-")
    if not (first.strip().isdecimal() and last.strip().isdecimal()):
        raise NotHours(text)
    found = int(first), int(last)
    if not all(0 <= hour <= 24 for hour in found) or found[0] == found[1]:
        raise NotHours(text)
    return found

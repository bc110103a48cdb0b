"""Whether this installation may be at work at all. Asked before every request, task and scheduled job.

Who can tell is a layer above, which registers itself. In anything but production nobody asks.
"""

from collections.abc import Callable

from django.conf import settings

RETRY_SECONDS = 10

_asked: list[Callable[[], str | None]] = []


class NotServing(RuntimeError):
    """Nothing is taken up now. The message says why and what to do."""


def ask(why_not: Callable[[], str | None]) -> Callable[[], str | None]:
    """Register who says why nothing may be served, or None; it must be quick."""
    _asked.append(why_not)
    return why_not


def refusal() -> str | None:
    """Why nothing is served now, and what to do; None: all is well."""
    if not settings.PRODUCTION:
        return None
    return next((reason for why_not in _asked if (reason := why_not())), None)


def require() -> None:
    """Raises NotServing."""
    if reason := refusal():
        raise NotServing(reason)

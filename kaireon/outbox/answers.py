"""What a receiver said, or why it said nothing: how long it asks to be left alone, whether we do not trust it."""

import ssl
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

LONGEST_WAIT = timedelta(hours=1)


def wait_of(asked: str, now: datetime) -> timedelta | None:
    """Retry-After (RFC 9110, section 10.2.3) in seconds or as a date, at most an hour; nothing for what is neither."""
    text = asked.strip()
    if text.isascii() and text.isdigit():
        return min(timedelta(seconds=int(text[:9])), LONGEST_WAIT)
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return max(timedelta(0), min(moment - now, LONGEST_WAIT))


def is_of_certificate(error: BaseException) -> bool:
    """Whether the receiver's certificate is what the failure goes back to."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return True
        cause = cause.__cause__ or cause.__context__
    return False

"""Where a request comes from, through as many proxies as we were told to trust."""

import hashlib
import hmac

from django.conf import settings
from django.http import HttpRequest


def source_address(request: HttpRequest) -> str:
    """The client's address: the last X-Forwarded-For entry that a trusted proxy wrote, else the peer."""
    forwarded = [a.strip() for a in request.headers.get("X-Forwarded-For", "").split(",") if a.strip()]
    trusted: int = settings.TRUSTED_PROXIES
    if trusted and len(forwarded) >= trusted:
        return forwarded[-trusted]
    return str(request.META.get("REMOTE_ADDR", ""))


def source_pseudonym(request: HttpRequest) -> str:
    """Tells the same address again and no address: 16 hex digits, keyed by API_KEY_PEPPER; "" when it is not known."""
    address = source_address(request)
    if not address:
        return ""
    return hmac.new(settings.API_KEY_PEPPER.encode(), f"sign-in source:{address}".encode(), hashlib.sha256).hexdigest()[
        :16
    ]

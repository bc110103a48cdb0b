"""Secrets that people come back with: 256 bits that nobody guesses, of which a plain hash is kept."""

import base64
import hashlib
import hmac
import json
import re
import secrets

from django.conf import settings

# How they look in addresses and cookies.
PATTERN = r"[A-Za-z0-9_-]{43}"
_FORM = "dsar public form"
_WHOLE = re.compile(PATTERN)


def new() -> str:
    return secrets.token_urlsafe(32)


def of_form(*parts: str) -> str:
    """The secret of one filled-in form: who sends it twice gets it twice. `parts` hold what nobody else was shown."""
    mac = hmac.new(settings.SECRET_KEY.encode(), json.dumps([_FORM, *parts]).encode(), hashlib.sha256).digest()
    return base64.urlsafe_b64encode(mac).decode().rstrip("=")


def hashed(token: str) -> str:
    """What to look a row up by; "" for what is no token, which no row has."""
    return hashlib.sha256(token.encode()).hexdigest() if _WHOLE.fullmatch(token) else ""

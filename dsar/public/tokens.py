"""Secrets that people come back with: 256 bits that nobody guesses, of which a plain hash is kept."""

import hashlib
import re
import secrets

# How they look in addresses and cookies.
PATTERN = r"[A-Za-z0-9_-]{43}"
_WHOLE = re.compile(PATTERN)


def new() -> str:
    return secrets.token_urlsafe(32)


def hashed(token: str) -> str:
    """What to look a row up by; "" for what is no token, which no row has."""
    return hashlib.sha256(token.encode()).hexdigest() if _WHOLE.fullmatch(token) else ""

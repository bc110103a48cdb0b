"""What keeps the page from being misused: limits, a trap for programs, and the least time that a person takes."""

import ipaddress
import re
import secrets
from datetime import UTC, datetime, timedelta

from django.core import signing
from django.http import HttpRequest

from customers.models.customer import normal_email
from kaireon.api import throttles
from kaireon.api.throttles import Rate
from kaireon.lib.masking import KeyedHash
from kaireon.tenancy import context
from kaireon.tenancy.addresses import source_address
from kaireon.tenancy.keyring import keyring

# By network address of who asks, of one tenant's page.
ASKS = Rate("privacy-ask", per_minute=10)
TRIES = Rate("privacy-try", per_minute=20)
LOOKS = Rate("privacy-look", per_minute=60)
# Codes to one mail address, and to all of a tenant's together: nobody is flooded with mail from here.
MAILS = Rate("privacy-mail", per_hour=6)
MAILS_IN_ALL = Rate("privacy-mails", per_minute=60)

_WITH_PORT = re.compile(r"^(?:\[([^]]+)\]|([0-9.]+))(?::[0-9]+)?$")
LEAST = timedelta(seconds=2)
LONGEST = timedelta(hours=12)
_signer = signing.Signer(salt="dsar public page")


def limit(rate: Rate, request: HttpRequest) -> None:
    """Raises TooManyRequests."""
    throttles.take(rate, f"{context.tenant_id()}:{_network(source_address(request))}")


def limit_mails(address: str) -> None:
    """The same for every address, known or not. Raises TooManyRequests."""
    tenant = context.tenant_id()
    hashed = KeyedHash(keyring=keyring(), tenant_id=tenant, purpose="dsar public mail")
    throttles.take(MAILS, f"{tenant}:{hashed(normal_email(address))}")
    throttles.take(MAILS_IN_ALL, tenant)


def stamp(now: datetime) -> str:
    """When a form was shown, and which of those that were shown it is; signed."""
    return _signer.sign(f"{now.timestamp():.3f} {secrets.token_urlsafe(16)}")


def shown_at(stamped: str) -> datetime | None:
    """When the form was shown; None for what we did not sign."""
    try:
        return datetime.fromtimestamp(float(_signer.unsign(stamped).partition(" ")[0]), UTC)
    except (signing.BadSignature, ValueError, OverflowError):
        return None


def is_stale(stamped: str, now: datetime) -> bool:
    """Whether a form with this stamp is refused however often it is sent."""
    shown = shown_at(stamped)
    return shown is None or now - shown > LONGEST


def _network(address: str) -> str:
    """One IPv6 subscriber has a whole /64."""
    try:
        # Some proxies write the port along.
        found = ipaddress.ip_address(_WITH_PORT.sub(r"\1\2", address))
    except ValueError:
        return address
    if isinstance(found, ipaddress.IPv4Address):
        return str(found)
    if found.ipv4_mapped is not None:
        # As a socket for both tells of everybody who comes by IPv4: not one subscriber.
        return str(found.ipv4_mapped)
    return str(ipaddress.ip_network(f"{found}/64", strict=False))

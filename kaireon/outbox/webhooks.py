"""POST to a receiver of the tenant's: signed, never redirected, bounded in time and size."""

import ssl
import time
from collections.abc import Mapping
from functools import cache
from typing import Any

import httpcore
from django.conf import settings

from kaireon.lib import clock
from kaireon.outbox.answers import is_of_certificate, wait_of
from kaireon.outbox.connections import Answer, Connections, Headers, Timeouts
from kaireon.outbox.network import CONNECT_SECONDS, AddressRefused, NameNotResolved, PublicBackend, deadline
from kaireon.outbox.sending import SEND_SECONDS, Outgoing, Refused
from kaireon.outbox.signatures import ID_HEADER, SIGNATURE_HEADER, sign

# What a receiver answers is not used; this much is read so that the connection can be used again.
MOST_ANSWERED = 64 * 1024

_TRY_AGAIN = frozenset({408, 425, 429})
_ASKS_TO_WAIT = frozenset({429, 503})


def send(given: Mapping[str, Any], secret: str, message: Outgoing) -> None:
    """Deliver; a 2xx answer is success. Raises Refused."""
    body = message.body()
    timestamp = int(clock.now().timestamp())
    signature = sign(secret=secret.encode(), message_id=str(message.id), timestamp=timestamp, body=body)
    post(str(given["url"]), body, {ID_HEADER: str(message.id), SIGNATURE_HEADER: signature})


def post(url: str, body: bytes, headers: Mapping[str, str]) -> None:
    """Send JSON to a public address; a 2xx answer is success. Raises Refused."""
    now = clock.now()
    sent = {"Content-Type": "application/json", "User-Agent": "Kaireon-Compliance", **headers}
    answer = _post(url, list(sent.items()), body)
    status = answer.status
    if 200 <= status < 300:
        return
    if 300 <= status < 400:
        raise Refused("redirect_refused", permanent=True)
    permanent = 400 <= status < 500 and status not in _TRY_AGAIN
    wait = wait_of(answer.header(b"retry-after"), now) if status in _ASKS_TO_WAIT else None
    raise Refused(f"http_{status}", permanent=permanent, wait=wait)


def _post(url: str, headers: Headers, body: bytes) -> Answer:
    """An answer that is complete, or a failure."""
    timeouts = Timeouts(connect=CONNECT_SECONDS, answer=SEND_SECONDS)
    ends = deadline.set(time.monotonic() + SEND_SECONDS)
    try:
        pool = _pool(allow_private=settings.ALLOW_PRIVATE_DESTINATIONS)
        return pool.post(url, headers, body, timeouts=timeouts, most_read=MOST_ANSWERED)
    except AddressRefused as e:
        raise Refused("address_refused", permanent=True) from e
    except NameNotResolved as e:
        raise Refused("name_not_resolved") from e
    except httpcore.TimeoutException as e:
        raise Refused("timeout") from e
    except httpcore.UnsupportedProtocol as e:
        raise Refused("unsupported_protocol", permanent=True) from e
    except (httpcore.NetworkError, httpcore.ProtocolError, ssl.SSLError, OSError) as e:
        raise Refused(_code(e)) from e
    finally:
        deadline.reset(ends)


@cache
def _pool(*, allow_private: bool) -> Connections:
    """Of this process; made by the first delivery, after any fork."""
    return Connections(ssl_context=ssl.create_default_context(), backend=PublicBackend(allow_private=allow_private))


def _code(error: Exception) -> str:
    if is_of_certificate(error):
        return "certificate_refused"
    return {
        httpcore.ConnectError: "connection_failed",
        httpcore.RemoteProtocolError: "answer_incomplete",
    }.get(type(error), type(error).__name__)

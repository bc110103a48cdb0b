"""The request to a witness: to public addresses, within a deadline, bounded in what is read, never redirected."""

import ssl
import time
from dataclasses import dataclass

import httpcore

from kaireon.outbox.network import CONNECT_SECONDS, AddressRefused, NameNotResolved, PublicBackend, deadline

SECONDS = 10.0
# A few signature lines, or a number.
MOST_ANSWERED = 16 * 1024

_EXTENSIONS = {"timeout": {"connect": CONNECT_SECONDS, "read": SECONDS, "write": SECONDS, "pool": SECONDS}}
_HEADERS = [("Content-Type", "text/plain; charset=utf-8"), ("User-Agent", "Kaireon-Compliance")]


class WitnessAway(Exception):
    """The witness could not be asked, or did not answer. `code` says why; the next run asks again."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


@dataclass(frozen=True)
class Answer:
    status: int
    body: bytes


def add_checkpoint(url: str, body: bytes, *, allow_private: bool) -> Answer:
    """POST to `<submission prefix>/add-checkpoint`. Raises WitnessAway."""
    ends = deadline.set(time.monotonic() + SECONDS)
    backend = PublicBackend(allow_private=allow_private)
    try:
        # A connection of its own: a minute lies between two of them, and processes fork.
        with (
            httpcore.ConnectionPool(ssl_context=ssl.create_default_context(), network_backend=backend) as pool,
            pool.stream(
                "POST", f"{url}/add-checkpoint", headers=_HEADERS, content=body, extensions=_EXTENSIONS
            ) as answer,
        ):
            return Answer(answer.status, _read(answer))
    except AddressRefused as error:
        raise WitnessAway("address_refused") from error
    except NameNotResolved as error:
        raise WitnessAway("name_not_resolved") from error
    except (httpcore.TimeoutException, TimeoutError) as error:
        raise WitnessAway("timeout") from error
    except (httpcore.NetworkError, httpcore.ProtocolError, httpcore.UnsupportedProtocol, OSError, ValueError) as error:
        raise WitnessAway(type(error).__name__) from error
    finally:
        deadline.reset(ends)


def _read(answer: httpcore.Response) -> bytes:
    body = b""
    for chunk in answer.iter_stream():
        body += chunk
        if len(body) > MOST_ANSWERED:
            raise WitnessAway("answer_too_large")
    return body

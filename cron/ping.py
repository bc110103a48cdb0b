"""An optional ping to a monitor at the start and end of every run: MONITOR_PING_URL with {job} and {event} in it.

`event` is start, success or fail. Whatever the monitor does, the job does not notice: a ping takes five seconds at
most, follows no redirect, and goes to no private address unless MONITOR_PING_PRIVATE says that the monitor is there.
"""

import logging
import ssl
import threading
import time
from urllib.parse import quote

import httpcore
from django.conf import settings

from kaireon.api.breakers import MONITOR, Breaker, BreakerOpen
from kaireon.outbox.network import AddressRefused, NameNotResolved, PublicBackend, deadline

logger = logging.getLogger("kaireon.cron")

SECONDS = 5.0


class PingFailed(Exception):
    """The monitor did not take a ping. `code` says why; `is_answer` that it is up, and was asked the wrong thing."""

    def __init__(self, code: str, *, is_answer: bool = False) -> None:
        super().__init__(code)
        self.code = code
        self.is_answer = is_answer


_MONITOR = Breaker(MONITOR, ignore=(lambda error: isinstance(error, PingFailed) and error.is_answer,))
_EXTENSIONS = {"timeout": {"connect": SECONDS, "read": SECONDS, "write": SECONDS, "pool": SECONDS}}


def ping(job: str, event: str) -> None:
    """Tell the monitor, waiting five seconds at most. Never raises."""
    template: str = settings.MONITOR_PING_URL
    if not template:
        return
    url = template.replace("{job}", quote(job)).replace("{event}", quote(event))
    # A thread, because looking up a name knows no time limit.
    sender = threading.Thread(target=_tell, args=(url, job, event), daemon=True)
    sender.start()
    sender.join(SECONDS)


def _tell(url: str, job: str, event: str) -> None:
    facts = {"job": job, "ping": event}
    try:
        _MONITOR.call(_send, url)
    except BreakerOpen:
        logger.info("monitor_left_alone", extra=facts)
    except PingFailed as failure:
        # The address may carry a key, so it is not in the line.
        logger.warning("monitor_unreachable", extra={**facts, "error_type": failure.code})


def _send(url: str) -> None:
    """Raises PingFailed."""
    ends = deadline.set(time.monotonic() + SECONDS)
    backend = PublicBackend(allow_private=settings.MONITOR_PING_PRIVATE)
    try:
        # A connection of its own: pings are far apart, and processes fork.
        with (
            httpcore.ConnectionPool(ssl_context=ssl.create_default_context(), network_backend=backend) as pool,
            pool.stream(
                "GET", url.encode(), headers=[("User-Agent", "Kaireon-Compliance")], extensions=_EXTENSIONS
            ) as answer,
        ):
            # What it says besides is not read.
            if not 200 <= answer.status < 300:
                raise PingFailed(f"http_{answer.status}", is_answer=answer.status < 500)
    except AddressRefused as error:
        raise PingFailed("address_refused", is_answer=True) from error
    except NameNotResolved as error:
        raise PingFailed("name_not_resolved") from error
    except (httpcore.TimeoutException, TimeoutError) as error:
        raise PingFailed("timeout") from error
    except (httpcore.NetworkError, httpcore.ProtocolError, httpcore.UnsupportedProtocol, OSError, ValueError) as error:
        raise PingFailed(type(error).__name__) from error
    finally:
        deadline.reset(ends)

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

from kaireon.outbox.network import AddressRefused, NameNotResolved, PublicBackend, deadline

logger = logging.getLogger("kaireon.cron")

SECONDS = 5.0
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
    if problem := _send(url):
        # The address may carry a key, so it is not in the line.
        logger.warning("monitor_unreachable", extra={"job": job, "ping": event, "error_type": problem})


def _send(url: str) -> str:
    """What went wrong, in a word; empty when nothing did."""
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
            return "" if 200 <= answer.status < 300 else f"http_{answer.status}"
    except AddressRefused:
        return "address_refused"
    except NameNotResolved:
        return "name_not_resolved"
    except (httpcore.TimeoutException, TimeoutError):
        return "timeout"
    except (httpcore.NetworkError, httpcore.ProtocolError, httpcore.UnsupportedProtocol, OSError, ValueError) as error:
        return type(error).__name__
    finally:
        deadline.reset(ends)

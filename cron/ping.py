"""An optional ping to a monitor at the start and end of every run: MONITOR_PING_URL with {job} and {event} in it.

`event` is start, success or fail. Whatever the monitor does, the job does not notice.
"""

import logging
import threading
import urllib.request
from urllib.parse import quote

from django.conf import settings

logger = logging.getLogger("kaireon.cron")

SECONDS = 5


def ping(job: str, event: str) -> None:
    """Tell the monitor, waiting five seconds at most. Never raises."""
    template: str = settings.MONITOR_PING_URL
    if not template:
        return
    url = template.replace("{job}", quote(job)).replace("{event}", quote(event))
    if not url.startswith(("http://", "https://")):
        # The address may carry a key, so it is not in the line.
        logger.error("monitor_misconfigured", extra={"job": job})
        return
    # A thread, because a receiver that drips bytes outlasts every timeout of a socket.
    sender = threading.Thread(target=_send, args=(url, job), daemon=True)
    sender.start()
    sender.join(SECONDS)


def _send(url: str, job: str) -> None:
    try:
        with urllib.request.urlopen(url, timeout=SECONDS):  # noqa: S310  http and https only, asked above
            pass
    except Exception as error:  # noqa: BLE001  a monitor that answers nonsense is no reason for anything
        logger.warning("monitor_unreachable", extra={"job": job, "error_type": type(error).__name__})

"""Django's mail backend for SMTP, with an end to the whole conversation.

Django and smtplib bound each wait, and a server that says a byte now and then, or a line, is never waited for long.
"""

import smtplib
import socket
import threading
import time
from contextlib import suppress
from contextvars import ContextVar, Token
from types import TracebackType
from typing import Any, Self

from django.conf import settings
from django.core.mail.backends import smtp

from kaireon.outbox.network import resolve

_DJANGOS = f"{smtp.EmailBackend.__module__}.{smtp.EmailBackend.__name__}"


class Deadline:
    """Whatever `backend` opens within the block, by the same thread, ends so many seconds after its beginning."""

    def __init__(self, seconds: float) -> None:
        self.passed = False
        self._ends = time.monotonic() + seconds
        self._timer = threading.Timer(seconds, self._end)
        self._timer.daemon = True
        self._conversation: smtplib.SMTP | None = None
        self._token: Token[Deadline | None] | None = None

    @property
    def backend(self) -> str | None:
        """For `get_connection`: ours where Django's for SMTP is set; any other stays."""
        if settings.EMAIL_BACKEND != _DJANGOS:
            return None
        return f"{EmailBackend.__module__}.{EmailBackend.__name__}"

    def __enter__(self) -> Self:
        self._token = _deadline.set(self)
        self._timer.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._timer.cancel()
        if self._token is not None:
            _deadline.reset(self._token)

    def left(self, wait: object = None) -> float:
        """Seconds, and no more than a `wait` that is a number. Raises TimeoutError when nothing is left."""
        left = self._ends - time.monotonic()
        if self.passed or left <= 0:
            raise TimeoutError("the mail server took too long")
        return min(left, wait) if isinstance(wait, int | float) else left

    def watch(self, conversation: smtplib.SMTP) -> None:
        self._conversation = conversation

    def _end(self) -> None:
        self.passed = True
        connection = getattr(self._conversation, "sock", None)
        if connection is not None:
            # Of the plain socket: what TLS would say first is a wait too. Whoever reads or writes gets an error.
            with suppress(OSError):
                socket.socket.shutdown(connection, socket.SHUT_RDWR)


_deadline: ContextVar[Deadline | None] = ContextVar("outbox_mail_deadline", default=None)


class _Bounded(smtplib.SMTP):
    # `timeout` is an object of the module socket's where none is set.
    def _get_socket(self, host: str, port: int, timeout: Any) -> socket.socket:
        deadline = _deadline.get()
        if deadline is None:
            return super()._get_socket(host, port, timeout)  # type: ignore[misc,no-any-return]
        deadline.watch(self)
        failure: OSError | None = None
        # The operator's own server: it may be anywhere.
        for address in resolve(host, port, allow_private=True, seconds=deadline.left(timeout)):
            try:
                return socket.create_connection((address, port), deadline.left(timeout), self.source_address)
            except OSError as e:
                failure = e
        assert failure is not None  # noqa: S101  resolve gives at least one
        raise failure

    def getreply(self) -> tuple[int, bytes]:
        deadline = _deadline.get()
        if deadline is None:
            return super().getreply()
        # A handshake of TLS that ended just in time leaves nobody whom the timer could have ended.
        deadline.left()
        reply = super().getreply()
        # What was cut short is no reply, whatever it looks like.
        deadline.left()
        return reply


class _BoundedOverTls(smtplib.SMTP_SSL, _Bounded):
    """smtplib's wraps what `_get_socket` of the next class gives."""


class EmailBackend(smtp.EmailBackend):
    @property
    def connection_class(self) -> Any:
        return _BoundedOverTls if self.use_ssl else _Bounded

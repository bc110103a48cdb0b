"""The job `certificate-audit`: when the certificates end that CERTIFICATE_ENDPOINTS show and CERTIFICATE_FILES hold.

An endpoint is asked over a connection guarded as every one that leaves (kaireon/outbox/network.py); nothing is sent on
it but the handshake. One whose certificate is not believed is asked a second time, to know when that one ends.
"""

import logging
import ssl
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpcore
from cryptography import x509
from django.conf import settings

from cron.models import JobRun
from cron.work import DoneInPart, Work
from kaireon.lib import clock
from kaireon.outbox.network import AddressRefused, NameNotResolved, PublicBackend, deadline

logger = logging.getLogger("kaireon.cron")

JOB = "certificate-audit"
# Days before the end from which a certificate is told of, each a step.
STEPS = (30, 14, 7, 3, 1)
SECONDS = 10.0
# A file of certificates is a few kilobytes; what is larger is none.
_MOST_BYTES = 1024 * 1024
# What OpenSSL answers about a certificate that it does not believe (X509_V_ERR_…).
_VERDICTS = {
    9: "not_yet_valid",
    10: "expired",
    18: "self_signed",
    19: "self_signed",
    62: "wrong_host",
    64: "wrong_host",
}


class Unknown(Exception):
    """Nothing can be said of a certificate. `str()` is the result: `unreachable`, `address_refused`, …"""


@dataclass(frozen=True, kw_only=True)
class Seen:
    """A certificate that was shown or read. `verdict` is empty when it is believed."""

    ends: datetime
    begins: datetime
    verdict: str = ""


def audit_certificates(work: Work) -> Mapping[str, Any]:
    """`{checked, certificates: [{target, kind, result, notAfter?, daysLeft?, step?}]}`, or `{skipped}`.

    `result` is `ok`, `expiring` (`step`: within so many days), `expired`, `not_yet_valid`, `self_signed`, `untrusted`,
    `wrong_host`, `unreachable`, `address_refused` (a private one), `no_tls`, `malformed` (no host:port), `missing`,
    `unreadable`. Raises DoneInPart unless all are `ok` or `expiring`. A dry run looks and tells nobody.
    """
    targets = [*(("endpoint", name) for name in _named(settings.CERTIFICATE_ENDPOINTS))]
    targets += [("file", name) for name in _named(settings.CERTIFICATE_FILES)]
    if not targets:
        return {"skipped": "CERTIFICATE_ENDPOINTS and CERTIFICATE_FILES name nothing."}
    found = []
    for kind, name in targets:
        left = work.budget.left()
        entry = _entry(kind, name, now=work.now) if left else {"target": name, "kind": kind, "result": "left"}
        found.append(entry)
        if not work.dry_run:
            _tell(entry)
    body = {"checked": len(found), "certificates": found}
    if bad := [entry for entry in found if entry["result"] not in ("ok", "expiring")]:
        told = ", ".join(f"{entry['target']}: {entry['result']}" for entry in bad[:3])
        raise DoneInPart(f"{len(bad)} of {len(found)} certificates: {told}", body)
    return body


def expiries() -> dict[str, float]:
    """Seconds until each certificate ends that the newest run saw, by target; negative when it has."""
    newest = JobRun.objects.of(JOB).real().exclude(result=None).newest_first().first()
    entries = (newest.result or {}).get("certificates", []) if newest else []
    now = clock.now()
    return {
        entry["target"]: (datetime.fromisoformat(entry["notAfter"]) - now).total_seconds()
        for entry in entries
        if entry.get("notAfter")
    }


def step_of(left: timedelta) -> int | None:
    """The narrowest step that so much time is within; None above the widest."""
    return next((days for days in reversed(STEPS) if left <= timedelta(days=days)), None)


def endpoint_of(text: str) -> tuple[str, int]:
    """Host and port of `host:port` or `[address]:port`. Raises ValueError."""
    host, _, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not host or not port.isascii() or not port.isdigit() or len(port) > 5 or not 0 < int(port) < 65536:
        raise ValueError(text)
    return host, int(port)


def _named(given: list[str]) -> list[str]:
    return list(dict.fromkeys(name.strip() for name in given if name.strip()))


def _entry(kind: str, name: str, *, now: datetime) -> dict[str, Any]:
    entry: dict[str, Any] = {"target": name, "kind": kind}
    try:
        seen = _shown(name) if kind == "endpoint" else _read(Path(name))
    except Unknown as unknown:
        return {**entry, "result": str(unknown)}
    left = seen.ends - now
    entry |= {"notAfter": clock.rfc3339(seen.ends), "daysLeft": left // timedelta(days=1)}
    if left <= timedelta(0):
        return {**entry, "result": "expired"}
    if seen.begins > now:
        return {**entry, "result": "not_yet_valid"}
    if seen.verdict:
        return {**entry, "result": seen.verdict}
    step = step_of(left)
    return {**entry, "result": "ok"} if step is None else {**entry, "result": "expiring", "step": step}


def _tell(entry: Mapping[str, Any]) -> None:
    if entry["result"] == "ok":
        return
    facts = {key: entry[key] for key in ("target", "result", "step", "daysLeft") if key in entry}
    if entry.get("step", 0) > 7:
        logger.warning("certificate_alert", extra=facts)
    else:
        logger.error("certificate_alert", extra=facts)


def _read(file: Path) -> Seen:
    """The one of a file's certificates that ends first: with it the chain ends. Raises Unknown."""
    try:
        with file.open("rb") as opened:
            content = opened.read(_MOST_BYTES + 1)
    except FileNotFoundError as error:
        raise Unknown("missing") from error
    except OSError as error:
        raise Unknown("unreadable") from error
    try:
        if b"-----BEGIN CERTIFICATE-----" in content:
            found = x509.load_pem_x509_certificates(content)
        else:
            found = [x509.load_der_x509_certificate(content)]
    except ValueError as error:
        raise Unknown("unreadable") from error
    return _seen(min(found, key=lambda certificate: certificate.not_valid_after_utc))


def _shown(text: str) -> Seen:
    """What an endpoint shows. Raises Unknown."""
    try:
        host, port = endpoint_of(text)
    except ValueError as error:
        raise Unknown("malformed") from error
    try:
        return _seen(_handshake(host, port, ssl.create_default_context()))
    except ssl.SSLCertVerificationError as refused:
        verdict = _VERDICTS.get(refused.verify_code, "untrusted")
    # Only to know when it ends: nothing is said over it.
    anyhow = ssl.create_default_context()
    anyhow.check_hostname = False
    anyhow.verify_mode = ssl.CERT_NONE
    return _seen(_handshake(host, port, anyhow), verdict)


def _handshake(host: str, port: int, context: ssl.SSLContext) -> x509.Certificate:
    """Raises ssl.SSLCertVerificationError, Unknown."""
    backend = PublicBackend(allow_private=settings.CERTIFICATE_PRIVATE)
    ends = deadline.set(time.monotonic() + SECONDS)
    try:
        with _closing(backend.connect_tcp(host, port, timeout=SECONDS)) as plain:
            secured = plain.start_tls(context, server_hostname=host, timeout=SECONDS)
            shown = secured.get_extra_info("ssl_object").getpeercert(True)
            secured.close()
    except AddressRefused as error:
        raise Unknown("address_refused") from error
    except NameNotResolved as error:
        raise Unknown("unreachable") from error
    except httpcore.ConnectError as error:
        _raise_verdict(error)
        raise Unknown("unreachable") from error
    except (httpcore.TimeoutException, httpcore.NetworkError, OSError, ValueError) as error:
        raise Unknown("unreachable") from error
    finally:
        deadline.reset(ends)
    try:
        return x509.load_der_x509_certificate(shown or b"")
    except ValueError as error:
        raise Unknown("unreadable") from error


def _raise_verdict(error: BaseException) -> None:
    """What TLS said, out of what the connection made of it."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            raise cause
        if isinstance(cause, ssl.SSLError):
            raise Unknown("no_tls") from error
        cause = cause.__cause__ or cause.__context__


@contextmanager
def _closing(stream: httpcore.NetworkStream) -> Iterator[httpcore.NetworkStream]:
    try:
        yield stream
    finally:
        stream.close()


def _seen(certificate: x509.Certificate, verdict: str = "") -> Seen:
    ends, begins = certificate.not_valid_after_utc, certificate.not_valid_before_utc
    return Seen(ends=ends.astimezone(UTC), begins=begins.astimezone(UTC), verdict=verdict)

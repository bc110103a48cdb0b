"""`certificate-audit` against servers that speak TLS, and files."""

import logging
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from django.test import override_settings

from cron import certificates, checks, runner
from cron.models import JobRun, Trigger
from kaireon.lib import clock
from kaireon.ops import gauges
from tests.outbox.authority import Authority


@pytest.fixture
def authority(db: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Authority:
    made = Authority(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(made.bundle))
    return made


@contextmanager
def serving(context: ssl.SSLContext | None, *, host: str = "localhost") -> Iterator[str]:
    """A server that shakes hands (without a context it says something else), and its `host:port`."""
    listener = socket.create_server(("127.0.0.1", 0))
    listener.settimeout(0.1)
    over = threading.Event()

    def serve() -> None:
        while not over.is_set():
            try:
                taken, _ = listener.accept()
            except TimeoutError:
                continue
            taken.settimeout(5)
            try:
                if context is None:
                    taken.sendall(b"220 mail.example.com ready\r\n")
                    taken.recv(1000)
                else:
                    context.wrap_socket(taken, server_side=True).close()
            except OSError:
                pass
            finally:
                taken.close()

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield f"{host}:{listener.getsockname()[1]}"
    finally:
        over.set()
        thread.join()
        listener.close()


def audit(*, endpoints: Any = (), files: Any = (), private: bool = True) -> Any:
    with override_settings(
        CERTIFICATE_ENDPOINTS=[*endpoints], CERTIFICATE_FILES=[str(file) for file in files], CERTIFICATE_PRIVATE=private
    ):
        return runner.run_job("certificate-audit", trigger=Trigger.COMMAND)


def only(ran: Any) -> dict[str, Any]:
    (entry,) = ran.body["certificates"]
    return dict(entry)


def test_one_that_is_believed_and_far_from_its_end_is_ok(authority: Authority) -> None:
    with serving(authority.server("localhost", days=200)) as endpoint:
        ran = audit(endpoints=[endpoint])
    assert ran.ok
    entry = only(ran)
    assert (entry["target"], entry["kind"], entry["result"], entry["daysLeft"]) == (endpoint, "endpoint", "ok", 199)
    assert "step" not in entry


@pytest.mark.parametrize(
    ("days", "step"),
    [(30.1, None), (29.9, 30), (14.1, 30), (13.9, 14), (6.9, 7), (2.9, 3), (0.9, 1)],
)
def test_each_step_is_told_from_its_day_on(
    authority: Authority, caplog: pytest.LogCaptureFixture, days: float, step: int | None
) -> None:
    with serving(authority.server("localhost", days=days)) as endpoint:
        ran = audit(endpoints=[endpoint])
    assert ran.ok
    assert only(ran).get("step") == step
    told = [record for record in caplog.records if record.message == "certificate_alert"]
    assert [record.levelno for record in told] == (
        [] if step is None else [logging.WARNING if step > 7 else logging.ERROR]
    )


def test_one_that_ended_fails_the_run_and_says_since_when(authority: Authority) -> None:
    with serving(authority.server("localhost", ended=True)) as endpoint:
        ran = audit(endpoints=[endpoint])
    assert not ran.ok
    assert (only(ran)["result"], only(ran)["daysLeft"]) == ("expired", -2)
    assert ran.body["error"] == f"1 of 1 certificates: {endpoint}: expired"


def test_another_name_is_told_with_its_end(authority: Authority) -> None:
    with serving(authority.server("crm.example.com", days=90)) as endpoint:
        ran = audit(endpoints=[endpoint])
    assert not ran.ok
    assert (only(ran)["result"], only(ran)["daysLeft"]) == ("wrong_host", 89)


def test_one_that_signed_itself_and_one_of_a_strangers_are_not_believed(
    authority: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tmp_path / "other"
    other.mkdir()
    strange = Authority(other)
    alone = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    both = other / "alone.pem"
    key = strange._key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    both.write_bytes(key + strange.bundle.read_bytes())
    alone.load_cert_chain(both)
    with serving(strange.server("localhost")) as first, serving(alone) as second:
        ran = audit(endpoints=[first, second])
    assert not ran.ok
    assert [entry["result"] for entry in ran.body["certificates"]] == ["untrusted", "self_signed"]
    assert all(entry["notAfter"] for entry in ran.body["certificates"])


def test_nobody_there_no_tls_and_no_endpoint_are_each_told_apart(authority: Authority) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    with serving(None) as plain:
        ran = audit(
            endpoints=[f"localhost:{port}", plain, "localhost", "localhost:0065535999", "no-such-host.invalid:443"]
        )
    assert not ran.ok
    results = [entry["result"] for entry in ran.body["certificates"]]
    assert results == ["unreachable", "no_tls", "malformed", "malformed", "unreachable"]


def test_a_private_address_is_not_contacted_unless_that_is_allowed(authority: Authority) -> None:
    with serving(authority.server("localhost")) as endpoint:
        ran = audit(endpoints=[endpoint], private=False)
    assert only(ran) == {"target": endpoint, "kind": "endpoint", "result": "address_refused"}


def test_files_in_both_encodings_missing_and_garbled(authority: Authority, tmp_path: Path) -> None:
    authority.server("here.example.com", days=5)
    # The authority's certificate, good for a year, before the one that ends first.
    chain = tmp_path / "chain.pem"
    leaf = (tmp_path / "server-here.example.com-False.pem").read_bytes()
    chain.write_bytes(authority.bundle.read_bytes() + leaf)
    der = tmp_path / "ca.der"
    der.write_bytes(
        x509.load_pem_x509_certificate(authority.bundle.read_bytes()).public_bytes(serialization.Encoding.DER)
    )
    garbled, empty = tmp_path / "garbled.pem", tmp_path / "empty.pem"
    garbled.write_bytes(b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
    empty.write_bytes(b"")
    ran = audit(files=[chain, der, garbled, empty, tmp_path / "nowhere.pem", tmp_path])
    assert not ran.ok
    results = [(entry["result"], entry.get("step")) for entry in ran.body["certificates"]]
    assert results == [
        ("expiring", 7),
        ("ok", None),
        ("unreadable", None),
        ("unreadable", None),
        ("missing", None),
        ("unreadable", None),
    ]


def test_nothing_configured_is_nothing_to_do(db: str) -> None:
    ran = audit()
    assert (ran.ok, list(ran.body)) == (True, ["ok", "skipped"])


def test_the_metric_counts_on_from_the_newest_run(authority: Authority) -> None:
    assert not certificates.expiries()
    with serving(authority.server("localhost", days=10)) as endpoint:
        audit(endpoints=[endpoint])
    JobRun.objects.create(
        job=certificates.JOB, trigger=Trigger.BEAT, started_at=clock.now() + timedelta(hours=1)
    )  # One that is under way and has said nothing yet.
    (family, *_) = gauges.upkeep()
    (sample,) = family.samples
    assert (sample.name, sample.labels) == ("cert_expiry_seconds", {"target": endpoint})
    assert 9.9 * 86400 < sample.value < 10 * 86400


def test_a_configured_endpoint_that_is_none_is_refused_with_a_remedy() -> None:
    with override_settings(
        CERTIFICATE_ENDPOINTS=["a.example.com:443", "[2001:db8::1]:8443", "", "https://a.example.com"]
    ):
        (message,) = checks.certificates_are_endpoints(None)
    assert (message.id, "host:port" in str(message.hint)) == ("kaireon.E033", True)

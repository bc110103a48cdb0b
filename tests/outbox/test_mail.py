"""Mail to a real SMTP server on loopback: in clear, over STARTTLS, with a password, and with every way of saying no."""

import email
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from email.message import Message as Letter
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, LoginPassword
from django.core.checks import run_checks

from kaireon.outbox import mail
from tests.outbox.authority import Authority
from tests.outbox.conftest import again, deliver, deliver_until_settled, destination, letters, make_due, publish

MAIL = {"to": ["jane@example.com"], "subject": "Your request", "text": "It is done."}


class Mailbox:
    """Takes mail, or says what it was told to say, at each step of the dialogue."""

    def __init__(self) -> None:
        self.mails: list[tuple[list[str], Letter]] = []
        self.sender = self.data = "250 OK"
        # By recipient; one answer after the other, and then yes.
        self.recipients: dict[str, list[str]] = {}
        self.encrypted: list[bool] = []

    async def handle_MAIL(self, server: Any, session: Any, envelope: Any, address: str, options: Any) -> str:
        if self.sender.startswith("250"):
            envelope.mail_from = address
        return self.sender

    async def handle_RCPT(self, server: Any, session: Any, envelope: Any, address: str, options: Any) -> str:
        waiting = self.recipients.get(address)
        if waiting:
            return waiting.pop(0)
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        if self.data.startswith("250"):
            self.mails.append((envelope.rcpt_tos, email.message_from_bytes(envelope.content)))
            self.encrypted.append(session.ssl is not None)
        return self.data


def allow(server: Any, session: Any, envelope: Any, mechanism: str, given: LoginPassword) -> AuthResult:
    if (given.login, given.password) == (b"kaireon", b"s3cret"):
        return AuthResult(success=True)
    return AuthResult(success=False, handled=False)


Serve = Callable[..., Mailbox]


@pytest.fixture
def serve(acme: str, settings: Any) -> Iterator[Serve]:
    """Start a mail server and have the product use it."""
    destination("mail", "email", {"from": "compliance@acme.example"})
    with ExitStack() as running:

        def start(**options: Any) -> Mailbox:
            box = Mailbox()
            with socket.create_server(("127.0.0.1", 0)) as free:
                port = free.getsockname()[1]
            server = Controller(box, hostname="127.0.0.1", port=port, **options)
            server.start()
            running.callback(server.stop)
            settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
            settings.EMAIL_HOST, settings.EMAIL_PORT, settings.EMAIL_TIMEOUT = "localhost", port, 5
            return box

        yield start


def post(**change: Any) -> Any:
    return publish(to="mail", topic="mail", payload=MAIL | change)


def test_mail_arrives_with_an_id_that_names_it(serve: Serve) -> None:
    box = serve()
    message = post(html="<p>It is done.</p>", text="Es ist getan: ü 好 🎉", subject="Ihre Anfrage ü")
    assert deliver().sent == 1
    [(to, letter)] = box.mails
    assert to == ["jane@example.com"]
    assert letter["From"] == "compliance@acme.example"
    assert letter["Message-ID"] == f"<{message.pk}@kaireon>"
    assert letter["Kaireon-Id"] == str(message.pk)
    assert str(email.header.make_header(email.header.decode_header(letter["Subject"]))) == "Ihre Anfrage ü"
    plain, html = (part.get_payload(decode=True) for part in letter.walk() if not part.is_multipart())
    assert plain.decode() == "Es ist getan: ü 好 🎉"
    assert html == b"<p>It is done.</p>"


@pytest.mark.parametrize(
    ("reader", "on_the_wire"),
    [
        ("jane@groß.example", "jane@xn--gro-7ka.example"),
        ("jane@Bücher.example", "jane@xn--bcher-kva.example"),
        ("jane@σοφός.example", "jane@xn--0xagbn4a.example"),
        ("jane@exa\u200dmple.example", "jane@xn--example-j06c.example"),
        ("jane@xn--gro-7ka.example", "jane@xn--gro-7ka.example"),
    ],
)
def test_it_goes_to_the_domain_that_was_named_and_to_none_that_is_spelled_alike(
    serve: Serve, reader: str, on_the_wire: str
) -> None:
    """By RFC 3490, which Django follows, groß.example would be gross.example, somebody else's."""
    box = serve()
    post(to=[reader])
    assert deliver().sent == 1
    [(to, letter)] = box.mails
    assert (to, letter["To"]) == ([on_the_wire], on_the_wire)


def test_a_second_copy_is_known_by_its_id(serve: Serve) -> None:
    box = serve()
    box.data = "451 later"
    message = post()
    assert deliver().failed == 1
    box.data = "250 OK"
    make_due()
    assert deliver().sent == 1
    assert [letter["Message-ID"] for _, letter in box.mails] == [f"<{message.pk}@kaireon>"]


@pytest.mark.parametrize("step", ["sender", "recipients", "data"])
@pytest.mark.parametrize(
    ("answer", "found", "tries"),
    [
        ("421 going down", ("transient", "smtp_421"), 3),
        ("451 later", ("transient", "smtp_451"), 3),
        ("550 no such mailbox", ("permanent", "smtp_550"), 1),
        ("554 never", ("permanent", "smtp_554"), 1),
    ],
)
def test_four_hundred_is_tried_again_and_five_hundred_is_not(
    serve: Serve, step: str, answer: str, found: tuple[str, str], tries: int
) -> None:
    box = serve()
    setattr(box, step, {"jane@example.com": [answer] * 9} if step == "recipients" else answer)
    message = post()
    deliver_until_settled()
    assert box.mails == []
    assert [(x.classification, x.error_type) for x in letters()] == [found]
    assert again(message).failures == tries


def test_a_reader_who_is_refused_is_not_lost_among_the_others(serve: Serve) -> None:
    box = serve()
    box.recipients["gone@example.com"] = ["550 no such mailbox"]
    message = post(to=["jane@example.com", "gone@example.com", "joe@example.com"])
    deliver_until_settled()
    assert [to for to, _ in box.mails] == [["jane@example.com"], ["joe@example.com"]]
    assert {letter["To"] for _, letter in box.mails} == {"jane@example.com, gone@example.com, joe@example.com"}
    assert (again(message).state, again(message).error) == ("dead", "smtp_550")


def test_a_reader_who_is_told_later_gets_it_later(serve: Serve) -> None:
    box = serve()
    box.recipients["slow@example.com"] = ["450 greylisted", "450 greylisted"]
    message = post(to=["jane@example.com", "slow@example.com"])
    deliver_until_settled()
    assert again(message).state == "done"
    assert ["slow@example.com"] in [to for to, _ in box.mails]
    assert {letter["Message-ID"] for _, letter in box.mails} == {f"<{message.pk}@kaireon>"}


def test_who_has_it_gets_no_second_copy_while_others_are_told_later(serve: Serve) -> None:
    box = serve()
    box.recipients["slow@example.com"] = ["450 greylisted"] * 2
    box.recipients["gone@example.com"] = ["550 no such mailbox"] * 3
    message = post(to=["jane@example.com", "slow@example.com", "gone@example.com", "joe@example.com"])
    deliver_until_settled()
    assert sorted(to for [to], _ in box.mails) == ["jane@example.com", "joe@example.com", "slow@example.com"]
    # Whom it was meant for is said to each of them all the same, and who never got it is not forgotten.
    assert len({letter["To"] for _, letter in box.mails}) == 1
    assert (again(message).state, again(message).error) == ("dead", "smtp_550")


def test_a_conversation_that_breaks_off_goes_on_behind_the_last_reader(serve: Serve) -> None:
    box = serve()
    box.recipients["joe@example.com"] = ["421 going down"]
    message = post(to=["jane@example.com", "joe@example.com", "kim@example.com"])
    deliver_until_settled()
    assert [to for [to], _ in box.mails] == ["jane@example.com", "joe@example.com", "kim@example.com"]
    assert again(message).state == "done"


@pytest.fixture
def authority(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Authority:
    made = Authority(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(made.bundle))
    return made


def test_it_goes_over_starttls_with_a_password(serve: Serve, authority: Authority, settings: Any) -> None:
    box = serve(
        tls_context=authority.server("localhost"),
        require_starttls=True,
        auth_required=True,
        authenticator=allow,
    )
    settings.EMAIL_USE_TLS = True
    settings.EMAIL_HOST_USER, settings.EMAIL_HOST_PASSWORD = "kaireon", "s3cret"
    post()
    assert deliver().sent == 1
    assert box.encrypted == [True]


def test_a_wrong_password_is_permanent_and_said_so(serve: Serve, authority: Authority, settings: Any) -> None:
    box = serve(tls_context=authority.server("localhost"), auth_required=True, authenticator=allow)
    settings.EMAIL_USE_TLS = True
    settings.EMAIL_HOST_USER, settings.EMAIL_HOST_PASSWORD = "kaireon", "wrong"
    message = post()
    deliver()
    assert box.mails == []
    assert (again(message).state, again(message).error) == ("dead", "smtp_535")


def test_a_server_that_wants_a_password_gets_none_it_was_not_given(serve: Serve, authority: Authority) -> None:
    box = serve(tls_context=authority.server("localhost"), auth_required=True, authenticator=allow)
    message = post()
    deliver()
    assert box.mails == []
    assert again(message).error == "smtp_530"


def test_without_starttls_nothing_is_said_in_clear(serve: Serve, settings: Any) -> None:
    box = serve()
    settings.EMAIL_USE_TLS = True
    message = post()
    assert deliver().failed == 1
    assert box.mails == []
    assert again(message).error == "SMTPNotSupportedError"


@pytest.mark.parametrize(("name", "ended"), [("mail.example.com", False), ("localhost", True)])
def test_a_certificate_that_does_not_fit_gets_no_mail(
    serve: Serve, authority: Authority, settings: Any, name: str, ended: bool
) -> None:
    box = serve(tls_context=authority.server(name, ended=ended))
    settings.EMAIL_USE_TLS = True
    message = post()
    deliver_until_settled()
    assert box.mails == []
    assert again(message).error == "SSLCertVerificationError"
    # No fault of the message: it goes when the certificate is a good one again.
    assert [x.classification for x in letters()] == ["transient"]


def test_a_server_that_speaks_tls_from_the_start(serve: Serve, authority: Authority, settings: Any) -> None:
    box = serve(ssl_context=authority.server("localhost", "127.0.0.1"), server_hostname="127.0.0.1")
    settings.EMAIL_USE_SSL = True
    post()
    assert deliver().sent == 1
    assert len(box.mails) == 1


@pytest.mark.parametrize(
    "change",
    [
        {"subject": "a\r\nBcc: eve@example.com"},
        {"to": ["a@example.com\nBcc: eve@example.com"]},
        {"to": ["a@example.com", "b@example.com\r\nRCPT TO:<eve@example.com>"]},
    ],
)
def test_nothing_slips_into_the_headers(serve: Serve, change: dict[str, Any]) -> None:
    box = serve()
    post(**change)
    deliver_until_settled()
    assert box.mails == []
    assert [(x.classification, x.error_type) for x in letters()] == [("permanent", "mail_malformed")]


def test_a_server_that_is_away_is_tried_again(serve: Serve, settings: Any) -> None:
    serve()
    settings.EMAIL_PORT = 1
    message = post()
    assert deliver().failed == 1
    assert again(message).error == "ConnectionRefusedError"


@pytest.mark.parametrize("greeting", [b"", b"220 mail.example.com ESMTP\r\n"], ids=["silent", "greets and is silent"])
def test_a_server_that_hangs_is_left(serve: Serve, settings: Any, greeting: bytes) -> None:
    serve()
    ended = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as silent:

        def hang() -> None:
            connection, _ = silent.accept()
            with connection:
                connection.sendall(greeting)
                ended.wait(20)

        thread = threading.Thread(target=hang, daemon=True)
        thread.start()
        settings.EMAIL_PORT, settings.EMAIL_TIMEOUT = silent.getsockname()[1], 0.4
        message = post()
        deliver()
        assert not ended.is_set()
        ended.set()
        thread.join()
    assert (again(message).state, again(message).failures) == ("pending", 1)


@pytest.mark.parametrize("said", [b"2", b"220-wait\r\n"], ids=["a byte", "a line"])
def test_a_server_that_drips_is_left_when_the_whole_took_too_long(
    serve: Serve, settings: Any, monkeypatch: pytest.MonkeyPatch, said: bytes
) -> None:
    serve()
    monkeypatch.setattr(mail, "SEND_SECONDS", 0.5)
    ended = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as dripping:

        def drip() -> None:
            connection, _ = dripping.accept()
            with connection, suppress(OSError):
                while not ended.wait(0.05):
                    connection.sendall(said)

        thread = threading.Thread(target=drip, daemon=True)
        thread.start()
        # No single wait is as long as this.
        settings.EMAIL_PORT, settings.EMAIL_TIMEOUT = dripping.getsockname()[1], 5
        message = post()
        deliver()
        assert not ended.is_set()
        ended.set()
        thread.join()
    assert (again(message).state, again(message).error) == ("pending", "timeout")


@pytest.mark.parametrize(
    "payload", [{"to": []}, {"to": "jane@example.com"}, {"to": [7]}, {"subject": ""}, {"text": None}, {"html": 1}]
)
def test_what_is_no_mail_is_refused_before_it_is_accepted(serve: Serve, payload: dict[str, Any]) -> None:
    from kaireon.outbox.topics import PayloadOffSchema

    serve()
    with pytest.raises(PayloadOffSchema):
        post(**payload)


def test_a_message_of_another_topic_is_no_mail(serve: Serve) -> None:
    serve()
    publish(to="mail")
    deliver()
    assert [(x.classification, x.error_type) for x in letters()] == [("permanent", "not_a_mail")]


def test_production_refuses_mail_that_goes_nowhere(settings: Any) -> None:
    settings.PRODUCTION = True
    for backend, found in (("console", True), ("filebased", True), ("dummy", True), ("smtp", False)):
        settings.EMAIL_BACKEND = f"django.core.mail.backends.{backend}.EmailBackend"
        messages = run_checks()
        assert ("kaireon.E025" in {message.id for message in messages}) is found, backend

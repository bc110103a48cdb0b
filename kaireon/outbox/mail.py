"""Mail through the server of EMAIL_URL. Message-ID is made of the message's id, so a second copy is known as one."""

import smtplib
import unicodedata
from collections.abc import Mapping
from typing import Any

from django.conf import settings
from django.core.mail import EmailMultiAlternatives, get_connection

from kaireon.outbox.bounded_smtp import Deadline
from kaireon.outbox.sending import SEND_SECONDS, Outgoing, Refused
from kaireon.outbox.signatures import ID_HEADER

# In a payload, who of its readers has not got it yet. Nobody can publish it: the topic takes no such field.
_LEFT = "left"


class _Letter(EmailMultiAlternatives):
    """Addressed to all its readers and handed over for one: the server's no to one is not lost among its yeses."""

    reader = ""

    def recipients(self) -> list[str]:
        return [self.reader]


def send(given: Mapping[str, Any], secret: str, message: Outgoing) -> None:
    """Send `{to: […], subject, text, html?}`, for each reader by itself. Raises Refused.

    When only some have it, the others' copies are tried again, if that may help, under the same Message-ID.
    """
    payload = message.payload
    if not _is_mail(payload):
        raise Refused("not_a_mail", permanent=True)
    readers = list(payload.get(_LEFT, payload["to"]))
    reached: list[str] = []
    try:
        _send_each(_letter(given, message), readers, reached)
    except Refused as refusal:
        if len(reached) == len(readers):
            # All have it: how the conversation ended is no failure of the message.
            return
        if reached:
            refusal.rest = {**payload, _LEFT: [reader for reader in readers if reader not in reached]}
        raise


def _letter(given: Mapping[str, Any], message: Outgoing) -> _Letter:
    payload = message.payload
    letter = _Letter(
        subject=payload["subject"],
        body=payload["text"],
        from_email=given.get("from") or settings.DEFAULT_FROM_EMAIL,
        to=[_on_the_wire(reader) for reader in payload["to"]],
        headers={ID_HEADER: str(message.id), "Message-ID": f"<{message.id}@kaireon>"},
    )
    if payload.get("html"):
        letter.attach_alternative(payload["html"], "text/html")
    return letter


def _send_each(letter: _Letter, readers: list[str], reached: list[str]) -> None:
    """Adds to `reached` who has it. Raises Refused."""
    refusals: list[Refused] = []
    try:
        with Deadline(SEND_SECONDS) as deadline, get_connection(deadline.backend) as letter.connection:
            for reader in readers:
                letter.reader = _on_the_wire(reader)
                try:
                    letter.send()
                    reached.append(reader)
                except smtplib.SMTPRecipientsRefused as e:
                    refusals.extend(_refused(code, is_answer=True) for code, _ in e.recipients.values())
    except smtplib.SMTPResponseException as e:
        raise _refused(e.smtp_code) from e
    except (smtplib.SMTPException, OSError) as e:
        # Before ValueError, which a certificate that is not believed is too.
        raise Refused("timeout" if deadline.passed else type(e).__name__) from e
    except ValueError as e:
        # A line break in a header, or no address: BadHeaderError and its kin.
        raise Refused("mail_malformed", permanent=True) from e
    if refusals:
        raise min(refusals, key=lambda refusal: refusal.permanent)


def _on_the_wire(address: str) -> str:
    """With the domain as servers write it (RFC 5891), letter for letter. Django follows RFC 3490, to which
    groß.example is gross.example: another domain, and another person's mailbox. Raises ValueError for no domain.
    """
    local, at, domain = address.rpartition("@")
    if domain.isascii():
        return address
    labels = unicodedata.normalize("NFC", domain).lower().split(".")
    return f"{local}{at}{'.'.join(_label_on_the_wire(label) for label in labels)}"


def _label_on_the_wire(label: str) -> str:
    return label if label.isascii() else f"xn--{label.encode('punycode').decode()}"


def _is_mail(payload: Mapping[str, Any]) -> bool:
    readers = payload.get("to")
    return (
        isinstance(readers, list)
        and readers != []
        and all(isinstance(text, str) for text in (*readers, payload.get("text"), payload.get("subject")))
        and isinstance(payload.get("html", ""), str)
    )


def _refused(code: int, *, is_answer: bool = False) -> Refused:
    return Refused(f"smtp_{code}", permanent=code >= 500, is_answer=is_answer)

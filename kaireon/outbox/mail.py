"""Mail through the server of EMAIL_URL. Message-ID is made of the message's id, so a second copy is known as one."""

import smtplib
from collections.abc import Mapping
from typing import Any

from django.conf import settings
from django.core.mail import EmailMultiAlternatives

from kaireon.outbox.sending import Outgoing, Refused
from kaireon.outbox.signatures import ID_HEADER


def send(given: Mapping[str, Any], secret: str, message: Outgoing) -> None:
    """Send `{to: […], subject, text, html?}`. Raises Refused."""
    payload = message.payload
    if not (isinstance(payload.get("to"), list) and isinstance(payload.get("text"), str) and payload.get("subject")):
        raise Refused("not_a_mail", permanent=True)
    letter = EmailMultiAlternatives(
        subject=payload["subject"],
        body=payload["text"],
        from_email=given.get("from") or settings.DEFAULT_FROM_EMAIL,
        to=payload["to"],
        headers={ID_HEADER: str(message.id), "Message-ID": f"<{message.id}@kaireon>"},
    )
    if payload.get("html"):
        letter.attach_alternative(payload["html"], "text/html")
    try:
        letter.send()
    except smtplib.SMTPRecipientsRefused as e:
        raise _refused(max(code for code, _ in e.recipients.values()), is_answer=True) from e
    except smtplib.SMTPResponseException as e:
        raise _refused(e.smtp_code) from e
    except ValueError as e:
        # A line break in a header, or no address: BadHeaderError and its kin.
        raise Refused("mail_malformed", permanent=True) from e
    except (smtplib.SMTPException, OSError) as e:
        raise Refused(type(e).__name__) from e


def _refused(code: int, *, is_answer: bool = False) -> Refused:
    return Refused(f"smtp_{code}", permanent=code >= 500, is_answer=is_answer)

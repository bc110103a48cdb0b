"""A real mail server on loopback, and letters switched on."""

import email
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from email.header import decode_header, make_header
from email.message import Message as Mail
from typing import Any

from aiosmtpd.controller import Controller

from dsar.letters import manner
from dsar.models import Letter, LetterState
from kaireon.jobs import runner
from kaireon.jobs.models import Job, JobState
from kaireon.lib import clock
from kaireon.outbox import destinations
from kaireon.tenancy.context import transaction


class Box:
    """Takes mail, or says what it was told to."""

    def __init__(self) -> None:
        self.mails: list[Mail] = []
        self.to: list[str] = []
        self.answer = "250 OK"
        self.port = 0

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        if self.answer.startswith("250"):
            self.mails.append(email.message_from_bytes(envelope.content))
            self.to.append(envelope.rcpt_tos[0])
        return self.answer

    def subjects(self) -> list[str]:
        return [subject_of(mail) for mail in self.mails]

    def texts(self) -> list[str]:
        return [text_of(mail) for mail in self.mails]


@contextmanager
def mail_server(settings: Any) -> Iterator[Box]:
    box = Box()
    with socket.create_server(("127.0.0.1", 0)) as free:
        box.port = free.getsockname()[1]
    server = Controller(box, hostname="127.0.0.1", port=box.port)
    server.start()
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT, settings.EMAIL_TIMEOUT = "localhost", box.port, 5
    try:
        yield box
    finally:
        server.stop()


def letters_on(**given: Any) -> None:
    with transaction():
        destinations.save(name="post", kind="email", given={"from": "post@acme.example"}, now=clock.now())
        manner.change({"automatic": True, **given}, now=clock.now())


def subject_of(mail: Mail) -> str:
    return str(make_header(decode_header(str(mail["Subject"]))))


def text_of(mail: Mail) -> str:
    payload = mail.get_payload(decode=True)
    assert isinstance(payload, bytes)
    return payload.decode().replace("\r\n", "\n")


def deliver(*, most: int = 20) -> None:
    """Run the jobs of letters that are queued, whenever they are due."""
    for _ in range(most):
        with transaction():
            Job.objects.filter(state=JobState.QUEUED).update(due_at=clock.now())
            job = Job.objects.filter(state=JobState.QUEUED, type="dsar_letter").order_by("created_at").first()
        if job is None:
            return
        runner.run(job_id=job.pk)


def states() -> list[tuple[str, str]]:
    with transaction():
        rows = Letter.objects.exclude(state=LetterState.KEPT).order_by("written_at", "id")
        return [(letter.kind, letter.state) for letter in rows]

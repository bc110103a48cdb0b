"""Acme's public page, and people who come to it with a browser of their own."""

import html
import re
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.test import Client

from customers import models as m
from dsar.models import DsarRequest, FollowLink, PublicFiling
from dsar.public import filing, guard, page
from kaireon.jobs import runner
from kaireon.jobs.models import Job, JobState
from kaireon.lib import clock
from kaireon.outbox import destinations, payloads
from kaireon.outbox.models import Message
from kaireon.tenancy.context import transaction
from kaireon.tenancy.models import Tenant
from tests.cast import ADA, Person
from tests.dsar.conftest import EMAIL, NUMBER

URL = "https://privacy.acme.example"


@pytest.fixture
def acme(db: str, settings: Any) -> Iterator[str]:
    """Acme's page is open, and Jane is a customer; gives its path. The test runs in Ada's scope."""
    settings.PUBLIC_URL = URL
    open_page(ADA)
    with ADA.here():
        with transaction():
            for number, email in (("C-99", "neighbour@example.com"), (NUMBER, EMAIL)):
                who = m.Customer.objects.create(customer_id=number, email=email, name="Jane Doe")
                m.Delivery.objects.create(customer=who, channel="email", destination=email)
        yield "/privacy/acme/"


def open_page(who: Person, **more: Any) -> None:
    with who.here(), transaction():
        destinations.save(name="letters", kind="email", given={}, now=clock.now())
        page.open_page(contact=more.get("contact", "Acme, Data protection, 1 Road"), now=clock.now())


class Visitor:
    """Somebody with a browser, who looks at the form before they send it."""

    def __init__(self, root: str = "/privacy/acme/", **more: Any) -> None:
        self.root = root
        self.client = Client(raise_request_exception=False, **more)

    def get(self, path: str = "", **more: Any) -> Any:
        return self.client.get(self.root + path, **more)

    def post(self, path: str = "", given: Any = None, **more: Any) -> Any:
        return self.client.post(self.root + path, given or {}, **more)

    def ask(self, kind: str = "export", address: str = EMAIL, *, seconds: float = 30, **more: Any) -> Any:
        shown = guard.stamp(clock.now() - timedelta(seconds=seconds))
        headers = more.pop("headers", {})
        return self.post("", {"kind": kind, "address": address, "shown": shown, **more}, headers=headers)

    def confirm(self, code: str, **more: Any) -> Any:
        return self.post("code/", {"code": code}, **more)

    def arrive(self, kind: str = "export", address: str = EMAIL, **more: Any) -> Any:
        """Ask, and confirm: the page of the request."""
        assert self.ask(kind, address, **more).status_code == 303
        work(filing.JOB)
        answer = self.confirm(code_in(mails()[-1]))
        assert (answer.status_code, answer["Location"]) == (303, f"{self.root}request/"), answer.content
        return self.get("request/")


def work(*types: str) -> None:
    """What a worker does with the jobs that are due, of these types or of all."""
    with transaction():
        waiting = Job.objects.filter(state=JobState.QUEUED, due_at__lte=clock.now())
        due = list((waiting.filter(type__in=types) if types else waiting).order_by("created_at", "id"))
    for job in due:
        runner.run(job_id=job.pk)


def mails() -> list[dict[str, Any]]:
    """What was mailed, oldest first."""
    with transaction():
        rows = list(Message.objects.order_by("created_at", "id"))
        return [mail for row in rows if (mail := payloads.read(row.pk)) is not None]


def code_in(mail: dict[str, Any]) -> str:
    found = re.search(r"\b[0-9]{8}\b", mail["text"])
    assert found is not None, mail["text"]
    return found[0]


def link_in(mail: dict[str, Any]) -> str:
    """The path of the link in a mail."""
    found = re.search(rf"{URL}(/privacy/\S+)", mail["text"])
    assert found is not None, mail["text"]
    return found[1]


def wrong(code: str) -> str:
    return f"{(int(code) + 1) % 10**8:08d}"


def requests() -> list[DsarRequest]:
    with transaction():
        return list(DsarRequest.objects.order_by("requested_at", "id"))


def filings() -> int:
    with transaction():
        return PublicFiling.objects.count()


def earlier(by: timedelta) -> None:
    """Everything that the page knows, as if it had been written down so much earlier."""

    def moved(moment: datetime | None) -> datetime | None:
        return moment and moment - by

    with transaction():
        for model, columns in (
            (PublicFiling, ("sent_at", "expires_at", "ends_at", "received_at")),
            (FollowLink, ("sent_at", "expires_at", "made_at", "ends_at")),
        ):
            for row in model.objects.all():
                model.objects.filter(pk=row.pk).update(**{c: moved(getattr(row, c)) for c in columns})


def law(regulation: str) -> None:
    with transaction():
        Tenant.objects.update(regulation=regulation)


def text_of(answer: Any) -> str:
    """What a page says, without its tags."""
    text = re.sub(r"<(style|head).*?</\1>", "", answer.content.decode(), flags=re.DOTALL)
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", text)).split())


def customers() -> int:
    with transaction():
        return m.Customer.objects.count()

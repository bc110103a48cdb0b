"""A whole life of requests at log level DEBUG, told by processes of the product: nobody's data is in what they leave.

Logs of the web server and of the worker, arguments of jobs, messages in the broker and what else is in Redis.
"""

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psycopg
import pytest
import redis
from django.test import Client

from customers import models as m
from kaireon import env
from kaireon.lib import clock
from kaireon.outbox import destinations
from kaireon.outbox import services as outbox
from kaireon.tenancy.context import transaction
from tests.cast import ADA, PASSWORD
from tests.dsar.conftest import make_customer
from tests.live import Web, Worker, wait_until
from tests.story.conftest import Person

pytestmark = pytest.mark.slow

NUMBER, EMAIL = "KUNDE-77/ö-8842", "z.marked+77@mail-of-his.example"
NAME, PHONE = "Zbigniew Markowitz-Öz", "+49 30 5550 4711"
UNKNOWN = "never-seen-9931@nowhere-at-all.example"
MARKS = (
    NUMBER,
    EMAIL,
    NAME,
    PHONE,
    UNKNOWN,
    "Zbigniew",
    "Markowitz",
    "device-4711",
    "own words 5583",
    "letter-5583",
)


def spellings(mark: str) -> Iterator[str]:
    """As it stands, in links, in JSON, in bytes of Python, and in base64 wherever it begins."""
    for text in {mark, mark.lower(), mark.upper()}:
        yield from {text, quote(text), quote(text, safe=""), json.dumps(text)[1:-1], repr(text.encode())[2:-1]}
    for shift in range(3):
        yield base64.b64encode(b"\0" * shift + mark.encode()).decode()[4 * bool(shift) : -4]


def found_in(text: str) -> dict[str, str]:
    """Which of the marks a text has, each with what stands around it."""
    at = {mark: next((i for s in spellings(mark) if (i := text.find(s)) >= 0), -1) for mark in MARKS}
    return {mark: text[max(0, i - 200) : i + 200] for mark, i in at.items() if i >= 0}


def redis_says() -> str:
    """All there is in every database of Redis, messages of the broker opened."""
    clients = [redis.Redis.from_url(env.redis_url(database)) for database in range(4)]
    return "\n".join(f"{key!r} {_value(client, key)}" for client in clients for key in client.scan_iter())


def _value(client: Any, key: bytes) -> str:
    kind = client.type(key)
    values = {
        b"list": lambda: client.lrange(key, 0, -1),
        b"hash": lambda: [part for pair in client.hgetall(key).items() for part in pair],
        b"zset": lambda: client.zrange(key, 0, -1),
        b"set": lambda: list(client.smembers(key)),
        b"string": lambda: [client.get(key)],
        b"stream": lambda: [str(client.xrange(key)).encode()],
    }[kind]()
    return " ".join(_opened(value) for value in values if value is not None)


def _opened(value: bytes) -> str:
    text = value.decode(errors="replace")
    try:
        body = json.loads(text)["body"]
        return f"{text} {base64.b64decode(body).decode(errors='replace')}"
    except (ValueError, KeyError, TypeError):
        return text


def in_the_admin(capfd: pytest.CaptureFixture[str]) -> str:
    """Filed, looked at, found and refused by an officer at the admin; gives what that process logged."""
    capfd.readouterr()
    officer = Client(raise_request_exception=False)
    assert officer.post("/admin/login/", {"username": ADA.email, "password": PASSWORD}).status_code == 302
    page = "/admin/dsar/dsarrequest"
    given = {
        "subject_id": NUMBER,
        "subject_type": "customer_id",
        "regulation": "gdpr",
        "received_on": clock.now().date().isoformat(),
    }
    assert officer.post(f"{page}/access/", given).status_code in (200, 302)
    assert officer.post(f"{page}/access/", {**given, "subject_id": "x" * 300 + EMAIL}).status_code == 200
    for query in (NUMBER, EMAIL, NAME):
        assert officer.get(f"{page}/", {"q": query}).status_code == 200
        assert officer.get("/admin/customers/customer/", {"q": query}).status_code in (200, 302)
    with ADA.here(), transaction():
        who = m.Customer.objects.get(customer_id=NUMBER)
    assert officer.get(f"/admin/customers/customer/{who.pk}/change/").status_code == 200
    return capfd.readouterr().err


@pytest.fixture
def told(db: str, tmp_path: Path) -> Path:
    """A folder for logs, and the person with rows everywhere."""
    with ADA.here(), transaction():
        who = make_customer("C-99", EMAIL)
        m.Customer.objects.filter(pk=who.pk).update(customer_id=NUMBER, name=NAME, phone=PHONE)
        for twin in ("t-1", "t-2"):
            m.Customer.objects.create(customer_id=twin, email=f"shared.{EMAIL}", name=NAME)
        # Nobody listens there: what it says when mail cannot be sent is looked at too.
        destinations.save(name="letters", kind="email", given={}, now=clock.now())
    return tmp_path


def test_nobody_is_named_in_logs_jobs_or_messages(
    told: Path, superuser_url: str, capfd: pytest.CaptureFixture[str]
) -> None:
    noisy = {"LOG_LEVEL": "DEBUG"}
    logs = told / "web.log", told / "worker.log"
    with Web(logs[0], **noisy) as web, psycopg.connect(superuser_url, autocommit=True) as root:
        ada, vi = Person(web, "ada"), Person(web, "vi")
        # Filed, with nobody to work on it: the messages wait in the broker.
        asked = {
            name: ada.post("/dsar", {"subjectId": subject, **more})
            for name, subject, more in (
                ("export", NUMBER, {"requestType": "export"}),
                ("envelope", EMAIL.upper(), {"requestType": "export", "subjectType": "email", "encrypt": True}),
                ("unknown", UNKNOWN, {"requestType": "export", "subjectType": "email"}),
                ("ambiguous", f"shared.{EMAIL}", {"requestType": "delete", "subjectType": "email"}),
                ("person", NUMBER, {"requestType": "rectification", "details": "his own words 5583"}),
            )
        }
        assert {name: answer.status for name, answer in asked.items()} == dict.fromkeys(asked, 202)
        ids = {name: answer.json()["requestId"] for name, answer in asked.items()}
        admin = in_the_admin(capfd)
        with ADA.here(), transaction():
            outbox.publish(
                topic="mail",
                destination="letters",
                payload={"to": [EMAIL], "subject": NAME, "text": f"letter-5583 {PHONE}"},
                now=clock.now(),
            )
        refused = _refusals(ada, vi)
        waiting = redis_says()
        with Worker(logs[1], "dsar-jobs", "outbox", "batch-jobs", **noisy):
            for name in ("export", "envelope", "unknown"):
                wait_until(lambda n=name: ada.get(f"/dsar/{ids[n]}").json()["status"] == "completed", or_show=logs[1])
            wait_until(lambda: ada.get(f"/dsar/{ids['ambiguous']}").json()["status"] == "failed", or_show=logs[1])
            package = ada.get(f"/dsar/{ids['export']}/download?format=json").body.decode()
            assert ada.get(f"/dsar/{ids['export']}/download?format=zip").status == 200
            assert ada.get(f"/dsar/{ids['envelope']}/download?format=json").json()["encrypted"] is True
            assert ada.get(f"/customers/{quote(NUMBER, safe='')}").status == 200
            erased = ada.post("/gdpr/erasure", {"customerId": NUMBER})
            assert erased.status == 200, erased.body
            again = ada.post("/gdpr/erasure", {"customerId": NUMBER})
            assert again.status == 404
            certificate = ada.get(f"/dsar/{erased.json()['requestId']}/certificate")
            assert certificate.status == 200
            back = ada.post("/customers", {"customers": [{"customerId": NUMBER, "email": EMAIL, "name": NAME}]})
            assert len(back.json()["errors"]) == 1
        jobs = "\n".join(str(row) for row in root.execute("SELECT to_jsonb(j)::text FROM jobs_job j").fetchall())
        after = redis_says()
    # The marks are looked for as they are spelled: where they have to be they are found.
    assert {NUMBER, EMAIL, NAME, PHONE, "device-4711"} <= set(found_in(package))
    link, message = quote(NUMBER, safe=""), base64.b64encode(f"ab{EMAIL}".encode()).decode()
    assert set(found_in(f"GET /customers/{link} {message}")) == {NUMBER, EMAIL}
    web_log, worker_log = (log.read_text(errors="replace") for log in logs)
    # And what is looked through tells of all that was done.
    assert web_log.count('"event": "request"') >= len(asked) + refused + 10
    assert worker_log.count('"event": "processing_duration"') >= 3
    assert '"level": "debug"' in web_log + worker_log
    assert "ambiguous_subject" in worker_log
    assert all(request in jobs for name, request in ids.items() if name != "person")
    assert "dsar_export" in waiting
    for what, text in (
        ("web", web_log),
        ("worker", worker_log),
        ("admin", admin),
        ("jobs", jobs),
        ("Redis, with nobody at work", waiting),
        ("Redis, afterwards", after),
        ("certificate", certificate.body.decode()),
    ):
        assert found_in(text) == {}, what


def _refusals(ada: Person, vi: Person) -> int:
    """How many answers were no."""
    bodies: list[tuple[str, object]] = [
        ("/dsar", {"requestType": "export", "subjectId": EMAIL + "\n"}),
        ("/dsar", {"requestType": "export", "subjectId": NAME, "subjectType": "email"}),
        ("/dsar", {"requestType": EMAIL, "subjectId": NUMBER}),
        ("/dsar", {"requestType": "export", "subjectId": NUMBER, EMAIL: NAME}),
        ("/dsar", [EMAIL]),
        ("/gdpr/erasure", {"customerId": {"name": NAME}}),
        ("/gdpr/erasure", {"customerId": UNKNOWN}),
        ("/customers", {"customers": [{"customerId": NUMBER, "email": NAME, "phone": [PHONE]}]}),
        ("/customer-returns", {"customerId": NUMBER, "reason": "his own words 5583"}),
    ]
    answers = [ada.post(path, body) for path, body in bodies]
    answers += [ada.get(f"/customers/{quote(UNKNOWN, safe='')}"), ada.get(f"/dsar?status={quote(EMAIL)}")]
    answers += [vi.post("/dsar", {"requestType": "export", "subjectId": NUMBER}), vi.get(f"/customers/{quote(NUMBER)}")]
    assert [answer.status for answer in answers if answer.status >= 500] == []
    return len(answers)

"""Who lost the link to their requests has another mailed; nobody else learns whether there is anything."""

import logging
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client

from audit import services as log
from audit.models import AuditRecord
from customers import models as m
from dsar.models import FollowLink, PublicFiling
from dsar.public import filing, following, guard
from kaireon.lib import clock
from kaireon.tenancy.context import scope, transaction
from tests.cast import ACME, GLOBEX, MALLORY, SETUP
from tests.dsar.conftest import EMAIL
from tests.dsar.public.conftest import URL, Visitor, earlier, link_in, mails, open_page, requests, text_of, work

NOBODY = "nobody@nowhere.example"


def ask(visitor: Visitor, address: str = EMAIL, *, seconds: float = 30, **more: Any) -> Any:
    shown = guard.stamp(clock.now() - timedelta(seconds=seconds))
    return visitor.post("lost/", {"address": address, "shown": shown, **more})


def links_of(mail: dict[str, Any]) -> list[str]:
    return [line.removeprefix(URL) for line in mail["text"].splitlines() if line.startswith(URL)]


def links() -> int:
    with transaction():
        return FollowLink.objects.count()


def test_each_request_has_another_link_and_those_there_are_go_on(acme: str) -> None:
    jane = Visitor()
    jane.arrive("export")
    old = link_in(mails()[-1])
    jane.arrive("rectification", details="Doe-Roe")
    elsewhere = Visitor()
    asked = ask(elsewhere, " JANE.Doe@Example.com ")
    assert (asked.status_code, asked["Location"]) == (303, f"{acme}lost/sent/")
    assert "Look into your mail" in text_of(elsewhere.get("lost/sent/"))
    before = len(mails())
    work(filing.JOB)
    [mail] = mails()[before:]
    assert mail["to"] == [EMAIL]
    assert "Correct my data, received on" in mail["text"]
    found = links_of(mail)
    assert len(found) == 2
    titles = []
    for link in found:
        assert elsewhere.client.get(link).status_code == 303
        titles.append(text_of(elsewhere.get("request/")).split(" Your request")[0].split()[-3:])
    assert titles == [["Correct", "my", "data"], ["See", "my", "data"]]
    assert Client().get(old).status_code == 303
    # What was written down has done its work, and makes no second mail.
    work()
    assert len([each for each in mails() if len(links_of(each)) == 2]) == 1
    with transaction():
        assert not PublicFiling.objects.filter(ends_at__gt=clock.now()).exists()
    # Another link by the page ends all that there are, and keeps the time of the longest.
    earlier(timedelta(minutes=2))
    with transaction():
        longest = max(link.ends_at for link in FollowLink.objects.all())
    elsewhere.client.get(found[1])
    assert "another one is on its way" in text_of(elsewhere.post("request/link/"))
    assert [Client().get(link).status_code for link in (old, found[1], found[0])] == [404, 404, 303]
    with transaction():
        newest = FollowLink.objects.get(request=requests()[0])
        assert newest.ends_at == longest or newest.ends_at > clock.now() + timedelta(days=300)


def test_known_and_unknown_are_answered_alike_and_nobody_is_written_to_for_nothing(acme: str) -> None:
    Visitor().arrive("export")
    before = len(mails())

    def walk(address: str) -> list[Any]:
        visitor = Visitor()
        answers = [ask(visitor, address), visitor.get("lost/sent/")]
        return [
            (answer.status_code, {k: v for k, v in answer.headers.items() if k != "X-Request-Id"}, answer.content)
            for answer in answers
        ] + [dict(visitor.client.cookies)]

    with clock.freeze(clock.now()):
        # A customer of whom nobody asked anything is nobody here too.
        said = [walk(address) for address in (EMAIL, NOBODY, "neighbour@example.com")]
    assert said[0] == said[1] == said[2]
    with transaction():
        rows = list(PublicFiling.objects.filter(request_type=""))
        assert len({len(row.sealed) - len(row.said["address"]) for row in rows}) == 1
    work()
    assert [mail["to"] for mail in mails()[before:]] == [[EMAIL]]
    assert links() == 2


def test_it_is_limited_and_refuses_what_the_form_refuses(acme: str) -> None:
    jane = Visitor()
    for given, said in (
        ({"address": ""}, "Give your e-mail address"),
        ({"address": "jane"}, "This is no e-mail address"),
        ({"address": f"{EMAIL},{NOBODY}"}, "This is no e-mail address"),
        ({"address": "x" * 10_000 + "@example.com"}, "at most 254 characters"),
        ({"address": EMAIL, "website": "x"}, "A field that nobody sees"),
        ({"address": EMAIL, "shown": "1.0:x"}, "open for too long"),
    ):
        visitor = Visitor(REMOTE_ADDR=f"10.0.0.{len(said)}")
        answer = visitor.post("lost/", {"shown": guard.stamp(clock.now() - timedelta(seconds=30)), **given})
        assert (answer.status_code, said in text_of(answer)) == (200, True), given
    assert "That was very fast" in text_of(ask(jane, seconds=0))
    assert Visitor(enforce_csrf_checks=True).post("lost/", {"address": EMAIL}).status_code == 403
    with transaction():
        assert not PublicFiling.objects.exists()
    # Its mails and those of the other form are counted together, for an address that is known and one that is not.
    for address in (EMAIL, NOBODY):
        tries = [ask(Visitor(REMOTE_ADDR=f"10.1.{n}.1"), address).status_code for n in range(5)]
        tries += [Visitor(REMOTE_ADDR=f"10.1.{n}.2").ask(address=address).status_code for n in range(2)]
        assert tries == [303] * 6 + [429]
    many = [ask(Visitor(REMOTE_ADDR="10.9.0.1"), f"n{n}@example.com").status_code for n in range(11)]
    assert many == [303] * 10 + [429]


def test_only_what_was_confirmed_from_this_address_in_this_tenant_is_led_to(acme: str) -> None:
    with transaction():
        m.Customer.objects.create(customer_id="C-18", email=EMAIL, name="John Doe")
    with scope(tenant_id=GLOBEX, actor=SETUP):
        open_page(MALLORY)
    # By a number where the address is shared; and a neighbour's.
    Visitor().arrive("restriction", number="C-18", details="All of it")
    Visitor().arrive("export", "neighbour@example.com")
    # Asked for, never confirmed.
    Visitor().ask("delete")
    work(filing.JOB)
    before = len(mails())
    ask(Visitor())
    work(filing.JOB)
    [mail] = mails()[before:]
    assert "Restrict the use of my data" in mail["text"]
    assert len(links_of(mail)) == 1
    # What was answered long ago, erased, or is another tenant's, is not led to.
    with clock.freeze(clock.now() + timedelta(days=400)):
        assert opened() == []
    ask(Visitor("/privacy/globex/"))
    with scope(tenant_id=GLOBEX, actor=SETUP):
        work(filing.JOB)
        assert mails() == []


def opened() -> list[Any]:
    with transaction():
        return following.open_anew(address=EMAIL, now=clock.now())


def test_after_an_erasure_nobody_knows_whose_it_was(acme: str) -> None:
    Visitor().arrive("delete")
    work()
    assert [row.outcome for row in requests()] == ["completed"]
    assert opened() == []
    ask(Visitor())
    before = len(mails())
    work()
    assert len(mails()) == before


def test_nothing_of_it_stands_in_log_or_records(acme: str, caplog: pytest.LogCaptureFixture) -> None:
    Visitor().arrive("export")
    with caplog.at_level(logging.DEBUG):
        ask(Visitor())
        work(filing.JOB)
    token = links_of(mails()[-1])[0].split("/")[-2]
    assert [secret for secret in (EMAIL, token) if secret in caplog.text] == []
    log.drain(ACME)
    with transaction():
        told = list(AuditRecord.objects.filter(action=filing.LOST_VERB))
        assert [(one.actor_type, one.user_name) for one in told] == [("system", "public page")]
        recorded = str(list(AuditRecord.objects.values_list("changes", "before", "after", "entity_name")))
    assert [secret for secret in (EMAIL, token) if secret in recorded] == []

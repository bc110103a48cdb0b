"""What the law, the tenant and the customers make of what comes in by the page."""

import json
from datetime import timedelta
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.test import Client

from audit import services as log
from audit.models import AuditRecord
from compliance.retention import policies
from cron import runner as cron
from cron.models import Trigger
from customers import models as m
from dsar.deadlines import Ground
from dsar.models import FollowLink, PublicFiling
from dsar.public import page, rights
from dsar.requests import clocks, outcomes
from kaireon.lib import clock
from kaireon.outbox import destinations
from kaireon.outbox.models import Destination
from kaireon.tenancy.context import current, transaction
from tests.cast import ACME, ADA, VI
from tests.dsar.conftest import EMAIL
from tests.dsar.public.conftest import Visitor, code_in, earlier, law, link_in, mails, requests, text_of, work


def clean_up() -> None:
    """What every night does."""
    assert cron.run_job("cleanup", trigger=Trigger.COMMAND).body["ok"] is True


def test_each_law_gives_its_own_rights_with_their_articles(acme: str) -> None:
    for regulation, has, has_not in (
        ("gdpr", ("See my data", "GDPR Art. 20"), ("Complain",)),
        ("uk_gdpr", ("Complain", "Data Protection Act 2018 s. 164A"), ("Do not sell",)),
        (
            "ccpa",
            ("Do not sell or share my data", "Limit the use of my sensitive data"),
            ("Object to", "No more contact"),
        ),
        ("dpdpa", ("Complain", "DPDP Act 2023 s. 12(3)"), ("Take my data along", "Restrict the use")),
    ):
        law(regulation)
        said = text_of(Visitor().get())
        assert [words for words in has if words not in said] == [], regulation
        assert [words for words in has_not if words in said] == [], regulation
        assert all(each.words.says in said for each in rights.offered(regulation))


def test_nobody_proves_anything_to_opt_out_in_california(acme: str) -> None:
    law("ccpa")
    jane = Visitor()
    asked = jane.ask("opt_out")
    assert (asked.status_code, asked["Location"]) == (303, f"{acme}received/")
    assert "You have nothing to prove" in text_of(jane.get("received/"))
    assert requests() == []
    work()
    assert [row.state for row in requests()] == ["queued"]
    work()
    [row] = requests()
    assert (row.outcome, row.identity_method, row.requested_by_name) == ("completed", "", "public page")
    [mail] = mails()
    assert jane.client.get(link_in(mail)).status_code == 303
    assert "Your request is completed." in text_of(jane.get("request/"))
    # Everything else is confirmed there too.
    jane.ask("delete")
    work()
    assert len(requests()) == 1


def test_the_clock_begins_when_the_form_was_sent(acme: str) -> None:
    jane = Visitor()
    sent = clock.at("2026-01-31T23:30:00Z")
    with clock.freeze(sent):
        jane.ask()
        work()
    with clock.freeze(sent + timedelta(minutes=29, seconds=59)):
        jane.confirm(code_in(mails()[-1]))
        page_ = text_of(jane.get("request/"))
    [row] = requests()
    assert (row.received_at, str(row.due_on)) == (sent, "2026-02-28")
    assert "Received 31 January 2026 Answer by 28 February 2026" in page_


def test_a_number_says_who_asks_where_an_address_is_shared_and_never_opens_anothers_data(acme: str) -> None:
    with transaction():
        m.Customer.objects.create(customer_id="C-18", email=EMAIL, name="John Doe")
    for number, subject, outcome in (
        ("C-18", "C-18", "completed"),
        ("", EMAIL, ""),
        # Somebody else's, whose address this is not.
        ("C-99", EMAIL, ""),
        ("../C-18'", EMAIL, ""),
    ):
        visitor = Visitor(REMOTE_ADDR=f"10.0.0.{len(requests()) + 1}")
        visitor.arrive("portability", number=number)
        work()
        newest = requests()[-1]
        assert (newest.subject_id, newest.outcome) == (subject, outcome), number
        if not outcome:
            visitor.post("request/withdraw/")
    # Alone, the address counts.
    alone = Visitor()
    alone.arrive("export", "neighbour@example.com", number="C-18")
    work()
    assert requests()[-1].subject_id == "neighbour@example.com"


def test_an_international_address_is_found_in_both_its_spellings(acme: str) -> None:
    with transaction():
        m.Customer.objects.create(customer_id="C-20", email="Jürgen@xn--bcher-kva.example")
    visitor = Visitor()
    visitor.arrive("export", "JÜRGEN@Bücher.example")
    work()
    assert [row.outcome for row in requests()] == ["completed"]


def test_a_second_asking_follows_the_first_and_fetches_its_package(acme: str) -> None:
    first, second = Visitor(), Visitor()
    first.arrive()
    assert "You asked for the same before" in text_of(second.arrive())
    work()
    said = text_of(second.get("request/"))
    assert "together with an earlier one of yours" in said
    second.post("request/fetch/code/")
    given = {"code": code_in(mails()[-1]), "as_format": "json"}
    assert json.loads(second.post("request/fetch/", given).getvalue())["customerId"] == "C-17"


def test_what_is_needed_and_why_it_takes_longer_is_told(acme: str) -> None:
    jane = Visitor()
    jane.arrive("rectification", details="My name is Doe-Roe")
    [row] = requests()
    with transaction():
        terms = {"actor": current().actor, "now": clock.now()}
        clocks.extend_request(request=row, reason="Forty systems to correct", **terms)
        clocks.pause_request(request=row, ground=Ground.IDENTITY, reason="Another paper", **terms)
    said = text_of(jane.get("request/"))
    assert "Something is needed from you. We wait for information that confirms who asks. Send it here: Acme," in said
    assert "It takes longer: Forty systems to correct" in said
    assert "The time stands still while we wait for you." in said
    with transaction():
        outcomes.reject(request=row, ground="accurate", reason="For our files alone", **terms)
    said = text_of(jane.get("request/"))
    assert "The reason: The data is accurate (GDPR Art. 16). You can complain" in said
    assert "For our files alone" not in said
    forgotten = Visitor()
    forgotten.arrive("restriction", details="All of it")
    with clock.freeze(clock.now() + timedelta(days=35)):
        assert "The answer is late." in text_of(forgotten.get("request/"))


def test_what_was_not_confirmed_goes_with_the_person_and_by_itself(acme: str) -> None:
    jane, nobody = Visitor(), Visitor()
    jane.ask("rectification", details="My secret")
    nobody.ask(address="nobody@nowhere.example")
    work()
    with transaction():
        known, unknown = PublicFiling.objects.order_by("received_at")
        assert (known.subject_ref is not None, unknown.subject_ref) == (True, None)
        assert b"secret" not in bytes(known.sealed)
    eraser = Visitor()
    eraser.arrive("delete")
    work()
    with transaction():
        # Their own filing, the one that erased them, too.
        assert [row.pk for row in PublicFiling.objects.all()] == [unknown.pk]
        assert [mail["to"] for mail in mails()] == [["nobody@nowhere.example"]]
    clean_up()
    assert len(mails()) == 1
    earlier(timedelta(hours=3))
    with clock.freeze(clock.now() + timedelta(hours=3)):
        clean_up()
    with transaction():
        assert not PublicFiling.objects.exists()
        assert FollowLink.objects.count() == 1
    assert mails() == []
    with clock.freeze(clock.now() + timedelta(days=400)):
        clean_up()
    with transaction():
        assert not FollowLink.objects.exists()


def test_what_is_held_stays_and_confirming_works_all_the_same(acme: str) -> None:
    with transaction():
        for data_class in ("dsar", "jobs"):
            terms: dict[str, Any] = {"actor": ADA.actor, "now": clock.now()}
            policies.upsert_policy(data_class=data_class, retention_days=30, legal_hold=True, **terms)
    jane = Visitor()
    jane.arrive("export")
    with clock.freeze(clock.now() + timedelta(hours=3)):
        clean_up()
    with transaction():
        assert PublicFiling.objects.count() == 1
    assert len(mails()) == 2


def test_it_is_opened_and_closed_by_command_and_in_the_admin(db: str, settings: Any, capsys: Any) -> None:
    def command(*given: str) -> Any:
        call_command("dsar_public", "--tenant", "acme", "--json", *given)
        return json.loads(capsys.readouterr().out)

    assert command() == {"open": False, "address": None, "contact": None, "language": None}
    with pytest.raises(CommandError, match="Set PUBLIC_URL"):
        command("--open")
    settings.PUBLIC_URL = "https://privacy.acme.example"
    with pytest.raises(CommandError, match="no destination for mail"):
        command("--open")
    with ADA.here(), transaction():
        destinations.save(name="letters", kind="email", given={}, now=clock.now())
    for wrong in (["--contact", "x"], ["--close", "--contact", "x"], ["--open", "--contact", "x" * 501]):
        with pytest.raises(CommandError, match="--contact"):
            command(*wrong)
    url = "https://privacy.acme.example/privacy/acme/"
    with pytest.raises(CommandError, match="--language goes with --open"):
        command("--language", "de")
    opened_now = {"open": True, "address": url, "contact": "1 Road", "language": "de"}
    assert command("--open", "--contact", "1 Road", "--language", "de") == opened_now
    # What is not said stays.
    assert command("--open") == opened_now
    command("--open", "--language", "en")
    assert command("--open")["contact"] == "1 Road"
    assert "1 Road" in Visitor().get().content.decode()
    assert command("--close")["open"] is False
    assert Visitor().get().status_code == 404

    form = "/admin/dsar/dsarrequest/public-page/"
    officer = Client(raise_request_exception=False)
    officer.post("/admin/login/", {"username": ADA.email, "password": "correct horse battery"})
    assert "It is closed" in officer.get(form).content.decode()
    assert "Select a valid choice" in officer.post(form, {"is_open": "on", "language": "nl"}).content.decode()
    opened = officer.post(form, {"is_open": "on", "contact": " <b>2 Road</b> ", "language": "fr"}, follow=True)
    assert f"The page is open: {url}" in opened.content.decode()
    assert "&lt;b&gt;2 Road&lt;/b&gt;" in Visitor().get().content.decode()
    assert '<html lang="fr"' in Visitor().get().content.decode()
    assert url in officer.get(form).content.decode()
    with ADA.here(), transaction():
        Destination.objects.update(is_enabled=False)
    assert "no destination for mail" in officer.post(form, {"is_open": "on"}).content.decode()
    assert "The page is closed." in officer.post(form, {}, follow=True).content.decode()
    viewer = Client(raise_request_exception=False)
    viewer.post("/admin/login/", {"username": VI.email, "password": "correct horse battery"})
    assert viewer.get(form).status_code == 403
    log.drain(ACME)
    with ADA.here(), transaction():
        records = AuditRecord.objects.filter(entity_type="PublicPage").order_by("seq")
        assert list(records.values_list("action", flat=True)) == [
            *("dsar.public.open", "dsar.public.open", "dsar.public.close", "dsar.public.open", "dsar.public.close"),
        ]
        assert page.find() is None


def test_without_mail_nothing_is_lost_and_it_is_said(acme: str) -> None:
    with transaction():
        Destination.objects.update(is_enabled=False)
    jane = Visitor()
    assert jane.ask().status_code == 303
    work()
    assert mails() == []
    with transaction():
        Destination.objects.update(is_enabled=True)
    with clock.freeze(clock.now() + timedelta(minutes=10)):
        work()
    assert len(mails()) == 1

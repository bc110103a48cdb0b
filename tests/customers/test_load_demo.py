"""The demo: loaded once, complete where it says so, and a second run changes nothing."""

import json
import stat
import time
from collections import Counter
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core.files.storage import default_storage
from django.core.management import CommandError, call_command

from compliance.alerting import rules
from compliance.models import AlertRule
from customers.catalogue import CATALOGUE, Erasure
from customers.demo import histories, loader
from customers.models import Attachment, ConsentRecord, Customer, Interaction
from dsar.letters import manner
from kaireon.lib import clock
from kaireon.lib.clock import at
from kaireon.ops.management.commands import load_demo
from kaireon.outbox.models import Destination
from kaireon.tenancy import keys
from kaireon.tenancy.context import Actor, scope, transaction
from kaireon.tenancy.models import User
from tests.dsar import conftest as dsar
from tests.dsar import mailbox

# Every 197th customer: enough to try everything on, quick enough to do it often.
SMALL = 197


@pytest.fixture
def small_demo(db: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The demo of few customers, loaded; gives the path of its credentials."""
    everything = list(histories._lines())
    monkeypatch.setattr(histories, "_lines", lambda: [line for line in everything if line[0] % SMALL < 2])
    path = tmp_path / "credentials.json"
    call_command("load_demo", credentials=path)
    return path


def acting(tenant: str) -> Any:
    return scope(tenant_id=tenant, actor=Actor.system("test"))


def test_the_whole_history_ends_last_week_on_the_same_weekdays():
    now = at("2026-11-20T10:00:00Z")
    moments = [p.moment for p in histories.purchases(now=now)]
    assert len(moments) == 69_659
    assert max(moments).date().isoformat() == "2026-11-10"
    assert max(moments).weekday() == 1
    assert max(moments) - min(moments) < timedelta(days=546)
    for day in range(14):
        later = max(p.moment for p in histories.purchases(now=now + timedelta(days=day)))
        assert timedelta(days=5) < now + timedelta(days=day) - later < timedelta(days=14)


@pytest.mark.parametrize("tenant", ["acme", "globex"])
def test_every_section_is_filled_for_every_complete_customer(small_demo, tenant):
    with acting(tenant), transaction():
        complete = list(Customer.objects.order_by("customer_id")[: loader.COMPLETE])
        assert len(complete) > 50
        for entity in CATALOGUE:
            if entity.section is None or entity.model.startswith("dsar."):
                continue
            rows = Counter(entity.queryset().values_list(entity.subject, flat=True))
            assert all(rows[customer.pk] for customer in complete), entity.name
            assert list(entity.rows_for_dossier(complete[0].pk)), entity.name


def test_fewer_customers_can_be_had(db, tmp_path):
    for every in (0, 501):
        with pytest.raises(CommandError, match="--every must be a number from 1 to 500"):
            call_command("load_demo", credentials=tmp_path / "none.json", every=every)
    assert not (tmp_path / "none.json").exists()
    call_command("load_demo", credentials=tmp_path / "some.json", every=400)
    for tenant, numbers in (("acme", ["AC-00001", "AC-00801"]), ("globex", ["GX-00800", "GX-01600"])):
        with acting(tenant), transaction():
            found = list(Customer.objects.order_by("customer_id").values_list("customer_id", flat=True))
            assert found[:2] == numbers
            assert 25 < len(found) < 35


def test_both_tenants_share_the_purchases_and_no_customer(small_demo):
    numbers, purchases = [], 0
    for tenant in ("acme", "globex"):
        with acting(tenant), transaction():
            numbers += Customer.objects.values_list("customer_id", flat=True)
            purchases += Interaction.objects.count()
    assert purchases == len(histories._lines())
    assert len(set(numbers)) == len(numbers) == len({line[0] for line in histories._lines()})


def test_there_are_alert_rules_to_look_at_and_those_removed_stay_so(small_demo):
    with acting("acme"), transaction():
        names = list(AlertRule.objects.present().order_by("created_at", "pk").values_list("name", flat=True))
        assert len(names) == len(load_demo.ALERTS)
        rules.remove(AlertRule.objects.get(name=names[0]).pk, now=at("12:00"))
    call_command("load_demo", credentials=small_demo)
    with acting("acme"), transaction():
        assert AlertRule.objects.present().count() == len(names) - 1


def test_a_second_run_changes_nothing_and_is_quick(small_demo):
    before = small_demo.read_text()
    with acting("acme"), transaction():
        rows = {e.name: e.queryset().count() for e in CATALOGUE if e.model.startswith("customers.")}
    started = time.monotonic()
    call_command("load_demo", credentials=small_demo)
    assert time.monotonic() - started < 2
    assert small_demo.read_text() == before
    with acting("acme"), transaction():
        assert rows == {e.name: e.queryset().count() for e in CATALOGUE if e.model.startswith("customers.")}


def test_the_credentials_work_and_only_their_owner_reads_them(small_demo):
    assert stat.S_IMODE(small_demo.stat().st_mode) == 0o600
    tenants = json.loads(small_demo.read_text())["tenants"]
    assert [t["id"] for t in tenants] == ["acme", "globex"]
    for tenant in tenants:
        found = keys.find_key(tenant["apiKey"], now=clock.now())
        assert found is not None
        assert found.tenant_id == tenant["id"]
        assert {u["role"] for u in tenant["users"]} == {"admin", "editor", "auditor", "viewer"}
    user = tenants[0]["users"][0]
    assert User.objects.get(email=user["email"]).check_password(user["password"])
    both = {u["email"] for u in tenants[0]["users"]} & {u["email"] for u in tenants[1]["users"]}
    assert both == {"olivia@acme.example"}


def test_lost_credentials_are_made_anew(small_demo):
    small_demo.unlink()
    call_command("load_demo", credentials=small_demo)
    user = json.loads(small_demo.read_text())["tenants"][1]["users"][0]
    assert User.objects.get(email=user["email"]).check_password(user["password"])


def test_attachments_are_there_under_names_that_tell_nothing(small_demo):
    with acting("acme"), transaction():
        attachment = Attachment.objects.first()
        assert attachment is not None
        name = str(attachment.file)
        assert attachment.name not in name
        assert default_storage.exists(name)
        with attachment.file.open() as file:
            assert len(file.read()) == attachment.size


def test_nothing_of_the_demo_is_dated_in_the_future(small_demo):
    with acting("globex"), transaction():
        for entity in CATALOGUE:
            if entity.name not in ("suppression", "dossier", "dsarRequest"):
                assert not entity.queryset().filter(**{f"{entity.clock}__gt": clock.now()}).exists(), entity.name
        assert ConsentRecord.objects.exclude(withdrawn_at=None).exists()
        assert {e.erasure for e in CATALOGUE} >= {Erasure.DELETE, Erasure.EVIDENCE}


def test_subjects_of_the_demo_are_written_to_and_the_letters_can_be_read(small_demo, settings, tmp_path):
    settings.EMAIL_BACKEND = "django.core.mail.backends.filebased.EmailBackend"
    settings.EMAIL_FILE_PATH = tmp_path / "mail"
    with acting("acme"):
        with transaction():
            customer = Customer.objects.exclude(email="").order_by("customer_id").first()
        dsar.file("rectification", customer.customer_id, details="Mistyped", language="de")
        mailbox.deliver()
    [letter] = (tmp_path / "mail").iterdir()
    said = letter.read_text()
    assert "From: privacy@acme.example" in said
    assert f"To: {customer.email}" in said
    assert "Wenn Sie Fragen haben" in said


def test_letters_that_somebody_turned_off_stay_off(small_demo):
    with acting("acme"), transaction():
        manner.change({"automatic": False}, now=clock.now())
    call_command("load_demo", credentials=small_demo)
    with acting("acme"), transaction():
        assert not manner.of_tenant().automatic
        assert Destination.objects.count() == 1

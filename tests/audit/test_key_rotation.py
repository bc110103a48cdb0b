"""The keys around the subjects' keys: one missing stops its own log alone, and a new one takes over at work."""

import json
from typing import Any

import psycopg
import pytest
from django.core.management import CommandError, call_command
from django.db import connections

from audit import sequencer, services
from customers.models import Customer
from kaireon.lib.sealing import Keyring
from kaireon.tenancy.context import scope, transaction
from kaireon.tenancy.keyring import keyring
from tests.audit.log import WRITER, records, verdict
from tests.audit.people import EMAIL, about, change, customer, destroy, key_row, opened
from tests.caller import with_key
from tests.cast import ACME, ADA, GLOBEX, MALLORY

pytestmark = pytest.mark.usefixtures("db")


class TestKeysOfTheLog:
    def master(self, settings: Any, ring: Keyring) -> None:
        settings.SEALING_KEYS = ring.text()

    def test_a_missing_master_key_stops_its_own_log_alone_and_says_so(
        self, settings: Any, caplog: pytest.LogCaptureFixture, superuser: psycopg.Connection
    ) -> None:
        first = keyring()
        both = first.rotated()
        second = Keyring({2: both.key(2)})
        known = customer("C-1")
        services.drain(ACME)
        self.master(settings, second)
        customer("C-2", who=MALLORY)
        change(known, name="x")

        while sequencer.sweep():
            pass
        [refused, *_] = [r for r in caplog.records if r.message == "tenant_not_sequenced"]
        assert (refused.tenant_id, refused.error_type) == (ACME, "UnknownKeyVersion")  # type: ignore[attr-defined]
        assert refused.reason == "key v1 is not on the keyring"  # type: ignore[attr-defined]
        services.drain(ACME)
        with pytest.raises(sequencer.LogStandsStill, match="acme"):
            services.drain(ACME, wholly=True)
        assert with_key("aud").get("/audit-logs").status_code == 200
        assert records(GLOBEX, entity_type="Customer")
        assert verdict(GLOBEX).intact

        self.master(settings, both)
        assert len(records(ACME, entity_type="Customer")) == 2
        assert verdict(ACME).intact

    def test_a_rotation_wraps_all_anew_and_needs_the_old_master_no_more(
        self, settings: Any, capsys: pytest.CaptureFixture[str], superuser: psycopg.Connection
    ) -> None:
        jane, joe = customer(), customer("C-18")
        destroy(joe.pk)
        both = keyring().rotated()
        self.master(settings, both)
        call_command("audit_rotate_keys", "--tenant", ACME, "--dry-run", "--json")
        assert json.loads(capsys.readouterr().out) == {
            "tenantId": ACME,
            "version": 2,
            "keys": 1,
            "dossiers": 0,
            "reports": 0,
            "resumed": False,
            "dryRun": True,
        }
        [record] = about(jane)
        call_command("audit_rotate_keys", "--tenant", ACME, "--json")
        assert json.loads(capsys.readouterr().out)["keys"] == 1
        assert about(jane)[0].after == record.after

        self.master(settings, Keyring({2: both.key(2)}))
        assert opened(record).after["email"] == EMAIL
        customer("C-19")
        change(jane, name="Jane Roe")
        assert opened(about(jane)[-1]).after["name"] == "Jane Roe"
        kept = superuser.execute(
            "SELECT version, key_sealed IS NULL, retired_at IS NULL FROM audit_tenantkey WHERE tenant_id = 'acme'"
            " ORDER BY version"
        ).fetchall()
        assert kept == [(1, True, False), (2, False, True)]
        assert key_row(superuser, joe.pk)[1] is None
        verbs = [r.action for r in records(ACME, entity_type="TenantKey")]
        assert verbs == ["create", "audit_log.tenant_key_made", "audit_log.tenant_key_retired"]
        assert "key_sealed" not in str([r.after for r in records(ACME, entity_type="TenantKey")])
        assert verdict(ACME).intact

    def test_an_interrupted_rotation_is_gone_on_with(self, monkeypatch: pytest.MonkeyPatch) -> None:
        from audit.sealing import key_rotation

        people = [customer(f"C-{n}") for n in range(5)]
        services.drain(ACME)
        monkeypatch.setattr(key_rotation, "AT_ONCE", 2)

        def dies(done: int) -> None:
            raise KeyboardInterrupt

        with scope(tenant_id=ACME, actor=WRITER):
            with pytest.raises(KeyboardInterrupt):
                key_rotation.rotate(moved=dies)
            # Sealing goes on in between, under both versions.
            change(people[0], name="a")
            change(people[4], name="b")
            assert [opened(about(p)[-1]).after["name"] for p in (people[0], people[4])] == ["a", "b"]
            found = key_rotation.rotate()
        assert (found.version, found.keys, found.resumed) == (2, 3, True)
        assert opened(about(people[4])[-1]).after["name"] == "b"

    def test_a_rotation_names_the_master_key_that_is_missing(self, settings: Any) -> None:
        customer()
        services.drain(ACME)
        self.master(settings, Keyring({2: keyring().rotated().key(2)}))
        with pytest.raises(CommandError, match=r"acme: key v1 is not on the keyring.*SEALING_KEYS"):
            call_command("audit_rotate_keys", "--tenant", ACME)
        with pytest.raises(CommandError, match="--tenant nowhere: no such log"):
            call_command("audit_rotate_keys", "--tenant", "nowhere")

    def test_many_subjects_of_many_logs_take_few_statements(self, django_assert_max_num_queries: Any) -> None:
        while sequencer.sweep():
            pass
        for who in (ADA, MALLORY):
            with who.here(), transaction():
                Customer.objects.bulk_create(Customer(customer_id=f"N-{n}", email=EMAIL) for n in range(50))
        # Whatever the number of subjects: keys are read once and made once, a tenant key for each log that has none.
        with django_assert_max_num_queries(12, connection=connections[sequencer.ALIAS]):
            assert sequencer.sweep() == 100

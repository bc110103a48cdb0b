"""The key of a subject: destroyed for good, with a record, whoever is at work meanwhile; the log still verifies."""

import io
import json
import threading
import zipfile
from pathlib import Path

import psycopg
import pytest
from django.db import connections
from django.db import transaction as django_transaction

from audit import sequencer, services
from audit.sealing import subject_keys
from audit.sealing.sealed import ERASED, key_id_of
from customers.models import Customer
from kaireon.lib import clock
from kaireon.tenancy.context import Actor, scope, transaction
from tests.audit.log import WRITER, records, verdict
from tests.audit.people import EMAIL, about, change, customer, destroy, key_row, opened
from tests.audit.test_bundle import checked
from tests.caller import with_key
from tests.cast import ACME, ADA, GLOBEX, MALLORY
from tests.servers import SUITE

pytestmark = pytest.mark.usefixtures("db")


class TestDestroying:
    def test_old_bundles_and_the_log_still_verify_and_nothing_opens(
        self, superuser: psycopg.Connection, tmp_path: Path
    ) -> None:
        jane, joe = customer(), customer("C-18")
        [record] = about(jane)
        caller = with_key("aud")
        bundle = b"".join(caller.get("/audit-logs/bundle").streaming_content)  # type: ignore[attr-defined]
        assert verdict(ACME).intact

        assert destroy(jane.pk)

        assert verdict(ACME).intact
        assert checked(tmp_path, bundle)[0] == 0
        assert opened(record).after["email"] == ERASED
        [other] = about(joe)
        assert opened(other).after["email"] == EMAIL
        key_id, wrapped, destroyed_at = key_row(superuser, jane.pk)
        assert wrapped is None
        assert destroyed_at is not None
        with zipfile.ZipFile(io.BytesIO(bundle)) as inside:
            line = next(line for line in inside.read("records.ndjson").splitlines() if str(record.pk).encode() in line)
        value = json.loads(line)["after"]["email"]
        assert key_id_of(value) == key_id
        with ADA.here(), transaction():
            assert subject_keys.by_id([key_id]) == {key_id: None}

    def test_it_is_recorded_by_the_opaque_id(self) -> None:
        jane = customer()
        destroy(jane.pk)
        [record] = records(ACME, action="subject_key.destroy")
        assert (record.entity_type, record.entity_id, record.actor_type) == ("SubjectKey", str(jane.pk), "job")
        assert set(record.changes) == {"keyId", "sealedValues"}

    def test_it_is_recorded_whoever_does_it(self, superuser: psycopg.Connection) -> None:
        jane = customer()
        services.drain(ACME)
        statement = "UPDATE audit_subjectkey SET key_wrapped = NULL, destroyed_at = now() WHERE subject_id = %s"
        with pytest.raises(psycopg.errors.InsufficientPrivilege, match="needs an actor"):
            superuser.execute(statement, [str(jane.pk)])
        superuser.execute("SELECT set_config('app.actor_type', 'system', false)")
        superuser.execute("SELECT set_config('app.tenant_id', 'acme', false)")
        superuser.execute(statement, [str(jane.pk)])
        assert len(records(ACME, action="subject_key.destroy")) == 1

    def test_late_values_are_erased_and_no_key_is_made_again(self, superuser: psycopg.Connection) -> None:
        jane = customer()
        destroy(jane.pk)
        before = key_row(superuser, jane.pk)
        change(jane, name="Jane Roe", birth_date="1990-01-31")
        [record] = about(jane, action="update")
        assert record.changes == {"name": [ERASED, ERASED], "birth_date": [None, ERASED]}
        assert record.after["email"] == ERASED
        assert key_row(superuser, jane.pk) == before
        assert verdict(ACME).intact

    def test_what_never_had_a_key_gets_none_later(self, superuser: psycopg.Connection) -> None:
        with ADA.here():
            jane = Customer(customer_id="C-17", email=EMAIL)
            assert destroy(jane.pk)
            with transaction():
                jane.save(force_insert=True)
        [record] = about(jane, entity_type="Customer")
        assert record.after["email"] == ERASED
        assert key_row(superuser, jane.pk)[1] is None

    def test_once_is_enough(self) -> None:
        jane = customer()
        assert [destroy(jane.pk), destroy(jane.pk)] == [True, False]
        assert len(records(ACME, action="subject_key.destroy")) == 1

    @pytest.mark.parametrize("role", ["default", "owner", "sequencer", "superuser"])
    def test_no_role_brings_a_destroyed_key_back(self, role: str, db: str, superuser: psycopg.Connection) -> None:
        jane = customer()
        services.drain(ACME)
        copy = superuser.execute("SELECT key_wrapped FROM audit_subjectkey").fetchone()
        destroy(jane.pk)
        urls = {**SUITE.urls(db), "superuser": SUITE.superuser_url(db)}
        again = "(id, tenant_id, subject_id, key_version, key_wrapped, created_at)"
        with psycopg.connect(urls[role], autocommit=True) as session:
            for name, value in (("tenant_id", ACME), ("actor_type", "system")):
                session.execute("SELECT set_config(%s, %s, false)", [f"app.{name}", value])
            for statement in (
                "UPDATE audit_subjectkey SET key_wrapped = %(key)s, destroyed_at = NULL",
                "UPDATE audit_subjectkey SET key_wrapped = %(key)s, destroyed_at = NULL, key_version = 9",
                "UPDATE audit_subjectkey SET subject_id = 'somebody-else'",
                "UPDATE audit_subjectkey SET destroyed_at = now() - interval '1 day'",
                "DELETE FROM audit_subjectkey",
                "TRUNCATE audit_subjectkey",
                f"INSERT INTO audit_subjectkey {again} VALUES (gen_random_uuid(), 'acme', %(id)s, 1, %(key)s, now())",
                f"INSERT INTO audit_subjectkey {again} VALUES (gen_random_uuid(), 'acme', %(id)s, 1, %(key)s, now())"
                " ON CONFLICT (tenant_id, subject_id) DO UPDATE SET key_wrapped = excluded.key_wrapped,"
                " destroyed_at = NULL, key_version = 9",
            ):
                with pytest.raises((psycopg.errors.InsufficientPrivilege, psycopg.errors.UniqueViolation)):
                    session.execute(statement, {"key": copy[0], "id": str(jane.pk)})
        assert key_row(superuser, jane.pk)[1] is None

    def test_the_application_makes_no_key(self, db: str) -> None:
        with psycopg.connect(SUITE.urls(db)["default"], autocommit=True) as session:
            session.execute("SELECT set_config('app.tenant_id', 'acme', false)")
            with pytest.raises(psycopg.errors.InsufficientPrivilege, match="made by the sequencer"):
                session.execute(
                    "INSERT INTO audit_subjectkey (id, tenant_id, subject_id, key_version, key_wrapped, created_at)"
                    " VALUES (gen_random_uuid(), 'acme', 's', 1, 'x', now())"
                )

    def test_another_tenants_key_is_out_of_reach(self, superuser: psycopg.Connection) -> None:
        jane = customer()
        [record] = about(jane)
        key_id = key_id_of(record.after["email"])
        assert key_id is not None
        with MALLORY.here(), transaction():
            assert subject_keys.by_id([key_id]) == {}
            assert subject_keys.alive([str(jane.pk)]) == set()
        destroy(jane.pk, GLOBEX)
        assert opened(record).after["email"] == EMAIL


class TestRaces:
    def test_an_erasure_waits_for_the_batch_that_has_the_key_open(self, superuser: psycopg.Connection) -> None:
        jane = customer()
        services.drain(ACME)
        change(jane, name="Jane Roe")
        destroyed = threading.Event()

        def erase() -> None:
            try:
                with scope(tenant_id=ACME, actor=WRITER), transaction():
                    subject_keys.destroy(str(jane.pk), now=clock.now())
                destroyed.set()
            finally:
                connections.close_all()

        with django_transaction.atomic(using=sequencer.ALIAS):
            assert sequencer.sweep() >= 1
            eraser = threading.Thread(target=erase)
            eraser.start()
            assert not destroyed.wait(0.3)
            assert key_row(superuser, jane.pk)[1] is not None
        eraser.join(30)
        assert destroyed.is_set()
        [record] = about(jane, action="update")
        assert set(record.after["name"]) == {"sealed"}
        assert opened(record).after["name"] == ERASED

    def test_a_sequencer_does_not_get_the_key_of_an_erasure_under_way(self, superuser: psycopg.Connection) -> None:
        jane = customer()
        while sequencer.sweep():
            pass
        drained = threading.Event()

        def drain() -> None:
            try:
                services.drain(ACME)
                drained.set()
            finally:
                connections.close_all()

        with scope(tenant_id=ACME, actor=WRITER), transaction():
            subject_keys.destroy(str(jane.pk), now=clock.now())
            writer = threading.Thread(target=lambda: (change(jane, name="Jane Roe"), connections.close_all()))
            writer.start()
            writer.join(30)
            # A sweep passes by, a reader waits.
            assert sequencer.sweep() == 0
            reader = threading.Thread(target=drain)
            reader.start()
            assert not drained.wait(0.3)
        reader.join(30)
        assert drained.is_set()
        [record] = about(jane, action="update")
        assert record.after["name"] == ERASED
        assert key_row(superuser, jane.pk)[1] is None


def test_the_actor_of_a_destroyed_key_is_who_did_it() -> None:
    jane = customer()
    services.drain(ACME)
    with scope(tenant_id=ACME, actor=Actor(id="7", name="Ada", type="user")), transaction():
        subject_keys.destroy(str(jane.pk), now=clock.now())
    [record] = records(ACME, action="subject_key.destroy")
    assert (record.user_id, record.user_name, record.actor_type) == ("7", "Ada", "user")

"""Personal values in the log: sealed under their subject's key, gone with it, and never in clear."""

import base64
import io
import json
import threading
import zipfile
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
import pytest
from django.core.management import CommandError, call_command
from django.db import connections
from django.db import transaction as django_transaction

from audit import sequencer, services
from audit.models import AuditRecord
from audit.sealing import reveal, subject_keys
from audit.sealing.sealed import ERASED, WITHHELD, Sealer, key_id_of
from audit.tree import checkpoints
from customers.models import Attachment, ConsentRecord, Customer, IdentityLink, ObjectRemoval
from kaireon.lib import clock
from kaireon.lib.sealing import Keyring, SealBroken
from kaireon.tenancy.context import PLATFORM, Actor, platform_scope, scope, transaction
from kaireon.tenancy.keyring import keyring
from kaireon.tenancy.principal import Principal
from kaireon.tenancy.roles import PERMISSIONS, Role
from tests.audit.log import WRITER, records, verdict
from tests.audit.test_bundle import checked
from tests.caller import with_key
from tests.cast import ACME, ADA, GLOBEX, MALLORY
from tests.servers import SUITE

pytestmark = pytest.mark.usefixtures("db")

EMAIL = "jane.doe@example.com"
NAME = "Jané Doe ☂"


def customer(number: str = "C-17", *, who: Any = ADA, **more: Any) -> Customer:
    with who.here(), transaction():
        return Customer.objects.create(customer_id=number, **{"email": EMAIL, "name": NAME, **more})


def change(row: Customer, **values: Any) -> None:
    with ADA.here(), transaction():
        Customer.objects.filter(pk=row.pk).update(**values)


def about(row: Any, **wanted: Any) -> list[AuditRecord]:
    return records(ACME, entity_id=str(row.pk), **wanted)


def opened(record: AuditRecord, tenant: str = ACME) -> reveal.Opened:
    with scope(tenant_id=tenant, actor=WRITER), transaction():
        return reveal.opened(record, principal=principal(Role.ADMIN, tenant))


def principal(role: Role, tenant: str = ACME) -> Principal:
    return Principal(actor=WRITER, tenant_id=tenant, tenant_name=tenant, role=role, permissions=PERMISSIONS[role])


def destroy(subject: object, tenant: str = ACME) -> bool:
    services.drain(tenant)
    with scope(tenant_id=tenant, actor=WRITER), transaction():
        return subject_keys.destroy(str(subject), now=clock.now())


def key_row(superuser: psycopg.Connection, subject: object) -> Any:
    return superuser.execute(
        "SELECT id, key_wrapped, destroyed_at FROM audit_subjectkey WHERE subject_id = %s", [str(subject)]
    ).fetchone()


def everything(superuser: psycopg.Connection, *tables: str) -> str:
    return "\n".join(str(row) for table in tables for row in superuser.execute(f"SELECT t::text FROM {table} t"))


class TestSealing:
    def test_it_seals_each_value_and_opens_it_again(self) -> None:
        jane = customer(attributes={"tier": "gold", "n": [1, None, True]}, birth_date="1990-01-31")
        [record] = about(jane)
        assert set(record.after["email"]) == {"sealed"}
        assert record.changes == record.after
        assert record.after["phone"] != record.after["address"]
        found = opened(record).after
        assert (found["email"], found["name"], found["birth_date"]) == (EMAIL, NAME, "1990-01-31")
        assert found["attributes"] == {"tier": "gold", "n": [1, None, True]}
        assert found["id"] == str(jane.pk)
        assert verdict(ACME).intact

    def test_an_unchanged_value_is_no_change_and_keeps_its_ciphertext_within_the_record(self) -> None:
        jane = customer()
        change(jane, name="Jane Roe")
        created, updated = about(jane)
        assert set(updated.changes) == {"name"}
        assert updated.changes["name"] == [updated.before["name"], updated.after["name"]]
        assert updated.before["name"] != updated.after["name"]
        assert updated.before["email"] == updated.after["email"]
        # From record to record nothing shows that a value is the same.
        assert created.after["email"] != updated.before["email"]
        assert opened(updated).changes == {"name": [NAME, "Jane Roe"]}

    def test_a_value_that_comes_or_goes(self) -> None:
        jane = customer(birth_date=None)
        change(jane, birth_date="1990-01-31")
        change(jane, birth_date=None)
        came, went = about(jane, action="update")
        assert (came.changes["birth_date"][0], went.changes["birth_date"][1]) == (None, None)
        assert opened(came).changes == {"birth_date": [None, "1990-01-31"]}
        assert opened(went).changes == {"birth_date": ["1990-01-31", None]}

    @pytest.mark.parametrize(
        "value",
        [
            "",
            "漢字 עברית 𝄞 \u2028 \uffff",
            'quotes " and \\ and \' and {"sealed": "x"}',
            {"sealed": "AQ=="},
            {"n": 12.5, "list": [1, [2, {"x": None}]], "": True},
            [],
            0,
            False,
            "x" * 1_000_000,
            {"erased": True},
        ],
        ids=lambda value: type(value).__name__,
    )
    def test_any_value_comes_back(self, value: Any) -> None:
        jane = customer(attributes={"value": value})
        [record] = about(jane)
        assert opened(record).after["attributes"] == {"value": value}
        assert verdict(ACME).intact

    def test_numbers_that_json_cannot_carry_come_back_as_text(self) -> None:
        jane = customer()
        with ADA.here(), transaction(), connections["default"].cursor() as cursor:
            cursor.execute("UPDATE customers_customer SET attributes = '[1e21, 9007199254740993, 1.5]'")
        assert opened(about(jane)[-1]).after["attributes"] == ["1000000000000000000000", "9007199254740993", 1.5]

    def test_a_value_nested_too_deeply_is_sealed_like_any_other(self, superuser: psycopg.Connection) -> None:
        jane = customer()
        deep = '["secret-in-the-deep", ' + "[" * 5000 + "]" * 5000 + "]"
        with ADA.here(), transaction(), connections["default"].cursor() as cursor:
            cursor.execute("UPDATE customers_customer SET attributes = %s::jsonb, phone = 'secret-phone'", [deep])
        record = about(jane)[-1]
        assert set(record.changes) == {"attributes", "phone"}
        assert opened(record).after["phone"] == "secret-phone"
        assert "secret-in-the-deep" in opened(record).after["attributes"]
        assert "secret-" not in everything(superuser, "audit_record")
        assert verdict(ACME).intact

    def test_true_is_another_value_than_one(self) -> None:
        jane = customer(attributes={"n": [1]})
        change(jane, attributes={"n": [True]})
        assert opened(about(jane)[-1]).changes == {"attributes": [{"n": [1]}, {"n": [True]}]}

    def test_what_has_no_subject_is_only_said_to_be_there(self) -> None:
        with ADA.here(), transaction():
            removal = ObjectRemoval.objects.create(object_name="acme/0190.pdf", cause="upload", created_at=clock.now())
        [record] = about(removal)
        assert record.after["object_name"] == WITHHELD

    def test_a_row_cut_loose_from_its_subject_stays_sealed_as_theirs(self) -> None:
        jane = customer()
        with ADA.here(), transaction():
            consent = ConsentRecord.objects.create(
                customer=jane, channel="email", purpose="news", status="granted", source="form", recorded_at=clock.now()
            )
            ConsentRecord.objects.filter(pk=consent.pk).update(customer=None, subject_key="v1:0", source="")
        record = about(consent)[-1]
        assert opened(record).changes["source"] == ["form", ""]
        destroy(jane.pk)
        assert opened(record).changes["source"] == [ERASED, ERASED]

    def test_a_row_that_changes_its_subject_has_values_of_both(self) -> None:
        jane, joe = customer(), customer("C-18")
        with ADA.here(), transaction():
            link = IdentityLink.objects.create(customer=jane, kind="device", value="device-1")
            IdentityLink.objects.filter(pk=link.pk).update(customer=joe)
        record = about(link)[-1]
        assert key_id_of(record.before["value"]) != key_id_of(record.after["value"])
        assert set(record.changes) == {"customer_id"}
        destroy(jane.pk)
        assert (opened(record).before["value"], opened(record).after["value"]) == (ERASED, "device-1")

    def test_users_are_sealed_in_the_log_of_the_platform(self, superuser: psycopg.Connection) -> None:
        services.drain(PLATFORM)
        log = everything(superuser, "audit_record")
        assert "User" in log
        assert not [person for person in ("ada@acme.example", "mallory@globex.example") if person in log]
        with platform_scope(actor=WRITER), transaction():
            users = reveal.keys_of(_contents(superuser, "User"))
        assert len(users) == 5


def _contents(superuser: psycopg.Connection, kind: str) -> list[Any]:
    return [after for (after,) in superuser.execute("SELECT after FROM audit_record WHERE entity_type = %s", [kind])]


class TestNothingInClear:
    def test_no_column_of_the_log_and_nothing_that_leaves_it_shows_a_value(self, superuser: psycopg.Connection) -> None:
        jane = customer(phone="+44 20 7946 0000", address="1 High Street", attributes={"tier": "platinum"})
        change(jane, name="Jane Roe", attributes={"tier": "palladium"})
        with ADA.here(), transaction():
            Attachment.objects.create(customer=jane, name="letter.pdf", size=3, uploaded_at=clock.now(), file="f/0190")
            Customer.objects.filter(pk=customer("C-18").pk).delete()
        services.drain(ACME)
        checkpoints.make(ACME)
        written = everything(
            superuser, "audit_record", "audit_tile", "audit_checkpoint", "audit_inbox", "audit_head", "audit_subjectkey"
        )
        caller = with_key("aud")
        bundle = b"".join(caller.get("/audit-logs/bundle").streaming_content)  # type: ignore[attr-defined]
        with zipfile.ZipFile(io.BytesIO(bundle)) as inside:
            left = "".join(inside.read(name).decode() for name in inside.namelist())
        left += "".join(caller.get(f"/audit-export?format={kind}").content.decode() for kind in ("json", "csv", "soc2"))
        assert str(jane.pk) in written
        assert str(jane.pk) in left
        for secret in (
            EMAIL,
            NAME,
            "Jane Roe",
            "7946",
            "High Street",
            "platinum",
            "palladium",
            "C-17",
            "C-18",
            "f/0190",
        ):
            for shown in (
                secret,
                json.dumps(secret)[1:-1],
                secret.encode().hex(),
                base64.b64encode(secret.encode()).decode(),
            ):
                assert shown not in written, secret
                assert shown not in left, secret

    def test_lengths_show_by_steps_only(self) -> None:
        lengths = {len(about(customer(f"C-{n}", name="x" * n))[0].after["name"]["sealed"]) for n in range(1, 31)}
        assert len(lengths) == 1

    def test_the_inbox_is_read_by_the_sequencer_alone(self, db: str) -> None:
        customer()
        for alias in ("default", "owner"):
            with psycopg.connect(SUITE.urls(db)[alias]) as session:
                session.execute("SELECT set_config('app.tenant_id', 'acme', false)")
                if alias == "default":
                    with pytest.raises(psycopg.errors.InsufficientPrivilege):
                        session.execute("SELECT after FROM audit_inbox")
                else:
                    # Row-level security is forced on the owner too, and has no policy for it.
                    assert session.execute("SELECT after FROM audit_inbox").fetchall() == []


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


class TestWhoseItIs:
    @pytest.fixture
    def sealer(self) -> Sealer:
        jane = customer()
        [record] = about(jane)
        key_id = key_id_of(record.after["email"])
        assert key_id is not None
        with ADA.here(), transaction():
            [key] = subject_keys.by_id([key_id]).values()
        assert key is not None
        assert key.open(record.after["email"], column="Customer.email") == EMAIL
        return key

    @pytest.mark.parametrize(
        "wrong",
        [
            {"tenant_id": GLOBEX},
            {"subject_id": "somebody-else"},
            {"column": "Customer.name"},
            {"column": "User.email"},
            {"key_id": UUID(int=7)},
        ],
        ids=lambda wrong: next(iter(wrong)),
    )
    def test_a_value_of_another_tenant_subject_column_or_key_is_refused(self, sealer: Sealer, wrong: dict) -> None:
        value = sealer.seal(EMAIL, column="Customer.email")
        parts = {"tenant_id": sealer.tenant_id, "subject_id": sealer.subject_id, "key_id": sealer.key_id}
        column = wrong.get("column", "Customer.email")
        other = Sealer(**{**parts, **{k: v for k, v in wrong.items() if k != "column"}}, cipher=sealer.cipher)
        with pytest.raises(SealBroken):
            other.open(value, column=column)

    def test_any_flipped_bit_is_refused(self, sealer: Sealer) -> None:
        token = base64.b64decode(sealer.seal("x", column="Customer.email")["sealed"])
        for bit in range(len(token) * 8):
            flipped = bytearray(token)
            flipped[bit // 8] ^= 1 << bit % 8
            with pytest.raises(SealBroken):
                sealer.open({"sealed": base64.b64encode(flipped).decode()}, column="Customer.email")

    @pytest.mark.parametrize(
        "value",
        [None, "x", {}, {"sealed": 1}, {"sealed": ""}, {"sealed": "AQ=="}, {"sealed": "ü"}, {"sealed": "A", "b": 1}],
    )
    def test_what_is_no_sealed_value_is_refused(self, sealer: Sealer, value: Any) -> None:
        assert key_id_of(value) is None
        with pytest.raises(SealBroken):
            sealer.open(value, column="Customer.email")

    def test_a_value_put_into_another_record_is_shown_as_unreadable(self, sealer: Sealer) -> None:
        jane = customer("C-18")
        forged = sealer.seal("forged", column="Customer.email")
        record = about(jane)[0]
        record.after["address"] = forged
        record.after["name"] = {"sealed": base64.b64encode(b"\x01" + bytes(60)).decode()}
        found = opened(record).after
        assert (found["address"], found["name"], found["email"]) == (reveal.UNREADABLE, reveal.UNREADABLE, EMAIL)


class TestRevealing:
    @pytest.mark.parametrize("role", [Role.AUDITOR, Role.EDITOR, Role.VIEWER])
    def test_only_admins_may(self, role: Role) -> None:
        [record] = about(customer())
        assert not reveal.may_reveal(principal(role))
        with ADA.here(), transaction(), pytest.raises(reveal.MayNotReveal):
            reveal.opened(record, principal=principal(role))
        assert records(ACME, action="audit_log.reveal") == []

    def test_each_view_is_recorded_with_the_columns_and_without_the_values(self) -> None:
        [record] = about(customer())
        assert reveal.has_sealed(record)
        found = opened(record)
        [view] = records(ACME, action="audit_log.reveal")
        assert (view.entity_type, view.entity_id) == ("AuditRecord", str(record.pk))
        assert view.changes == {"seq": record.seq, "of": "Customer", "columns": found.columns}
        assert {"email", "name"} <= set(found.columns)

    def test_nothing_is_recorded_where_nothing_is_sealed(self) -> None:
        record = records(ACME)[0]
        assert not reveal.has_sealed(record)
        assert opened(record).after == record.after
        assert records(ACME, action="audit_log.reveal") == []


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
        with django_assert_max_num_queries(18, connection=connections[sequencer.ALIAS]):
            assert sequencer.sweep() == 100


def test_the_actor_of_a_destroyed_key_is_who_did_it() -> None:
    jane = customer()
    services.drain(ACME)
    with scope(tenant_id=ACME, actor=Actor(id="7", name="Ada", type="user")), transaction():
        subject_keys.destroy(str(jane.pk), now=clock.now())
    [record] = records(ACME, action="subject_key.destroy")
    assert (record.user_id, record.user_name, record.actor_type) == ("7", "Ada", "user")

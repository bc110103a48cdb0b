"""Each line of the table of personal data, and what only names a person: shown, erased, and the neighbour untouched."""

import json
from typing import Any

import pytest
from django.core.files.storage import default_storage

from audit import services as audit_log
from audit.models import AuditRecord
from audit.sealing import reveal, subject_keys
from compliance.holding import holds
from customers import consents, suppressions
from customers import models as m
from customers.catalogue import CATALOGUE
from dsar.models import Dossier, DsarRequest, ErasureSearch, ErasureStep, Step
from kaireon.api import cache
from kaireon.api.errors import Gone
from kaireon.flows import batches
from kaireon.flows.models import FlowCheckpoint
from kaireon.lib import clock
from kaireon.outbox import archive
from kaireon.outbox.models import ArchiveKey, DeadLetter, Message, MessageState, Payload
from kaireon.tenancy import idempotency
from kaireon.tenancy.context import tenant_id, transaction
from kaireon.tenancy.models import IdempotencyKey
from tests.cast import ADA
from tests.dsar import planted
from tests.dsar.conftest import EMAIL, NUMBER, answer, client, file
from tests.dsar.planted import NEIGHBOUR, NEIGHBOURS_EMAIL, World

# By dossier section: how many rows there are, and what one of them says.
SHOWN: dict[str, tuple[int, dict[str, Any]]] = {
    "profile": (1, {"customerId": NUMBER, "email": EMAIL, "name": "Jane Doe", "attributes": {"tier": "gold"}}),
    "interactions": (3, {"externalId": f"{NUMBER}-0", "kind": "purchase", "amount": "12.5000", "currency": "EUR"}),
    "journeyEnrollments": (1, {"journey": "welcome"}),
    "summaries": (2, {"kind": "purchase"}),
    "decisionTraces": (1, {"decision": "offer", "inputs": {"email": EMAIL}}),
    "attributionResults": (1, {"method": "linear", "channel": "email", "conversion": "x"}),
    "variantAssignments": (1, {"experiment": "e", "variant": "b"}),
    "identityLinks": (3, {"kind": "device", "value": planted.DEVICE}),
    "consentRecords": (1, {"channel": "email", "purpose": "news", "status": "withdrawn", "source": "form"}),
    "suppressions": (1, {"channel": "email", "reason": "asked"}),
    "deliveries": (1, {"channel": "email", "destination": EMAIL}),
    "attachments": (1, {"name": "letter.pdf", "size": len(b"dear jane")}),
    "dynamicSchemaRows": (1, {"schema": "loyalty", "data": {"note": "vip-row"}}),
    "dsarRequests": (3, {"requestType": "export", "subjectId": EMAIL, "subjectType": "email"}),
}


def _exported(subject: str) -> dict[str, Any]:
    request = answer(file(subject_id=subject))
    said = client().get(f"/api/v1/dsar/{request.pk}/download").json()
    assert said["counts"] == {name: _length(rows) for name, rows in said["data"].items()}
    return dict(said["data"])


def _length(rows: Any) -> int:
    return len(rows) if isinstance(rows, list) else int(rows is not None)


def _stored() -> set[str]:
    def under(folder: str) -> set[str]:
        folders, files = default_storage.listdir(folder)
        found = {f"{folder}/{name}".strip("/") for name in files}
        return found.union(*(under(f"{folder}/{name}".strip("/")) for name in folders))

    return under("")


@pytest.fixture
def world(ada: None, settings: Any, tmp_path: Any) -> World:
    default = {**settings.STORAGES["default"], "OPTIONS": {"location": str(tmp_path / "objects")}}
    settings.STORAGES = {**settings.STORAGES, "default": default}
    return planted.plant()


def test_each_line_is_shown_and_meets_its_erasure_and_the_neighbour_keeps_every_byte(
    world: World, superuser_url: str
) -> None:
    _each_is_shown(world)
    his_before = _exported(NEIGHBOUR)
    hers = planted.hers_by_table(world)
    request = file("delete")
    hers["dsar_dsarrequest"].add(str(request.request.pk))
    before, objects = planted.hashes(superuser_url, hers), _stored()
    with transaction():
        plan = json.loads(json.dumps(client().get(f"/api/v1/dsar/{request.request.pk}/plan").json()))
    after = answer(request)
    assert (after.status, after.outcome, after.retained, after.error) == ("completed", "completed", [], "")
    _each_met_its_action(world, after)
    _the_plan_had_said_it(plan, after)
    # The neighbour, and all else that is not hers.
    now = planted.hashes(superuser_url, hers)
    assert {table: (before[table], now[table]) for table in before if before[table] != now[table]} == {}
    assert objects - _stored() == set(world.objects)
    # What came is the journal, which names nobody.
    [entry] = _stored() - objects
    assert entry.startswith("erasures/")
    with default_storage.open(entry) as said:
        assert [word for word in (NUMBER, EMAIL, "Jane") if word in said.read().decode()] == []
    assert planted.left(Payload, world.his.payloads + world.his.own) == 6
    his_after = _exported(NEIGHBOUR)
    assert len(his_after.pop("dsarRequests")) == len(his_before.pop("dsarRequests")) + 1
    assert len(his_after["auditLogs"]) > len(his_before["auditLogs"])
    changed = his_after.pop("auditLogs")[: len(his_before["auditLogs"])]
    assert [row["id"] for row in changed] == [row["id"] for row in his_before.pop("auditLogs")]
    assert his_after == his_before


def _each_is_shown(world: World) -> None:
    data = _exported(NUMBER)
    faults = {}
    for section, (count, some) in SHOWN.items():
        rows = data[section] if isinstance(data[section], list) else [data[section]]
        if len(rows) != count or not any(some.items() <= row.items() for row in rows):
            faults[section] = rows
    assert faults == {}
    assert {e.section for e in CATALOGUE if e.section} | {"auditLogs"} == set(data) == {*SHOWN, "auditLogs"}
    created = next(row for row in data["auditLogs"] if (row["entityType"], row["action"]) == ("Customer", "create"))
    assert (created["entityId"], created["changes"]["email"]) == (str(world.jane.pk), EMAIL)
    # Nothing of somebody as like as can be.
    assert [name for name in (NEIGHBOURS_EMAIL, NEIGHBOUR, str(world.john.pk)) if name in json.dumps(data)] == []


def _each_met_its_action(world: World, request: DsarRequest) -> None:
    pk, hers = world.jane.pk, world.hers
    with transaction():
        assert {e.name: n for e in CATALOGUE if (n := e.about(pk).count())} == {"dsarRequest": 4}
        # Requests: their identifiers are gone, the skeleton stays.
        kept = list(DsarRequest.objects.filter(customer_ref=pk))
        assert all(row.is_shredded and row.subject_key == "" and row.pseudonym == request.pseudonym for row in kept)
        assert {(row.status, row.due_on is not None) for row in kept} == {("completed", True)}
        assert not Dossier.objects.filter(customer_ref=pk).exists()
        # Consents: evidence under a key, and the opt-out keeps its effect if they ever come back.
        [evidence] = m.ConsentRecord.objects.filter(customer=None)
        assert (evidence.source, evidence.subject_key.startswith("v1:")) == ("", True)
        returned = m.Customer(customer_id=NUMBER, email=EMAIL)
        assert consents.standing(returned) == {("email", "news"): "withdrawn"}
        assert suppressions.is_suppressed(returned, channel="email", now=clock.now())
        # Attachments: their objects are confirmed gone.
        assert request.counts["objects"] == {"deleted": 1, "wereMissing": 0}
        assert [default_storage.exists(name) for name in world.objects] == [False]
        # Messages and dead letters stay as ids and states; what they said is gone, and cannot be sent or replayed.
        assert planted.left(Payload, hers.payloads + hers.own) == planted.left(ArchiveKey, hers.archive_keys) == 0
        assert Message.objects.filter(pk__in=hers.payloads, state=MessageState.PENDING).count() == 2
        assert DeadLetter.objects.filter(source_ref__in=hers.payloads).count() == 3
        assert planted.left(ArchiveKey, world.his.archive_keys) == 4
        _archives_say_nothing_of_her()
        # Checkpoints are gone, and her row out of the batches between the steps.
        assert planted.left(FlowCheckpoint, hers.checkpoints) == 0
        assert planted.left(FlowCheckpoint, world.his.checkpoints) == 3
    for step in ("load", "mask"):
        assert [line for line, _ in batches.read(world.run.pk, step, 0)] == world.his.lines
    # Kept answers, and caches.
    assert (planted.kept_answers(hers.answers), planted.kept_answers(world.his.answers)) == (0, 2)
    assert (planted.kept_notes(hers.notes), planted.kept_notes(world.his.notes)) == (0, 2)
    assert cache.get(cache.DECISION, NUMBER, tenant_id=tenant_id()) is None
    assert cache.get(cache.FEATURE, "opaque", tenant_id=tenant_id()) is None
    # The log: whole, and what it says of her opens for nobody any more; what it says of him still does.
    audit_log.drain(tenant_id(), wholly=True)
    with transaction():
        assert subject_keys.alive([str(pk), str(world.john.pk)]) == {str(world.john.pk)}
        assert _opened(world.john)["email"] == NEIGHBOURS_EMAIL
        assert {_opened(world.jane)[name] == {"erased": True} for name in ("email", "phone", "name")} == {True}
        # The names by which she was looked for are forgotten.
        assert list(ErasureSearch.objects.values_list("names_sealed", "refs")) == [(None, [])]


def _opened(who: m.Customer) -> Any:
    record = AuditRecord.objects.get(entity_type="Customer", entity_id=str(who.pk), action="create")
    return reveal.open_contents("Customer", record.after, reveal.keys_of([record.after])).value


def _archives_say_nothing_of_her() -> None:
    said = []
    for name in DeadLetter.objects.exclude(archive_name="").values_list("archive_name", flat=True).distinct():
        with default_storage.open(name) as file_:
            said += [line["payload"] for line in archive.read(file_.read(), name=name)]
    assert len([payload for payload in said if payload]) == 4
    assert len([payload for payload in said if payload is None]) == 4
    assert EMAIL not in json.dumps(said)


def _the_plan_had_said_it(plan: dict[str, Any], request: DsarRequest) -> None:
    by_action: dict[str, dict[str, int]] = {}
    for item in plan["items"]:
        by_action.setdefault(item["action"], {})[item["entity"]] = item["count"]
    gone = {name: count for name, count in request.counts["deleted"].items() if count}
    # What names her in an archive alone is found by opening it, which no plan does.
    assert (by_action["erase"].pop("attachmentObject"), gone.pop("archivedDeadLetter")) == (1, 4)
    objects = by_action["erase"].pop("dossierObject", 0)
    assert (by_action["erase"], objects) == (gone, 0)
    assert by_action["shred"] == {"dsarRequest": 4, "idempotencyAnswer": 2, "signalNote": 2, "subjectKey": 1}
    assert by_action["anonymise"] == {"consentRecord": 1}
    assert request.counts["reduced"] == {"consentRecord": 1, "dsarRequest": 4, "idempotencyAnswer": 2, "signalNote": 2}
    with transaction():
        [last] = ErasureStep.objects.filter(request=request.pk, name=Step.VERIFICATION)
    assert last.counts == {"retained": 0, "messagesFound": 5 + 4, "batchRows": 2, "cached": 3}


def test_what_is_held_of_it_stays_and_follows(world: World) -> None:
    """Messages and checkpoints are under hold like all else, also those that only name the person."""
    hers, now = world.hers, clock.now()
    with transaction():
        for data_class in ("jobs", "metrics"):
            holds.place_hold(data_class=data_class, reason="litigation", actor=ADA.actor, now=now)
    request = answer(file("delete"))
    assert (request.state, request.outcome) == ("deferred", "partially_completed")
    kept = {entry["entity"]: entry["count"] for entry in request.retained if entry["ground"] == "legal_hold"}
    assert (kept["outboxPayload"], kept["archivedDeadLetter"], kept["flowCheckpoint"]) == (6, 4, 2)
    for data_class, checkpoints in (("jobs", 2), ("metrics", 0)):
        assert planted.left(FlowCheckpoint, hers.checkpoints) == 2
        with transaction():
            holds.release_hold(data_class=data_class, actor=ADA.actor, now=now)
        planted.work_off()
        assert planted.left(Payload, hers.payloads + hers.own) == 0
        assert planted.left(FlowCheckpoint, hers.checkpoints) == checkpoints
    with transaction():
        request.refresh_from_db()
        assert (request.status, request.outcome, request.retained) == ("completed", "completed", [])
        assert request.counts["deleted"]["flowCheckpoint"] == 2
        assert list(ErasureSearch.objects.values_list("names_sealed", flat=True)) == [None]


def test_an_answer_that_named_them_is_said_to_be_gone_and_nothing_is_done_twice(world: World) -> None:
    """Kept answers do not bring the person back; nor does that of the erasure itself, which is asked for again."""
    keyed = {"HTTP_IDEMPOTENCY_KEY": "erase-once"}
    first = client().post("/api/v1/gdpr/erasure", {"customerId": NUMBER}, format="json", **keyed)
    again = client().post("/api/v1/gdpr/erasure", {"customerId": NUMBER}, format="json", **keyed)
    assert (first.status_code, again.status_code, again["Idempotency-Replayed"]) == (200, 200, "true")
    assert again.json() == first.json()
    with transaction():
        [row] = IdempotencyKey.objects.exclude(principal="ada")
        kept = idempotency._answered(row)
    assert kept == {name: value for name, value in first.json().items() if name != "customerId"}
    for key, body in ((f"1-{world.jane.pk}", "f" * 64), (f"2-{world.jane.pk}", "another body")):
        with pytest.raises(Gone) as refused:
            idempotency.claim(principal="ada", key=key, fingerprint=body)
        assert refused.value.code == "idempotency_answer_erased"
    assert idempotency.claim(principal="ada", key=f"1-{world.john.pk}", fingerprint="f" * 64).replay.status_code == 201

"""Somebody changes the records of a bundle: what they hold, what they do, and how it is found."""

from dataclasses import replace

import pytest

from audit.offline.kaireon_verify import PinnedKey
from tests.audit.offline.bundle import base64_of, chained, key, line, raw, verifier_key


def with_records(bundle, records):
    """As somebody without the signing key can: everything that is not signed fits again."""
    return bundle.changed("records.ndjson", lambda _: b"".join(line(record) + b"\n" for record in records))


def rewritten(records, place, **fields):
    """One record changed, and the chain from there on computed anew."""
    before = records[place]["prevHash"]
    changed = [{**records[place], **fields}, *records[place + 1 :]]
    return [*records[:place], *chained(changed, before, records[place]["seq"])]


OTHER = {
    "id": "0190a000-0000-7000-8000-00000000ffff",
    "seq": 11,
    "action": "approve",
    "entityType": "Other",
    "entityId": "o-other",
    "entityName": "Other",
    "changes": {"other": 1},
    "before": {"other": 1},
    "after": {"other": 1},
    "entityVersion": 999,
    "userId": "u-other",
    "userName": "Mallory",
    "actorType": "operator",
    "tenantId": "globex",
    "requestId": "req-other",
    "timestamp": "2020-01-01T00:00:00.000000Z",
    "integrityHash": "0" * 64,
    "prevHash": "0" * 64,
}


def test_every_field_is_tried(log):
    assert OTHER.keys() == log.records[0].keys()


@pytest.mark.parametrize("field", OTHER)
def test_a_changed_field_is_found_at_its_record(log, check_broken, field):
    records = [{**record, field: OTHER[field]} if record["seq"] == 10 else record for record in log.records]
    broken = check_broken(with_records(log.bundle(), records).zip())

    assert broken.file == "records.ndjson"
    assert broken.reason in ("hash_mismatch", "sequence_gap", "chain_link_mismatch", "malformed")
    assert broken.record_id == records[9]["id"]


@pytest.mark.parametrize("field", sorted(OTHER.keys() - {"seq", "integrityHash", "prevHash", "tenantId"}))
@pytest.mark.parametrize("marks", [True, False])
def test_a_changed_field_in_a_rewritten_chain_is_found(log, check_broken, field, marks):
    records = rewritten(log.records, 9, **{field: OTHER[field]})
    broken = check_broken(with_records(log.bundle(marks=marks), records).zip())

    if marks:
        assert (broken.reason, broken.seq, broken.record_id) == ("hash_mismatch", 10, records[9]["id"])
    else:
        assert (broken.file, broken.reason) == ("records.ndjson", "checkpoint_mismatch")


def removed(records, place):
    return records[:place] + records[place + 1 :]


def inserted(records, place):
    return [*records[:place], {**records[place], "id": OTHER["id"]}, *records[place:]]


def swapped(records, place):
    return [*records[:place], records[place + 1], records[place], *records[place + 2 :]]


@pytest.mark.parametrize(
    ("change", "place", "reason", "seq"),
    [
        (removed, 0, "sequence_gap", 2),
        (removed, 30, "chain_link_mismatch", 32),
        (removed, 59, "truncated", 59),
        (inserted, 0, "hash_mismatch", 1),
        (inserted, 30, "hash_mismatch", 31),
        (swapped, 0, "sequence_gap", 2),
        (swapped, 30, "chain_link_mismatch", 32),
        (swapped, 58, "chain_link_mismatch", 60),
    ],
)
def test_records_that_went_came_or_moved(log, check_broken, change, place, reason, seq):
    broken = check_broken(with_records(log.bundle(), change(log.records, place)).zip())

    assert (broken.file, broken.reason, broken.seq) == ("records.ndjson", reason, seq)


@pytest.mark.parametrize("change", [removed, inserted, swapped])
@pytest.mark.parametrize("place", [0, 30, 58])
@pytest.mark.parametrize("marks", [True, False])
def test_the_same_with_the_chain_computed_anew(log, check_broken, change, place, marks):
    records = chained(change(log.records, place))
    bundle = with_records(log.bundle(marks=marks), records)
    assert check_broken(bundle.zip()).file == "records.ndjson"

    told = bundle.with_manifest(records=len(records), lastSeq=len(records))
    expected = ("records.ndjson",) if change is swapped else ("manifest.json", "proofs.json")
    assert check_broken(told.zip()).file in expected


def test_a_cut_tail_told_as_a_shorter_bundle(log, check_broken):
    short = log.bundle(1, 50)
    told = short.changed("proofs.json", lambda _: log.bundle().files["proofs.json"])

    assert check_broken(told.zip()).file == "proofs.json"
    assert check_broken(short.with_manifest(treeSize=50).zip()).file == "checkpoint.txt"


def test_a_rewritten_log_under_another_key_is_intact_to_itself_alone(log, check, check_broken):
    """What `embedded` does not hold against, and `pinned` does."""
    forged = (
        replace(log, records=rewritten(log.records, 9, userName="Mallory"), keys=(key("Mallory's"),)).bundle().zip()
    )

    assert check(forged).level == "embedded"
    assert check_broken(forged, pinned=PinnedKey(None, 1, raw(log.keys[0]))).reason == "key_not_trusted"


def test_a_rewritten_log_under_the_stolen_key_lacks_its_witness(log, check):
    """What `pinned` does not hold against, and `pinned-witnessed` does."""
    witness = PinnedKey("w.example", 4, raw(key("witness")))
    pinned = PinnedKey(None, 1, raw(log.keys[0]))
    forged = replace(log, records=rewritten(log.records, 9, userName="Mallory"))
    impostor = replace(forged, witnesses={"w.example": key("Mallory's")})

    for bundle in (forged.bundle().zip(), impostor.bundle().zip()):
        assert check(bundle, pinned=pinned, witnesses=[witness]).level == "pinned"


def test_a_key_that_vouches_for_itself_is_not_led_to(log, check_broken):
    """The pinned key stands in keys.json, but did not sign what follows it."""
    two = replace(log, keys=(*log.keys, key("Mallory's")))

    def forge(keys):
        after = keys["keys"][1]
        statement = b"kaireon key rotation v1\n%s\n%s\n" % tuple(verifier_key(log.origin, k).encode() for k in two.keys)
        after["crossSignatures"][0]["signature"] = base64_of(key("Mallory's").sign(statement))
        return keys

    broken = check_broken(two.bundle().with_json("keys.json", forge).zip(), pinned=PinnedKey(None, 1, raw(log.keys[0])))
    assert (broken.file, broken.reason) == ("keys.json", "signature_invalid")

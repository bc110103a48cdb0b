"""Somebody changes a bundle: what they hold, what they do, and how it is found."""

import base64
import io
import json
from dataclasses import replace
from hashlib import sha256

import pytest
import rfc8785

from audit.offline import kaireon_verify
from audit.offline.kaireon_verify import NothingToSay, PinnedKey
from tests.audit.offline.bundle import (
    base64_of,
    chained,
    cosignature,
    key,
    key_id,
    line,
    raw,
    signed_note,
    verifier_key,
    zipped,
)


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


def edited(name, change):
    return lambda bundle: bundle.with_json(name, change)


def first_key(**fields):
    return edited("keys.json", lambda keys: {**keys, "keys": [{**keys["keys"][0], **fields}, *keys["keys"][1:]]})


def last_key(change):
    return edited("keys.json", lambda keys: {**keys, "keys": [*keys["keys"][:-1], change(keys["keys"][-1])]})


def proofs(**fields):
    return edited("proofs.json", lambda found: {**found, **fields})


def note(change):
    return lambda bundle: bundle.changed("checkpoint.txt", change)


def text(name, old, new):
    def change(content):
        assert old in content
        return content.replace(old, new, 1)

    return lambda bundle: bundle.changed(name, change)


LOW_ORDER = base64_of(bytes(32))
MANIFEST, PROOFS, KEYS, CHECKPOINT = "manifest.json", "proofs.json", "keys.json", "checkpoint.txt"

# Each is made by the key's owner, manifest and all: that somebody signed it does not make it right.
CONTRADICTIONS = {
    "no such range": (lambda b: b.with_manifest(firstSeq=0), MANIFEST, "malformed"),
    "a range backwards": (lambda b: b.with_manifest(firstSeq=41, lastSeq=20), MANIFEST, "malformed"),
    "beyond the tree": (lambda b: b.with_manifest(lastSeq=61, records=42), MANIFEST, "malformed"),
    "another count": (lambda b: b.with_manifest(records=20), MANIFEST, "malformed"),
    "a count that is true": (lambda b: b.with_manifest(records=True), MANIFEST, "malformed"),
    "a size that is a double": (lambda b: b.with_manifest(treeSize=60.5), MANIFEST, "malformed"),
    "a size that is text": (lambda b: b.with_manifest(treeSize="60"), MANIFEST, "malformed"),
    "another origin": (lambda b: b.with_manifest(origin="kaireon.example/globex"), MANIFEST, "malformed"),
    "another host": (lambda b: b.with_manifest(origin="elsewhere.example/acme"), CHECKPOINT, "checkpoint_mismatch"),
    "another tenant": (
        lambda b: b.with_manifest(origin="kaireon.example/globex", tenantId="globex"),
        CHECKPOINT,
        "checkpoint_mismatch",
    ),
    "a date without zone": (lambda b: b.with_manifest(createdAt="2026-02-01T00:00:00"), MANIFEST, "malformed"),
    "a month 13": (lambda b: b.with_manifest(createdAt="2026-13-01T00:00:00.000000Z"), MANIFEST, "malformed"),
    "a date with an offset": (
        lambda b: b.with_manifest(**{"from": "2026-02-01T00:00:00.000000+01:00"}),
        MANIFEST,
        "malformed",
    ),
    "a range of time backwards": (
        lambda b: b.with_manifest(**{"from": "2026-03-01T00:00:00.000000Z", "to": "2026-02-01T00:00:00.000000Z"}),
        "records.ndjson",
        "malformed",
    ),
    "a field too many": (lambda b: b.with_manifest(more=1), MANIFEST, "malformed"),
    "a file too many": (lambda b: b.with_manifest(files={"x": "0" * 64}), MANIFEST, "malformed"),
    "another root": (lambda b: b.with_manifest(rootHash="0" * 64), CHECKPOINT, "checkpoint_mismatch"),
    "another tree in the proofs": (proofs(treeSize=61), PROOFS, "checkpoint_mismatch"),
    "another root in the proofs": (proofs(rootHash="0" * 64), PROOFS, "checkpoint_mismatch"),
    "another range in the proofs": (proofs(firstSeq=19), PROOFS, "checkpoint_mismatch"),
    "a hash too few": (edited(PROOFS, lambda p: {**p, "left": p["left"][1:]}), PROOFS, "checkpoint_mismatch"),
    "a hash too many": (
        edited(PROOFS, lambda p: {**p, "right": [*p["right"], "0" * 64]}),
        PROOFS,
        "checkpoint_mismatch",
    ),
    "another hash": (
        edited(PROOFS, lambda p: {**p, "left": ["0" * 64, *p["left"][1:]]}),
        "records.ndjson",
        "checkpoint_mismatch",
    ),
    "hashes in another order": (
        edited(PROOFS, lambda p: {**p, "left": p["left"][::-1]}),
        "records.ndjson",
        "checkpoint_mismatch",
    ),
    "a hash in capitals": (
        edited(PROOFS, lambda p: {**p, "left": [p["left"][0].upper(), *p["left"][1:]]}),
        PROOFS,
        "malformed",
    ),
    "a hash that is null": (edited(PROOFS, lambda p: {**p, "left": [None, *p["left"][1:]]}), PROOFS, "malformed"),
    "marks of other records": (proofs(marks=base64_of(bytes(42))), "records.ndjson", "hash_mismatch"),
    "too few marks": (proofs(marks=base64_of(bytes(40))), PROOFS, "malformed"),
    "marks in another spelling": (proofs(marks="AB=="), PROOFS, "malformed"),
    "another format of proofs": (proofs(format=2), PROOFS, "malformed"),
    "a format that is true": (proofs(format=True), PROOFS, "malformed"),
    "a key twice in the proofs": (text(PROOFS, b'{"', b'{"format":1,"'), PROOFS, "malformed"),
    "proofs that are a list": (lambda b: b.changed(PROOFS, lambda _: b"[]"), PROOFS, "malformed"),
    "proofs that are nothing": (lambda b: b.changed(PROOFS, lambda _: b""), PROOFS, "malformed"),
    "proofs with a mark of their bytes' order": (
        lambda b: b.changed(PROOFS, lambda c: b"\xef\xbb\xbf" + c),
        PROOFS,
        "malformed",
    ),
    "proofs that are not UTF-8": (text(PROOFS, b'"left"', b'"\xff"'), PROOFS, "malformed"),
    "proofs nested deeply": (lambda b: b.changed(PROOFS, lambda _: b"[" * 100_000), PROOFS, "malformed"),
    "not a number": (text(PROOFS, b'"format":1', b'"format":NaN'), PROOFS, "malformed"),
    "half a surrogate pair": (text(PROOFS, b'"left"', b'"\\ud800"'), PROOFS, "malformed"),
    "no keys": (edited(KEYS, lambda k: {**k, "keys": []}), "manifest.sig", "signature_invalid"),
    "keys without the one that signed": (
        edited(KEYS, lambda k: {**k, "keys": k["keys"][:1]}),
        "manifest.sig",
        "signature_invalid",
    ),
    "too many keys": (edited(KEYS, lambda k: {**k, "keys": k["keys"] * 200}), KEYS, "malformed"),
    "a key twice": (edited(KEYS, lambda k: {**k, "keys": k["keys"] + k["keys"]}), KEYS, "malformed"),
    "a gap of versions": (last_key(lambda k: {**k, "version": 3}), KEYS, "malformed"),
    "versions backwards": (edited(KEYS, lambda k: {**k, "keys": k["keys"][::-1]}), KEYS, "malformed"),
    "another id": (first_key(keyId="00000000"), KEYS, "malformed"),
    "a key of small order": (first_key(publicKey=LOW_ORDER), KEYS, "malformed"),
    "a short key": (first_key(publicKey=base64_of(bytes(31))), KEYS, "malformed"),
    "a key's name with a space": (first_key(name="a b"), KEYS, "malformed"),
    "a key without cross-signatures": (last_key(lambda k: {**k, "crossSignatures": []}), KEYS, "signature_invalid"),
    "a key that did not sign itself": (
        last_key(lambda k: {**k, "crossSignatures": k["crossSignatures"][:1]}),
        KEYS,
        "signature_invalid",
    ),
    "a key that the one before did not sign": (
        last_key(lambda k: {**k, "crossSignatures": k["crossSignatures"][1:]}),
        KEYS,
        "signature_invalid",
    ),
    "cross-signatures exchanged": (
        last_key(
            lambda k: {
                **k,
                "crossSignatures": [
                    {"by": a["by"], "signature": b["signature"]}
                    for a, b in zip(k["crossSignatures"], k["crossSignatures"][::-1], strict=True)
                ],
            }
        ),
        KEYS,
        "signature_invalid",
    ),
    "one cross-signature twice": (
        last_key(lambda k: {**k, "crossSignatures": k["crossSignatures"][:1] * 2}),
        KEYS,
        "malformed",
    ),
    "a witness of another id": (
        edited(KEYS, lambda k: {**k, "witnesses": [{**k["witnesses"][0], "keyId": "00000000"}]}),
        KEYS,
        "malformed",
    ),
    "a checkpoint with more lines": (note(lambda n: n.replace(b"\n\n", b"\nmore\n\n", 1)), CHECKPOINT, "malformed"),
    "a checkpoint without signatures": (note(lambda n: n.split(b"\n\n")[0] + b"\n\n"), CHECKPOINT, "malformed"),
    "a checkpoint without an empty line": (note(lambda n: n.replace(b"\n\n", b"\n", 1)), CHECKPOINT, "malformed"),
    "a checkpoint that is cut": (note(lambda n: n[:-1]), CHECKPOINT, "malformed"),
    "a checkpoint in another line ending": (note(lambda n: n.replace(b"\n", b"\r\n")), CHECKPOINT, "malformed"),
    "a checkpoint that is not UTF-8": (
        note(lambda n: n.replace(b"kaireon", b"kaireo\xff", 1)),
        CHECKPOINT,
        "malformed",
    ),
    "a size with a zero before it": (note(lambda n: n.replace(b"\n60\n", b"\n060\n")), CHECKPOINT, "malformed"),
    "a size that is none": (note(lambda n: n.replace(b"\n60\n", b"\n-60\n")), CHECKPOINT, "malformed"),
    "a size in other digits": (note(lambda n: n.replace(b"\n60\n", "\n６０\n".encode())), CHECKPOINT, "malformed"),
    "another size": (note(lambda n: n.replace(b"\n60\n", b"\n61\n")), CHECKPOINT, "checkpoint_mismatch"),
    "an empty checkpoint": (note(lambda _: b""), CHECKPOINT, "malformed"),
    "too many signatures": (note(lambda n: n + "— x AAAAAAAA\n".encode() * 64), CHECKPOINT, "malformed"),
    "a signature too short to be one": (note(lambda n: n + "— x AAAA\n".encode()), CHECKPOINT, "malformed"),
    "a signature in another spelling": (note(lambda n: n + "— x AAAAAAB=\n".encode()), CHECKPOINT, "malformed"),
}


@pytest.mark.parametrize("name", CONTRADICTIONS)
def test_a_bundle_that_contradicts_itself_is_refused_though_signed(log, check_broken, name):
    change, file, reason = CONTRADICTIONS[name]
    log = replace(log, keys=(key("first"), key("second")), witnesses={"w.example": key("witness")})
    broken = check_broken(change(log.bundle(20, 40)).zip())

    assert (broken.file, broken.reason) == (file, reason), broken.message


def test_a_checkpoint_signed_by_somebody_else(log, check_broken):
    stranger = replace(log, keys=(key("stranger"),))
    broken = check_broken(log.bundle().changed("checkpoint.txt", lambda _: stranger.checkpoint(60)).zip())

    assert (broken.file, broken.reason) == ("checkpoint.txt", "signature_invalid")


def test_a_signature_in_the_keys_name_that_is_not_its(log, check_broken):
    def forge(content):
        text = content.split(b"\n\n")[0].decode() + "\n"
        false = key_id(log.origin, 1, raw(log.keys[0])) + key("stranger").sign(text.encode())
        return content + f"— {log.origin} {base64_of(false)}\n".encode()

    broken = check_broken(log.bundle().changed("checkpoint.txt", forge).zip())
    assert (broken.file, broken.reason) == ("checkpoint.txt", "signature_invalid")


def test_a_checkpoint_under_a_name_that_is_not_its_origin(log, check_broken):
    """The key is right and its name is not: it might be the key of another log."""
    other = "kaireon.example/globex"

    def renamed(entry):
        return {**entry, "name": other, "keyId": key_id(other, 1, raw(log.keys[0])).hex()}

    bundle = log.bundle().with_json("keys.json", lambda keys: {**keys, "keys": [renamed(keys["keys"][0])]})
    text = bundle.files["checkpoint.txt"].split(b"\n\n")[0].decode() + "\n"
    files = bundle.changed("checkpoint.txt", lambda _: signed_note(text, other, log.keys[0])).signed()
    name = key_id(other, 1, raw(log.keys[0])).hex().encode()
    files["manifest.sig"] = name + files["manifest.sig"][8:]

    assert check_broken(zipped(files)).file == "checkpoint.txt"


def plain_signature(text, witness):
    """By the right key, of the right text, and not a cosignature."""
    value = key_id("w.example", 4, raw(witness)) + witness.sign(text.encode())
    return f"— w.example {base64_of(value)}\n".encode()


@pytest.mark.parametrize(
    "forge",
    [
        lambda text: cosignature(text, "w.example", key("witness"), 5).encode()[:-7] + b"AAAA==\n",
        lambda text: cosignature(text.replace("60", "61"), "w.example", key("witness")).encode(),
        lambda text: plain_signature(text, key("witness")),
    ],
    ids=["cut", "of another checkpoint", "a plain signature"],
)
def test_a_cosignature_in_a_witness_name_that_is_not_its(log, check_broken, forge):
    bundle = log.bundle()
    text = bundle.files["checkpoint.txt"].split(b"\n\n")[0].decode() + "\n"
    forged = bundle.changed("checkpoint.txt", lambda note: note + forge(text)).zip()
    pinned = PinnedKey("w.example", 4, raw(key("witness")))

    broken = check_broken(forged, witnesses=[pinned])
    assert (broken.file, broken.reason) == ("checkpoint.txt", "signature_invalid")


def test_the_time_of_a_cosignature_is_signed(log, check_broken):
    bundle = replace(log, witnesses={"w.example": key("witness")}).bundle()
    text = bundle.files["checkpoint.txt"].split(b"\n\n")[0].decode() + "\n"
    early = cosignature(text, "w.example", key("witness"), 1)
    late = key_id("w.example", 4, raw(key("witness"))) + (2).to_bytes(8, "big")
    moved = base64_of(late + base64.b64decode(early.split(" ")[2])[12:])
    forged = bundle.changed("checkpoint.txt", lambda note: note + f"— w.example {moved}\n".encode()).zip()

    assert check_broken(forged).reason == "signature_invalid"


def test_a_replaced_manifest_does_not_fit(log, check_broken):
    ours, other = log.bundle(1, 30).signed(), log.bundle(1, 31).signed()

    assert check_broken(zipped({**ours, "manifest.json": other["manifest.json"]})).reason == "file_mismatch"
    both = {**ours, "manifest.json": other["manifest.json"], "manifest.sig": other["manifest.sig"]}
    assert check_broken(zipped(both)).reason == "file_mismatch"


def test_a_manifest_signed_by_another_key(log, check_broken):
    bundle = log.bundle()
    files = bundle.signed()
    stranger = bundle.signature(files["manifest.json"], key("stranger"))
    named_as_ours = files["manifest.sig"][:8] + stranger[8:]

    for signature in (stranger, named_as_ours):
        broken = check_broken(zipped({**files, "manifest.sig": signature}))
        assert (broken.file, broken.reason) == ("manifest.sig", "signature_invalid")


def test_a_manifest_signed_by_a_key_that_did_not_sign_the_checkpoint(log, check_broken):
    two = replace(log, keys=(key("first"), key("second")))
    bundle = two.bundle()
    files = bundle.signed()
    files["manifest.sig"] = bundle.signature(files["manifest.json"], key("first"))

    assert check_broken(zipped(files)).file == "checkpoint.txt"


@pytest.mark.parametrize(
    "change",
    [lambda s: s[:-1], lambda s: s + b"\n", lambda s: s.upper(), lambda _: b"", lambda s: s[:9] + b" " + s[9:]],
)
def test_a_manifest_signature_of_another_form(log, check_broken, change):
    files = log.bundle().signed()

    assert check_broken(zipped({**files, "manifest.sig": change(files["manifest.sig"])})).file == "manifest.sig"


@pytest.mark.parametrize(
    "spell",
    [
        lambda manifest: json.dumps(manifest).encode(),
        lambda manifest: rfc8785.dumps(manifest) + b"\n",
        lambda manifest: rfc8785.dumps(manifest).replace(b'"from":null', b'"from":null,"from":null'),
    ],
)
def test_a_manifest_in_another_spelling(log, spell):
    bundle = log.bundle()
    files = bundle.signed()
    manifest = spell(json.loads(files["manifest.json"]))
    signed = {**files, "manifest.json": manifest, "manifest.sig": bundle.signature(manifest, log.keys[0])}
    with pytest.raises((kaireon_verify.Broken, NothingToSay)):
        kaireon_verify.check(io.BytesIO(zipped(signed)))


@pytest.mark.parametrize(
    "name", ["records.ndjson", "proofs.json", "checkpoint.txt", "keys.json", "kaireon_verify.py", "README.txt"]
)
def test_a_file_that_the_manifest_does_not_name(log, check_broken, name):
    files = log.bundle().signed()
    files[name] += b"\n"
    broken = check_broken(zipped(files))

    assert broken.file == name
    assert broken.reason in ("file_mismatch", "not_canonical")


def test_the_file_of_records_is_the_one_that_the_manifest_names(log, check_broken):
    """Though the records are those of the tree."""
    bundle = log.bundle()
    files = bundle.signed()
    manifest = json.loads(files["manifest.json"])
    manifest["files"]["records.ndjson"] = sha256(b"another").hexdigest()
    manifest = rfc8785.dumps(manifest)
    files |= {"manifest.json": manifest, "manifest.sig": bundle.signature(manifest, log.keys[0])}

    assert check_broken(zipped(files)).reason == "file_mismatch"

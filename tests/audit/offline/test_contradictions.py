"""Bundles that say two things, though the key's owner signed them."""

from dataclasses import replace

import pytest

from tests.audit.offline.bundle import base64_of, key


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

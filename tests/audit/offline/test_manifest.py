"""A manifest that was replaced, signed by somebody else, spelled otherwise, or does not fit its files."""

import io
import json
from dataclasses import replace
from hashlib import sha256

import pytest
import rfc8785

from audit.offline import kaireon_verify
from audit.offline.kaireon_verify import NothingToSay
from tests.audit.offline.bundle import key, zipped


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

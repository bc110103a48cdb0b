"""A certificate in the hands of somebody who wants it to say something else, and the verifier that knows none of us."""

import base64
import copy
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from audit import services
from audit.offline import kaireon_verify
from audit.tree import checkpoints, notes, signing
from customers import models as m
from dsar.certifying.certificates import SIGNED
from kaireon.lib.canonical import canonical
from kaireon.tenancy.context import transaction
from tests.audit.log import write
from tests.cast import ACME, ADA, GLOBEX, MALLORY
from tests.dsar.certified import checked, pinned, said_of, taken
from tests.dsar.conftest import answer, file

Doc = dict[str, Any]
Change = Callable[[Doc], object]


@dataclass
class Taken:
    """A certificate, and what an attacker may have beside it."""

    folder: Path
    content: bytes
    pin: str
    # The log's own key, for what even its thief cannot do.
    stolen: Ed25519PrivateKey

    def changed(self, change: Change) -> bytes:
        doc = json.loads(self.content)
        change(doc)
        return canonical(doc)

    def signed_anew(self, change: Change, key: Ed25519PrivateKey | None = None) -> bytes:
        doc = json.loads(self.content)
        change(doc)
        signature = doc.pop("signature")
        value = (key or self.stolen).sign(SIGNED + canonical(doc))
        doc["signature"] = {**signature, "value": base64.b64encode(value).decode()}
        return canonical(doc)

    def said(self, content: bytes, *options: str) -> tuple[int, str | None, str]:
        try:
            return said_of(self.folder, content, *options)
        except kaireon_verify.NothingToSay as nothing:
            return 2, None, str(nothing)


@pytest.fixture
def certificate(jane: m.Customer, tmp_path: Path) -> Taken:
    write(20, tenant=ACME)
    content = taken(answer(file("delete")))
    with transaction():
        stolen = signing.opened(signing.keys(ACME)[0]).private
    return Taken(tmp_path, content, pinned(), stolen)


def test_the_program_says_that_it_holds_and_of_what(certificate: Taken) -> None:
    said = json.loads(certificate.content)
    code, verdict = checked(certificate.folder, certificate.content, "--pubkey", certificate.pin)
    assert (code, verdict["intact"], verdict["level"], verdict["rotations"]) == (0, True, "pinned", 0)
    assert verdict["requestId"] == said["certificate"]["requestId"]
    assert (verdict["tenantId"], verdict["records"], verdict["firstSeq"]) == ("acme", 1, said["record"]["seq"])
    assert verdict["treeSize"] == said["proof"]["treeSize"]
    path = certificate.folder / "certificate.json"
    printed = kaireon_verify.run(kaireon_verify._options([str(path)])).as_text()
    assert printed.startswith("INTACT at level embedded.\n  Erasure     request ")
    assert "which came with the certificate: pin it with --pubkey" in printed
    # Not witnessed, and so not enough for who asks for that.
    assert certificate.said(certificate.content, "--require", "pinned-witnessed")[0] == 3


def test_another_key_is_not_trusted(certificate: Taken) -> None:
    other = Ed25519PrivateKey.generate().public_key().public_bytes_raw().hex()
    code, reason, message = certificate.said(certificate.content, "--pubkey", other)
    assert (code, reason) == (1, "key_not_trusted")
    assert "the pinned key is not in it" in message


def _more(doc: Doc) -> None:
    doc["certificate"]["counts"]["deleted"]["interactionHistory"] += 1


def _nothing_kept(doc: Doc) -> None:
    doc["certificate"]["retained"] = [{"entity": "customer", "count": 1, "ground": "legal_hold", "until": None}]


def _earlier(doc: Doc) -> None:
    doc["certificate"]["times"]["closedAt"] = "2020-01-01T00:00:00.000000Z"


def _another_request(doc: Doc) -> None:
    doc["certificate"]["requestId"] = "0190d000-0000-7000-8000-000000000000"


def _another_subject(doc: Doc) -> None:
    doc["certificate"]["subject"] = "erased-v1-" + "0" * 32


def _another_record(doc: Doc) -> None:
    doc["record"]["after"]["counts"] = {"deleted": {}}


def _another_leaf(doc: Doc) -> None:
    doc["proof"]["leafIndex"] += 1


def _shorter_proof(doc: Doc) -> None:
    doc["proof"]["hashes"].pop()


def _longer_proof(doc: Doc) -> None:
    doc["proof"]["hashes"].append("0" * 64)


def _no_proof(doc: Doc) -> None:
    doc["proof"]["hashes"] = []


CHANGES: dict[Change, str] = {
    _more: "record_mismatch",
    _nothing_kept: "record_mismatch",
    _earlier: "record_mismatch",
    _another_request: "record_mismatch",
    _another_record: "checkpoint_mismatch",
    _another_leaf: "checkpoint_mismatch",
    _shorter_proof: "checkpoint_mismatch",
    _longer_proof: "checkpoint_mismatch",
    _no_proof: "checkpoint_mismatch",
}


def test_whatever_is_changed_the_signature_no_longer_holds(certificate: Taken) -> None:
    for change in (*CHANGES, _another_subject):
        code, reason, _ = certificate.said(certificate.changed(change))
        assert (code, reason) == (1, "signature_invalid"), change.__name__


def test_the_stolen_key_cannot_certify_what_the_log_does_not_say(certificate: Taken) -> None:
    for change, expected in CHANGES.items():
        code, reason, message = certificate.said(certificate.signed_anew(change))
        assert (code, reason) == (1, expected), (change.__name__, message)


def test_what_is_missing_or_too_much_is_named(certificate: Taken) -> None:
    whole = json.loads(certificate.content)
    for name in whole.keys() - {"certificate", "format"}:
        code, reason, message = certificate.said(certificate.changed(lambda doc, name=name: doc.pop(name)))
        assert (code, reason) == (1, "malformed"), name
        assert f"{name} is missing" in message
    for part in ("certificate", "proof", "signature", "keys", "record"):
        for field in whole[part]:
            code, reason, _ = certificate.said(certificate.changed(lambda doc, p=part, f=field: doc[p].pop(f)))
            assert (code, reason) == (1, "malformed"), (part, field)
        code, reason, message = certificate.said(certificate.changed(lambda doc, p=part: doc[p].update(more=1)))
        assert (code, reason) == (1, "malformed"), part
        assert "should not be there: more" in message
    for value in (None, 7, [], "x", {"a": None}):
        for name in whole:
            content = certificate.changed(lambda doc, name=name, value=value: doc.update({name: value}))
            assert certificate.said(content)[0] in (1, 2), (name, value)
    pretty = json.dumps(whole, indent=1, sort_keys=True).encode()
    assert certificate.said(pretty)[:2] == (1, "not_canonical")
    assert certificate.said(certificate.content + b"\n")[:2] == (1, "not_canonical")
    assert certificate.said(certificate.content[:-1])[:2] == (1, "malformed")
    assert certificate.said(certificate.content + b" " * (1 << 20))[:2] == (1, "malformed")
    later = certificate.changed(lambda doc: doc.update(format="kaireon-certificate-3"))
    assert certificate.said(later)[0] == 2


def test_the_checkpoint_of_another_tenant_proves_nothing(certificate: Taken) -> None:
    write(40, tenant=GLOBEX)
    services.drain(GLOBEX)
    checkpoints.make(GLOBEX)
    with MALLORY.here(), transaction():
        theirs = checkpoints.newest(GLOBEX)
        key = signing.opened(signing.keys(GLOBEX)[0])
    assert theirs is not None

    def swap(doc: Doc) -> None:
        doc["checkpoint"] = theirs.note

    assert certificate.said(certificate.signed_anew(swap))[:2] == (1, "signature_invalid")

    def moved(doc: Doc) -> None:
        """Everything theirs, signed by their own key, but the record and what it says."""
        swap(doc)
        doc["proof"]["treeSize"] = theirs.tree_size
        [entry] = doc["keys"]["keys"]
        entry |= {
            "keyId": key.public.key_id.hex(),
            "name": key.public.name,
            "publicKey": base64.b64encode(key.public.raw).decode(),
        }
        doc["signature"]["keyId"] = key.public.key_id.hex()

    content = certificate.signed_anew(moved, key.private)
    assert certificate.said(content)[:2] == (1, "checkpoint_mismatch")
    assert certificate.said(content, "--pubkey", certificate.pin)[:2] == (1, "key_not_trusted")


def test_signed_anew_by_an_unknown_key(certificate: Taken) -> None:
    own = Ed25519PrivateKey.generate()
    # In the name of the log's key, which it is not.
    assert certificate.said(certificate.signed_anew(_more, own))[:2] == (1, "signature_invalid")
    public = notes.PublicKey(signing.origin(ACME), own.public_key().public_bytes_raw())

    def unknown(doc: Doc) -> None:
        doc["signature"]["keyId"] = public.key_id.hex()

    code, reason, message = certificate.said(certificate.signed_anew(unknown, own))
    assert (code, reason) == (1, "signature_invalid")
    assert "is not among its keys" in message

    def slipped_in(doc: Doc) -> None:
        """A second key behind the first, which never cross-signed it."""
        unknown(doc)
        entry = copy.deepcopy(doc["keys"]["keys"][0])
        raw = base64.b64encode(public.raw).decode()
        doc["keys"]["keys"].append({**entry, "keyId": public.key_id.hex(), "publicKey": raw, "version": 2})

    assert certificate.said(certificate.signed_anew(slipped_in, own))[:2] == (1, "signature_invalid")

    def all_of_it(doc: Doc) -> None:
        """A log of one key, the attacker's: it holds for who pins nothing, and for nobody else."""
        unknown(doc)
        [entry] = doc["keys"]["keys"]
        entry |= {"keyId": public.key_id.hex(), "publicKey": base64.b64encode(public.raw).decode()}
        text = notes.Note.parse(doc["checkpoint"]).text
        doc["checkpoint"] = str(notes.sign(text, name=public.name, key=own))

    content = certificate.signed_anew(all_of_it, own)
    assert certificate.said(content)[0] == 0
    code, reason, _ = certificate.said(content, "--pubkey", certificate.pin)
    assert (code, reason) == (1, "key_not_trusted")


def test_after_a_rotation_the_old_pin_leads_to_the_new_key(certificate: Taken) -> None:
    with ADA.here(), transaction():
        signing.rotate()
    content = taken(answer(file("delete", "C-99")))
    code, verdict = checked(certificate.folder, content, "--pubkey", certificate.pin)
    assert (code, verdict["level"], verdict["rotations"]) == (0, "pinned", 1)


def test_every_proof_of_every_size_leads_where_it_should() -> None:
    """The way the program goes, against the tree it builds leaf by leaf."""
    leaves = [kaireon_verify.leaf_hash(bytes([n])) for n in range(20)]
    for size in range(1, len(leaves) + 1):
        for index in range(size):
            proof = [each.hex() for each in _path(index, leaves[:size])]
            assert kaireon_verify.root_over(leaves[index], index, size, proof) == _root(leaves[:size])
            assert kaireon_verify.root_over(leaves[index], index, size, [*proof, "0" * 64]) is None
            if proof:
                assert kaireon_verify.root_over(leaves[index], index, size, proof[:-1]) is None


def _root(leaves: list[bytes]) -> bytes:
    tree = kaireon_verify.Tree()
    for leaf in leaves:
        tree.append(leaf)
    return tree.root()


def _path(index: int, leaves: list[bytes]) -> list[bytes]:
    """RFC 6962, section 2.1.1, as it stands there."""
    if len(leaves) == 1:
        return []
    half = 1 << (len(leaves) - 1).bit_length() - 1
    if index < half:
        return [*_path(index, leaves[:half]), _root(leaves[half:])]
    return [*_path(index - half, leaves[half:]), _root(leaves[:half])]

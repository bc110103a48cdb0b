"""Lines of records.ndjson that are not what they should be, alone and in a bundle that their owner signed."""

import io
import json

import pytest
import rfc8785

from audit.offline import kaireon_verify
from audit.offline.kaireon_verify import MOST_LINE, Broken, NothingToSay
from audit.tree import merkle
from tests.audit.offline.bundle import Log, base64_of, chained, line, plain_record

PLAIN = chained(plain_record(number) for number in range(1, 6))


def owned(lines: list[bytes]) -> bytes:
    """A bundle over these very lines: the tree, the proofs and the signatures are right for them."""

    class Owned(Log):
        @property
        def leaves(self) -> list[bytes]:
            return [merkle.leaf_hash(each) for each in lines]

    bundle = Owned(PLAIN[: len(lines)]).bundle(marks=False)
    return bundle.changed("records.ndjson", lambda _: b"".join(each + b"\n" for each in lines)).zip()


def both(lines: list[bytes]) -> list[Broken]:
    found = []
    for content in (owned(lines), b"".join(each + b"\n" for each in lines)):
        with pytest.raises(Broken) as caught:
            kaireon_verify.check(io.BytesIO(content))
        found.append(caught.value)
    return found


def respelled(old: bytes, new: bytes):
    def change(content: bytes) -> bytes:
        assert old in content, content
        return content.replace(old, new, 1)

    return change


def edited(**fields):
    return lambda content: rfc8785.dumps({**json.loads(content), **fields})


def relinked(**fields):
    """With integrityHash computed for what it says, so that nothing but the form is wrong."""

    def change(content: bytes) -> bytes:
        record = {**json.loads(content), **fields}
        return line(chained([record], record["prevHash"], record["seq"])[0])

    return change


def test_what_these_tests_start_from_holds():
    lines = [line(record) for record in PLAIN]

    assert kaireon_verify.check(io.BytesIO(owned(lines))).level == "embedded"
    assert kaireon_verify.check(io.BytesIO(b"".join(each + b"\n" for each in lines))).level == "chain"


WRONG = {
    "a space": (respelled(b'":', b'": '), "not_canonical"),
    "a space before": (lambda c: b" " + c, "not_canonical"),
    "a carriage return": (lambda c: c + b"\r", "not_canonical"),
    "another order of keys": (respelled(b'"seq":3,"tenantId":"acme"', b'"tenantId":"acme","seq":3'), "not_canonical"),
    "a key twice": (respelled(b'"seq":3', b'"seq":3,"seq":3'), "not_canonical"),
    "a key twice, told otherwise": (respelled(b'"seq":3', b'"seq":7,"seq":3'), "not_canonical"),
    "a key twice inside": (respelled(b'{"count":3}', b'{"count":3,"count":3}'), "not_canonical"),
    "an escape too many": (respelled(b'"acme"', b'"\\u0061cme"'), "not_canonical"),
    "a slash escaped": (respelled(b'"acme"', b'"ac\\/me"'), "not_canonical"),
    "a double for an integer": (respelled(b'"seq":3', b'"seq":3.0'), "not_canonical"),
    "an exponent": (respelled(b'"seq":3', b'"seq":3e0'), "not_canonical"),
    "minus zero": (respelled(b'{"count":3}', b'{"count":-0}'), "not_canonical"),
    "a double with a zero behind": (respelled(b'{"count":3}', b'{"count":0.50}'), "not_canonical"),
    "a double with too many digits": (respelled(b'{"count":3}', b'{"count":0.1000000000000000055}'), "not_canonical"),
    "an integer beyond 2^53": (respelled(b'{"count":3}', b'{"count":9007199254740993}'), "not_canonical"),
    "a huge integer": (respelled(b'{"count":3}', b'{"count":1' + b"0" * 5000 + b"}"), "not_canonical"),
    "a huge double": (respelled(b'{"count":3}', b'{"count":1e999}'), "not_canonical"),
    "not a number": (respelled(b'{"count":3}', b'{"count":NaN}'), "not_canonical"),
    "infinity": (respelled(b'{"count":3}', b'{"count":-Infinity}'), "not_canonical"),
    "NUL": (respelled(b'{"count":3}', b'{"count":"\\u0000"}'), "not_canonical"),
    "NUL as it is": (respelled(b'{"count":3}', b'{"count":"\x00"}'), "not_canonical"),
    "half a surrogate pair": (respelled(b'{"count":3}', b'{"count":"\\ud800"}'), "not_canonical"),
    "half a surrogate pair as it is": (respelled(b'{"count":3}', b'{"count":"\xed\xa0\x80"}'), "not_canonical"),
    "not UTF-8": (respelled(b'{"count":3}', b'{"count":"\xff"}'), "not_canonical"),
    "UTF-8 longer than need be": (respelled(b'{"count":3}', b'{"count":"\xc0\xaf"}'), "not_canonical"),
    "a mark of the bytes' order": (lambda c: b"\xef\xbb\xbf" + c, "not_canonical"),
    "keys in the order of code points": (
        respelled(b'{"count":3}', '{"\ufb33":1,"\U0001f600":1}'.encode()),
        "not_canonical",
    ),
    "nested too deeply": (
        respelled(b'{"count":3}', b'{"count":' + b"[" * 50_000 + b"]" * 50_000 + b"}"),
        "not_canonical",
    ),
    "cut": (lambda c: c[:-1], "not_canonical"),
    "two in one line": (lambda c: c + c, "not_canonical"),
    "an empty line": (lambda _: b"", "not_canonical"),
    "no object": (lambda _: b"[]", "malformed"),
    "a number": (lambda _: b"3", "malformed"),
    "a field missing": (respelled(b',"userName":"Ada"', b""), "malformed"),
    "a field too many": (edited(zebra=1), "malformed"),
    "a field of another name": (respelled(b'"userName"', b'"userNamf"'), "malformed"),
    "a seq that is text": (edited(seq="3"), "malformed"),
    "a seq that is true": (edited(seq=True), "malformed"),
    "a seq below zero": (edited(seq=-3), "malformed"),
    "an action that is null": (edited(action=None), "malformed"),
    "a user that is a number": (edited(userId=7), "malformed"),
    "an entity that is a list": (edited(entityId=["o-3"]), "malformed"),
    "a version that is half": (edited(entityVersion=1.5), "malformed"),
    "a version that is true": (edited(entityVersion=True), "malformed"),
    "a moment without zone": (edited(timestamp="2026-01-15T09:00:00.000000"), "malformed"),
    "a moment with an offset": (edited(timestamp="2026-01-15T09:00:00.000000+00:00"), "malformed"),
    "a moment without decimals": (edited(timestamp="2026-01-15T09:00:00Z"), "malformed"),
    "a moment that never was": (edited(timestamp="2026-01-15T24:00:00.000000Z"), "malformed"),
    "a moment in other digits": (edited(timestamp="２０２６-01-15T09:00:00.000000Z"), "malformed"),
    "a hash in capitals": (edited(integrityHash="AB" * 32), "malformed"),
    "a hash too short": (edited(prevHash="ab" * 31), "malformed"),
    "genesis in the middle": (relinked(prevHash="genesis"), "chain_link_mismatch"),
    "another tenant's": (relinked(tenantId="globex"), "malformed"),
    "a seq that went back": (relinked(seq=2), "sequence_gap"),
    "another hash": (edited(integrityHash="0" * 64), "hash_mismatch"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_line_that_is_wrong_is_named_though_its_owner_signed_it(name):
    change, reason = WRONG[name]
    # The third one, an event: `"changes":{"count":3}`.
    lines = [line(record) for record in PLAIN]
    lines[2] = change(lines[2])

    for broken in both(lines):
        assert (broken.file, broken.reason) == ("records.ndjson", reason), broken.message
        assert broken.seq in (3, 2) if name == "a seq that went back" else broken.seq == 3


@pytest.mark.parametrize("name", [name for name, (_, reason) in WRONG.items() if reason != "chain_link_mismatch"])
def test_the_first_line_too(name):
    change, _ = WRONG[name]
    record = {**PLAIN[2], "prevHash": "genesis", "seq": 3}
    lines = [change(line(chained([record], "genesis", 3)[0]))]

    with pytest.raises((Broken, NothingToSay)):
        kaireon_verify.check(io.BytesIO(lines[0] + b"\n"))


@pytest.mark.parametrize(
    "record",
    [
        {**PLAIN[2], "seq": 1},
        {**PLAIN[0], "prevHash": "0" * 64},
        {**PLAIN[2], "prevHash": "genesis"},
    ],
)
def test_genesis_stands_before_the_first_record_and_only_there(record):
    record = chained([record], record["prevHash"], record["seq"])[0]
    with pytest.raises(Broken) as caught:
        kaireon_verify.check(io.BytesIO(line(record) + b"\n"))

    assert caught.value.reason == "chain_link_mismatch"


def test_fields_that_the_chain_joins_do_not_hide_a_change_from_the_tree():
    """`ab` + `c` and `a` + `bc` have one integrity hash: the leaf tells them apart."""
    record = {**PLAIN[0], "action": "up", "entityType": "dateOffer"}
    moved = {**PLAIN[0], "action": "update", "entityType": "Offer"}
    record, moved = chained([record])[0], chained([moved])[0]
    assert record["integrityHash"] == moved["integrityHash"]
    bundle = Log([record]).bundle(marks=False).changed("records.ndjson", lambda _: line(moved) + b"\n")

    with pytest.raises(Broken) as caught:
        kaireon_verify.check(io.BytesIO(bundle.zip()))
    assert caught.value.reason == "checkpoint_mismatch"


@pytest.mark.parametrize("content", [b"", b"\n", b"\x00", b"PK", b"nonsense\n", b"[]\n", b"\xef\xbb\xbf{}\n", b" {}\n"])
def test_what_is_neither_a_zip_nor_records(content):
    with pytest.raises(NothingToSay, match="neither"):
        kaireon_verify.check(io.BytesIO(content))


def test_a_file_without_its_last_newline_is_cut_off():
    content = b"\n".join(line(record) for record in PLAIN)
    for end in (0, -1, -40):
        with pytest.raises(Broken) as caught:
            kaireon_verify.check(io.BytesIO(content[: end or None]))
        assert (caught.value.reason, caught.value.seq) == ("truncated", 5)


def test_a_line_without_end_is_not_kept():
    class Endless(io.RawIOBase):
        read_so_far = 0

        def readable(self):
            return True

        def seekable(self):
            return True

        def seek(self, _place, _whence=0):
            return 0

        def read(self, size=-1):
            self.read_so_far += size
            return b"{" * size

    endless = Endless()
    with pytest.raises(Broken, match="larger than"):
        kaireon_verify.check(endless)
    assert endless.read_so_far < MOST_LINE + 3 * kaireon_verify.MIB


def test_more_and_fewer_records_than_the_manifest_names():
    bundle = Log(PLAIN).bundle(1, 4)
    for records, reason in ((PLAIN, "file_mismatch"), (PLAIN[:3], "truncated"), ([], "truncated")):
        content = b"".join(line(record) + b"\n" for record in records)
        with pytest.raises(Broken) as caught:
            kaireon_verify.check(io.BytesIO(bundle.changed("records.ndjson", lambda _, new=content: new).zip()))
        assert caught.value.reason == reason


def test_a_manifest_that_promises_the_impossible_is_refused_before_anything_is_kept():
    promised = Log(PLAIN).bundle().with_manifest(records=10**12, lastSeq=10**12, treeSize=10**12)
    with pytest.raises(Broken, match="more records than"):
        kaireon_verify.check(io.BytesIO(promised.zip()))


def test_marks_take_no_room_that_the_records_do_not():
    huge = Log(PLAIN).bundle().with_json("proofs.json", lambda p: {**p, "marks": base64_of(bytes(2 * 10**6))})
    with pytest.raises(Broken, match="larger than"):
        kaireon_verify.check(io.BytesIO(huge.zip()))

"""Bundles that hold, and how far they can be trusted."""

import io
import json
from dataclasses import replace

import pytest

from audit.offline import kaireon_verify
from tests.audit.offline.bundle import base64_of, chained, key, line, plain_record, raw, verifier_key, zipped


def pinned(text, kind=kaireon_verify.SIGNS):
    return kaireon_verify.PinnedKey.parse(text, kind)


@pytest.mark.parametrize(("first", "last", "size"), [(1, 60, 60), (1, 1, 60), (60, 60, 60), (17, 43, 60), (3, 33, 57)])
@pytest.mark.parametrize("marks", [True, False])
def test_any_stretch_of_any_tree_holds(log, check, first, last, size, marks):
    verdict = check(log.bundle(first, last, size, marks=marks).zip())

    assert (verdict.level, verdict.first, verdict.last, verdict.records) == ("embedded", first, last, last - first + 1)
    assert (verdict.tree_size, verdict.root, verdict.tenant) == (size, log.root(size).hex(), "acme")


def test_stored_files_hold_like_packed_ones(log, check):
    assert check(zipped(log.bundle().signed(), method=0)).level == "embedded"


def test_a_pinned_key_is_given_in_any_spelling(log, check):
    bundle, public = log.bundle().zip(), raw(log.keys[0])
    for text in (public.hex(), public.hex().upper(), base64_of(public), verifier_key(log.origin, log.keys[0])):
        assert check(bundle, pinned=pinned(text)).level == "pinned"


def test_a_key_of_another_name_is_not_the_pinned_one(log, check_broken):
    other = pinned(verifier_key("kaireon.example/globex", log.keys[0]))

    assert check_broken(log.bundle().zip(), pinned=other).reason == "key_not_trusted"


def test_a_pinned_key_leads_to_newer_ones_and_never_back(log, check, check_broken):
    log = replace(log, keys=tuple(map(key, ("first", "second", "third"))))
    newest, middle = log.bundle().zip(), replace(log, signer=1).bundle().zip()

    rotations = [check(newest, pinned=pinned(raw(each).hex())).rotations for each in log.keys]
    assert rotations == [2, 1, 0]
    assert check(middle, pinned=pinned(raw(log.keys[0]).hex())).rotations == 1
    assert check_broken(middle, pinned=pinned(raw(log.keys[2]).hex())).reason == "key_not_trusted"
    assert check_broken(newest, pinned=pinned(raw(key("another")).hex())).reason == "key_not_trusted"


def test_a_run_of_keys_may_begin_late(log, check):
    log = replace(log, keys=tuple(map(key, ("first", "second", "third"))))
    bundle = log.bundle().with_json("keys.json", lambda keys: {**keys, "keys": keys["keys"][1:]}).zip()

    assert check(bundle, pinned=pinned(raw(key("second")).hex())).rotations == 1


def test_a_witness_raises_a_pinned_bundle(log, check):
    witness = key("witness")
    log = replace(log, witnesses={"witness.example/w1": witness, "witness.example/w2": key("other")})
    bundle = log.bundle().zip()
    public = pinned(raw(log.keys[0]).hex())

    for text in (verifier_key("witness.example/w1", witness, 4), raw(witness).hex()):
        verdict = check(bundle, pinned=public, witnesses=[pinned(text, kaireon_verify.COSIGNS)])
        assert verdict.level == "pinned-witnessed"
        assert verdict.witnesses == (("witness.example/w1", "2026-02-01T00:00:00Z"),)
    stranger = pinned(raw(key("stranger")).hex(), kaireon_verify.COSIGNS)
    assert check(bundle, pinned=public, witnesses=[stranger]).level == "pinned"
    assert check(bundle, witnesses=[pinned(raw(witness).hex(), kaireon_verify.COSIGNS)]).level == "embedded"


def test_signatures_by_strangers_say_nothing(log, check):
    def add(note):
        stranger = replace(log, keys=(key("stranger"),)).checkpoint(60).split(b"\n\n")[1]
        return note + stranger + "— elsewhere.example/x AAAAAAAA\n".encode()

    assert check(log.bundle().changed("checkpoint.txt", add).zip()).level == "embedded"


def test_records_alone_hold_as_chain_or_window(log, check):
    lines = [line(record) + b"\n" for record in log.records]

    assert check(b"".join(lines)).level == "chain"
    window = check(b"".join(lines[20:30]))
    assert (window.level, window.first, window.last, window.tree_size) == ("window", 21, 30, None)


def test_moments_are_told_whatever_their_order(log, check):
    moments = [record["timestamp"] for record in log.records[4:40]]
    verdict = check(log.bundle(5, 40).zip())

    assert moments != sorted(moments)
    assert (verdict.earliest, verdict.latest) == (min(moments), max(moments))


def test_a_range_holds_when_the_first_and_last_record_lie_in_it(log, check, check_broken):
    bundle = log.bundle(5, 40)
    first, last = log.records[4]["timestamp"], log.records[39]["timestamp"]

    verdict = check(bundle.with_manifest(**{"from": first, "to": last}).zip())
    assert (verdict.asked_from, verdict.asked_to) == (first, last)
    for wrong in ({"from": first[:-2] + "9Z"}, {"to": first}):
        broken = check_broken(bundle.with_manifest(**wrong).zip())
        assert (broken.file, broken.reason) == ("records.ndjson", "malformed")


def test_the_words_of_the_answer_say_what_it_holds_against(log, check):
    for level, text in kaireon_verify.LEVELS.items():
        verdict = replace(check(log.bundle().zip()), level=level)
        said = kaireon_verify.answer(verdict, None)
        assert said.as_text().startswith(f"INTACT at level {level}.\n")
        assert text in said.as_text()
        assert json.loads(said.as_json())["level"] == level


@pytest.mark.parametrize("level", kaireon_verify.LEVELS)
@pytest.mark.parametrize("required", kaireon_verify.LEVELS)
def test_less_than_required_is_exit_3(log, check, level, required):
    verdict = replace(check(log.bundle().zip()), level=level)
    said = kaireon_verify.answer(verdict, required)
    order = ["window", "chain", "embedded", "pinned", "pinned-witnessed"]

    assert said.exit == (3 if order.index(level) < order.index(required) else 0)
    assert json.loads(said.as_json())["intact"] is True


def test_every_unusual_value_stands_in_the_records(log):
    """Else the bundles above would not try what they are there for."""
    recogniser = kaireon_verify.Records()
    recognised = [recogniser._recognised(line(record).decode()) is not None for record in log.records]

    assert any(recognised)
    assert not all(recognised)


def test_a_large_bundle_is_read_in_pieces(check):
    """More records than fit into one piece, so that lines are cut between pieces."""
    records = chained({**plain_record(n), "before": {"filler": "x" * 50_000}} for n in range(1, 80))
    assert check(b"".join(line(record) + b"\n" for record in records)).records == 79


def test_five_megabytes_in_one_value(check):
    records = chained({**plain_record(n), "after": {"text": "ä" * 2_500_000}} for n in range(1, 4))

    assert check(b"".join(line(record) + b"\n" for record in records)).records == 3


def test_it_reads_a_file_from_its_beginning(log):
    file = io.BytesIO(log.bundle().zip())
    file.seek(7)

    assert kaireon_verify.check(file).level == "embedded"

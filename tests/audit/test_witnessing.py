"""A witness cosigns growth and nothing else, whatever a log sends it, in whatever order, several at once."""

import base64
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import InternalError, ProgrammingError, connection
from django.http import HttpResponse
from django.test import Client

from audit import checks
from audit.models import WitnessedLog
from audit.tree import merkle
from audit.witness import ourselves
from kaireon.lib import clock
from tests.audit.witnesses import OtherLog, base64_of, check_cosignature, private_key, verifier_key
from tests.race import at_once

pytestmark = pytest.mark.usefixtures("db")

NAME = "witness.example.com"
KEY = private_key("witness")
LOG = OtherLog()


@pytest.fixture(autouse=True)
def _witness(settings: Any) -> None:
    settings.WITNESS_NAME = NAME
    settings.WITNESS_KEY = base64_of(KEY.private_bytes_raw())
    settings.WITNESS_LOGS = [LOG.verifier, OtherLog(origin="third.example/log").verifier]


def post(body: bytes) -> HttpResponse:
    answer: HttpResponse = Client(enforce_csrf_checks=True).generic("POST", "/witness/v1/add-checkpoint", body)  # type: ignore[assignment]
    return answer


def said(body: bytes) -> tuple[int, str]:
    answer = post(body)
    return answer.status_code, answer.content.decode()


def known() -> int:
    return WitnessedLog.objects.filter(pk=LOG.origin).values_list("tree_size", flat=True).first() or 0


def text_of(note: str) -> str:
    return note.rpartition("\n\n")[0] + "\n"


def test_it_cosigns_what_goes_on() -> None:
    for old, size in ((0, 5), (5, 8), (8, 8), (8, 40)):
        answer = post(LOG.request(size, old=old))
        assert answer.status_code == 200, answer.content
        assert answer["Content-Type"].startswith("text/plain")
        at = check_cosignature(answer.content.decode(), text_of(LOG.note(size)), NAME, KEY)
        assert abs(at - clock.now().timestamp()) < 60
        assert known() == size


def test_a_log_may_begin_empty() -> None:
    assert said(LOG.request(0))[0] == 200
    assert said(LOG.request(3))[0] == 200


def test_logs_are_kept_apart() -> None:
    assert said(LOG.request(9))[0] == 200
    third = OtherLog(origin="third.example/log").fork(0)
    assert said(third.request(4))[0] == 200
    assert said(LOG.request(12, old=9))[0] == 200


@pytest.mark.parametrize(("old", "size"), [(0, 12), (5, 12), (9, 12), (11, 12), (0, 10), (9, 10)])
def test_another_old_size_is_answered_with_the_one_it_knows(old: int, size: int) -> None:
    post(LOG.request(10))
    answer = post(LOG.request(size, old=old))
    assert answer.status_code == 409
    assert answer.content == b"10\n"
    assert answer["Content-Type"] == "text/x.tlog.size"
    assert known() == 10


@pytest.mark.parametrize("at", [0, 1, 7, 9])
def test_a_forked_log_is_refused(at: int) -> None:
    post(LOG.request(10))
    forged = LOG.fork(at)
    assert said(forged.request(20, old=10))[0] == 422
    assert post(forged.request(10, old=10)).content == b"10\n"
    # With the honest proof, under a root of its own.
    honest = merkle.consistency(10, 20, LOG.node)
    assert said(forged.request(20, old=10, proof=honest))[0] == 422
    assert known() == 10
    assert said(LOG.request(20, old=10))[0] == 200


def test_a_log_that_was_rolled_back_is_refused() -> None:
    post(LOG.request(10))
    for old in (0, 4, 8):
        status, size = said(LOG.request(8, old=old))
        assert (status, size) == (409, "10\n")
    assert said(LOG.request(8, old=10, proof=[]))[0] == 400
    assert known() == 10


def test_a_proof_that_is_wrong_is_refused() -> None:
    post(LOG.request(7))
    right = merkle.consistency(7, 20, LOG.node)
    for wrong in ([], right[:-1], [*right, right[0]], right[::-1], [bytes(32), *right[1:]]):
        assert said(LOG.request(20, old=7, proof=wrong))[0] == 422
    assert said(LOG.request(7, old=7, proof=right))[0] == 422
    assert known() == 7


def test_what_was_said_once_is_said_again_and_changes_nothing() -> None:
    first = LOG.request(10)
    assert said(first)[0] == 200
    assert said(LOG.request(20, old=10))[0] == 200
    # A replay of an earlier submission finds the witness further on.
    assert said(first) == (409, "20\n")
    assert said(LOG.request(20, old=20))[0] == 200
    assert known() == 20


def test_only_the_logs_own_key_speaks_for_it(settings: Any) -> None:
    stranger = OtherLog(origin="nobody.example/log")
    assert said(stranger.request(3))[0] == 404
    forged = OtherLog(key=private_key("thief"))
    assert said(forged.request(3))[0] == 403
    # The right key over another text.
    note = LOG.note(3).replace("\n3\n", "\n4\n")
    assert said(LOG.request(3, note=note))[0] == 403
    assert not WitnessedLog.objects.exists(), "nobody gets as far as the database without a signature"
    # While it changes keys, both do.
    settings.WITNESS_LOGS = [LOG.verifier, forged.verifier]
    assert said(LOG.request(3))[0] == 200
    assert said(forged.request(5, old=3))[0] == 200


def test_signatures_of_others_are_passed_over() -> None:
    note = LOG.note(6) + "— somebody.else AAAAAAAAAAAA\n"
    assert said(LOG.request(6, note=note))[0] == 200


MALFORMED = {
    "nothing": b"",
    "no old size": LOG.note(3).encode(),
    "a negative size": LOG.request(3).replace(b"old 0", b"old -1"),
    "a zero before a size": LOG.request(3).replace(b"old 0", b"old 00"),
    "a size of many digits": LOG.request(3).replace(b"old 0", b"old " + b"9" * 40),
    "an old size above": LOG.request(3).replace(b"old 0", b"old 4"),
    "a line that is no hash": LOG.request(5, old=3).replace(b"old 3\n", b"old 3\nAAAA\n"),
    "a hash in another spelling": LOG.request(5, old=3).replace(b"=\n", b"\n", 1),
    "too many lines": LOG.request(3, proof=[bytes(32)] * 64),
    "no empty line": LOG.request(3).replace(b"\n\n", b"\n"),
    "no signature": b"old 0\n\n" + LOG.note(3).partition("\n\n")[0].encode() + b"\n\n",
    "half a note": LOG.request(3)[:-20],
    "not text": b"old 0\n\n\xff\xfe",
    "extension lines": LOG.request(3).replace(b"\n3\n", b"\n3\nmore\n"),
    "carriage returns": LOG.request(3).replace(b"\n", b"\r\n"),
}


@pytest.mark.parametrize("body", MALFORMED.values(), ids=list(MALFORMED))
def test_what_is_malformed_is_refused_and_nothing_is_kept(body: bytes) -> None:
    assert said(body)[0] == 400
    assert not WitnessedLog.objects.exists()


def test_a_request_has_a_size() -> None:
    assert said(b"old 0\n" * 40_000)[0] == 413


def test_other_methods_and_installations_that_are_no_witness(settings: Any) -> None:
    got = Client().get("/witness/v1/add-checkpoint")
    assert (got.status_code, got["Allow"]) == (405, "POST")
    settings.WITNESS_KEY = ""
    assert said(LOG.request(3))[0] == 404
    assert not WitnessedLog.objects.exists()


def test_of_two_histories_at_once_one_is_cosigned() -> None:
    """Both go on from what was cosigned, and cannot both be true."""
    post(LOG.request(10))
    requests = [log.request(20, old=10) for log in (LOG, LOG.fork(12), LOG.fork(15), LOG)]
    answers = at_once(*(lambda body=body: said(body) for body in requests))
    assert sorted(status for status, _ in answers) == [200, 409, 409, 409]  # type: ignore[misc]
    assert {text for status, text in answers if status == 409} == {"20\n"}  # type: ignore[misc]


def test_the_first_ones_at_once_too() -> None:
    requests = [log.request(6) for log in (LOG, LOG.fork(0), LOG.fork(3))]
    answers = at_once(*(lambda body=body: said(body) for body in requests))
    assert sorted(status for status, _ in answers) == [200, 409, 409]  # type: ignore[misc]


def test_the_database_goes_back_for_nobody() -> None:
    post(LOG.request(10))
    for column, value in (("tree_size", "9"), ("root_hash", f"'{'0' * 64}'"), ("origin", "'x'")):
        with pytest.raises((ProgrammingError, InternalError), match="only goes on"), connection.cursor() as cursor:
            cursor.execute(f"UPDATE audit_witnessedlog SET {column} = {value}")
    with pytest.raises(ProgrammingError), connection.cursor() as cursor:
        cursor.execute("DELETE FROM audit_witnessedlog")


def test_a_witness_that_cannot_be_is_named_before_it_starts(settings: Any) -> None:
    assert checks.witnessing_is_whole(None) == []
    for name, value in (
        ("WITNESS_NAME", "two words"),
        ("WITNESS_NAME", ""),
        ("WITNESS_KEY", "not base64"),
        ("WITNESS_KEY", base64.b64encode(b"short").decode()),
        ("WITNESS_LOGS", ["other.example/log"]),
        ("WITNESS_LOGS", [LOG.verifier.replace("+", "+0", 1)]),
        ("WITNESS_LOGS", [verifier_key("other.example/log", LOG.key, 4)]),
    ):
        before = getattr(settings, name)
        setattr(settings, name, value)
        [error] = checks.witnessing_is_whole(None)
        assert error.id == "kaireon.E042", (name, value)
        setattr(settings, name, before)


def test_it_tells_its_key(capsys: pytest.CaptureFixture[str], settings: Any) -> None:
    call_command("audit_witness_key")
    assert capsys.readouterr().out.strip() == verifier_key(NAME, KEY, 4)
    call_command("audit_witness_key", "--make")
    made = capsys.readouterr().out.strip().removeprefix("WITNESS_KEY=")
    settings.WITNESS_KEY = made
    us = ourselves.configured()
    assert us is not None
    assert us.name == NAME
    settings.WITNESS_KEY = ""
    with pytest.raises(CommandError, match="no witness"):
        call_command("audit_witness_key")

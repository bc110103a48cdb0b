"""The answer to an erasure reaches the person although everything about them is gone; then their address goes too."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from customers import models as m
from dsar.erasing.residue import residue
from dsar.letters import manner, sending
from dsar.models import Letter, LetterText
from kaireon.jobs import runner
from kaireon.lib import clock
from kaireon.tenancy.context import transaction
from tests.dsar.conftest import EMAIL, again, answer, client, file
from tests.dsar.mailbox import Box, deliver, letters_on, mail_server, states
from tests.dsar.test_erasure import _hold, _release
from tests.dsar.test_erasure_deferral import work_off
from tests.dsar.test_letters import code_of, listed, post

DSAR = "/api/v1/dsar"


@pytest.fixture
def box(jane: m.Customer, settings: Any) -> Iterator[Box]:
    with mail_server(settings) as box:
        yield box


def texts() -> list[dict[str, str]]:
    with transaction():
        return [row.content for row in LetterText.objects.all()]


def test_the_answer_comes_after_the_rows_went_and_leaves_nothing(box: Box, jane: m.Customer) -> None:
    letters_on()
    access = file()
    runner.run(job_id=access.job.pk)
    filed = file("delete")
    assert len(texts()) == 3
    runner.run(job_id=filed.job.pk)
    row = again(filed)
    # What was written before went with the person; the answer alone knows where it is to go.
    assert [(text["to"], "erased your personal data" in text["text"]) for text in texts()] == [(EMAIL, True)]
    with transaction():
        assert residue(jane.pk, []) == {}
        assert row.counts["deleted"]["letterText"] == 3
    assert row.is_shredded
    deliver()
    assert (box.to, texts()) == ([EMAIL], [])
    assert states() == [
        *(("acknowledgement", "dropped"), ("completion", "dropped"), ("acknowledgement", "dropped")),
        ("completion", "sent"),
    ]
    assert "- your profile: 1" in box.texts()[0]
    assert "GDPR Art. 77" not in box.texts()[0]
    [letter] = [x for x in listed(row) if x["state"] == "sent"]
    assert code_of(client().get(f"{DSAR}/{row.pk}/letters/{letter['id']}")) == (410, "letter_gone")
    steps = client().get(f"{DSAR}/{row.pk}").json()["steps"]
    assert (steps[-1]["counts"]["retained"], steps[-1]["counts"]["addressKept"]) == (0, 1)


def test_what_is_deferred_is_told_and_told_again_when_it_is_done(box: Box) -> None:
    letters_on(language="de")
    _hold("interactions")
    filed = answer(file("delete"))
    deliver()
    assert states() == [("acknowledgement", "dropped"), ("deferral", "sent")]
    for said in ("Vorerst aufbewahrt", "Ihre Vorgänge bei uns: 3", "Art. 17 Abs. 3 Buchst. b DSGVO", "Art. 77 DSGVO"):
        assert said in box.texts()[0], said
    shown = client().get(f"{DSAR}/{filed.pk}/letters").json()
    assert (shown["addressKept"], texts()) == (True, [{"to": EMAIL}])
    with transaction():
        assert sending.forget_unneeded(now=clock.now() + timedelta(days=400)) == 0
    _release("interactions")
    work_off()
    deliver()
    assert states() == [("acknowledgement", "dropped"), ("deferral", "sent"), ("completion", "sent")]
    assert "Wir haben Ihre personenbezogenen Daten gelöscht." in box.texts()[1]
    assert (box.to, texts()) == ([EMAIL, EMAIL], [])
    assert client().get(f"{DSAR}/{filed.pk}/letters").json()["addressKept"] is False


def test_an_answer_sent_under_a_hold_keeps_its_text_until_that_ends(box: Box) -> None:
    letters_on()
    filed = file("delete")
    runner.run(job_id=filed.job.pk)
    _hold("dsar")
    deliver()
    assert (box.to, len(texts())) == ([EMAIL], 1)
    with transaction():
        assert sending.forget_unneeded(now=clock.now()) == 0
    _release("dsar")
    with transaction():
        assert sending.forget_unneeded(now=clock.now(), dry_run=True) == 1
        assert sending.forget_unneeded(now=clock.now()) == 1
    assert texts() == []


def test_an_answer_that_cannot_be_sent_waits_thirty_days_for_somebody(box: Box) -> None:
    letters_on()
    box.answer = "550 no such mailbox"
    filed = file("delete")
    runner.run(job_id=filed.job.pk)
    deliver()
    assert states()[-1] == ("completion", "failed")
    with transaction():
        assert sending.forget_unneeded(now=clock.now() + timedelta(days=29)) == 0
        assert sending.forget_unneeded(now=clock.now() + timedelta(days=31)) == 1
        letter = Letter.objects.get(state="failed")
    base = f"{DSAR}/{filed.request.pk}/letters/{letter.pk}"
    assert code_of(post(f"{base}/retry")) == (410, "letter_gone")
    # That it went by post can be noted all the same.
    assert post(f"{base}/mark", {"evidence": "By post"}).json()["state"] == "sent_otherwise"
    assert texts() == []


def test_an_unknown_person_is_told_that_nothing_is_held_and_switching_off_keeps_no_address(box: Box) -> None:
    letters_on()
    nobody = {"subject_id": "nobody@example.com", "subject_type": "email"}
    answer(file("delete", **nobody))
    deliver()
    assert [text for text in box.texts() if "We hold no personal data about you" in text]
    assert box.to[-1] == "nobody@example.com"
    filed = file("delete")
    _hold("interactions")
    runner.run(job_id=filed.job.pk)
    with transaction():
        manner.change({"automatic": False}, now=clock.now())
        assert Letter.objects.filter(state="kept", request=filed.request.pk).exists()
    _release("interactions")
    work_off()
    assert client().get(f"{DSAR}/{filed.request.pk}/letters").json()["addressKept"] is False
    assert EMAIL not in str(texts())


def test_letters_of_one_who_became_a_customer_later_go_with_them(box: Box) -> None:
    letters_on()
    early = {"subject_id": "late@example.com", "subject_type": "email"}
    file("grievance", **early)
    with transaction():
        m.Customer.objects.create(customer_id="C-LATE", email="late@example.com")
        assert LetterText.objects.get().customer_ref is None
    answer(file("delete", "C-LATE"))
    deliver()
    assert texts() == []


def test_an_address_that_is_held_does_not_keep_an_erasure_from_its_end(box: Box) -> None:
    letters_on()
    _hold("deliveries")
    filed = file("delete")
    runner.run(job_id=filed.job.pk)
    deliver()
    assert again(filed).state == "deferred"
    # Nobody writes the last letter any more, and what is kept for it is held.
    with transaction():
        manner.change({"automatic": False}, now=clock.now())
    _hold("dsar")
    _release("deliveries")
    work_off()
    assert again(filed).state == "completed"
    assert [text["to"] for text in texts() if "subject" not in text] == [EMAIL]
    with transaction():
        assert sending.forget_unneeded(now=clock.now()) == 0
    _release("dsar")
    with transaction():
        sending.forget_unneeded(now=clock.now())
    assert [text for text in texts() if "subject" not in text] == []

"""How far an erasure is, on the page of its request: each step, why it failed, and the way on."""

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client

import audit
from dsar.erasing import stored
from dsar.models import DsarRequest
from kaireon.jobs import runner
from kaireon.jobs.runner import JobError
from kaireon.lib import clock
from kaireon.tenancy.context import transaction
from tests.admin.conftest import SignIn
from tests.admin.inline import refused
from tests.cast import ACME, ADA
from tests.dsar.conftest import answer, file, make_customer
from tests.dsar.test_erasure import _hold

DSAR = "/admin/dsar/dsarrequest"


def page(client: Client, row: DsarRequest) -> str:
    audit.services.drain(ACME)
    answered = client.get(f"{DSAR}/{row.pk}/change/")
    assert refused(answered) == []
    return answered.content.decode()


def step(text: str, name: str, turn: int = 1) -> str:
    return text.split(f'data-step="{name}" data-turn="{turn}"')[1].split("</tr>", maxsplit=1)[0]


def test_a_failed_step_says_why_and_is_tried_again(sign_in: SignIn, monkeypatch: pytest.MonkeyPatch) -> None:
    def storage_is_away(*_given: Any) -> None:
        raise JobError("storage_away", permanent=True)

    with ADA.here():
        with transaction():
            make_customer()
        monkeypatch.setattr(stored, "is_any", lambda _request: True)
        monkeypatch.setattr(stored, "take", storage_is_away)
        row = answer(file("delete"))
        monkeypatch.undo()
    client = sign_in(ADA)
    text = page(client, row)
    assert "Tried 1 time; it ended with: storage away. Nobody tries it again" in text
    for name, state, tries in (("rows", "Done", 1), ("objects", "Failed", 1), ("verification", "Waiting", 0)):
        assert state in step(text, name), name
        assert f'data-label="tries">{tries}<' in step(text, name), name
    assert "storage away" in step(text, "objects")
    assert "erased" in step(text, "rows")
    assert f"{DSAR}/{row.pk}/certificate/" not in text
    assert f"{DSAR}/{row.pk}/again/" in text
    asked = client.get(f"{DSAR}/{row.pk}/again/").content.decode()
    assert "goes on with the step that failed: stored files" in asked
    assert client.post(f"{DSAR}/{row.pk}/again/").status_code == 302
    with ADA.here():
        with transaction():
            row = DsarRequest.objects.get(pk=row.pk)
        runner.run(job_id=row.job_ref)
    text = page(client, row)
    # What was done before was not done again.
    assert [f'data-label="tries">{n}<' in step(text, name) for name, n in (("rows", 1), ("objects", 2))] == [True] * 2
    assert "Try the failed step again" not in text
    assert "The certificate of this erasure" in text


def test_a_deferred_one_says_on_which_ground_and_until_when(sign_in: SignIn) -> None:
    with ADA.here():
        with transaction():
            make_customer()
        _hold("interactions")
        row = answer(file("delete"))
    text = page(sign_in(ADA), row)
    assert "Deferred: legal hold" in text
    assert "no end is known" in text
    assert "kept" in step(text, "rows")
    until = (clock.now() + timedelta(days=30)).date().isoformat()
    with ADA.here(), transaction():
        retained = [{**entry, "until": until} for entry in row.retained]
        DsarRequest.objects.filter(pk=row.pk).update(retained=retained)
    assert f"expected until {until}" in page(sign_in(ADA), row)

"""Deciding how long a class is kept: what goes is shown first, what waits can be taken back."""

from datetime import timedelta

import pytest

from compliance.models import PolicyVersion, RetentionPolicy
from compliance.retention import binding, policies
from customers.models import Interaction
from kaireon.lib import clock
from kaireon.tenancy.context import transaction
from tests.admin.conftest import SignIn
from tests.admin.inline import refused
from tests.admin.test_verbs import records
from tests.cast import ADA, MALLORY, VI
from tests.compliance.rows import customer, interactions

PAGES = "/admin/compliance/retentionpolicy"


@pytest.fixture
def policy(db: str) -> RetentionPolicy:
    """Interactions are kept a year, and there are some of half a year ago."""
    now = clock.now()
    interactions(customer(), 200, 190, 1)
    with ADA.here(), transaction():
        Interaction.objects.filter(occurred_at__gt=now).delete()
        return policies.upsert_policy(data_class="interactions", retention_days=36000, actor=ADA.actor, now=now)


def versions() -> list[tuple[int, str]]:
    with ADA.here(), transaction():
        return list(PolicyVersion.objects.order_by("number").values_list("retention_days", "mode"))


def test_a_shortening_shows_what_it_deletes_and_is_decided_there(policy: RetentionPolicy, sign_in: SignIn) -> None:
    client = sign_in(ADA)
    page = f"{PAGES}/{policy.pk}/days/"
    given = {"retention_days": "1", "mode": "normal", "reason": "Minutes of 4 May"}
    shown = client.post(page, given)
    assert (shown.status_code, refused(shown)) == (200, [])
    text = shown.content.decode()
    assert "1 days instead of 36,000" in text
    assert 'value="Minutes of 4 May"' in text
    assert "Interaction history" in text
    assert versions() == [(36000, "normal")]
    # Other days than those that were looked at are looked at first.
    seen = {"seen": "interactions 1  normal"}
    assert client.post(page, {**given, **seen, "retention_days": "2"}).status_code == 200
    assert versions() == [(36000, "normal")]
    assert client.post(page, {**given, **seen}).status_code == 302
    assert versions() == [(36000, "normal"), (1, "normal")]


def test_what_waits_is_taken_back_once(policy: RetentionPolicy, sign_in: SignIn) -> None:
    client = sign_in(ADA)
    detail, verb = f"{PAGES}/{policy.pk}/change/", f"{PAGES}/{policy.pk}/take-back/"
    assert verb not in client.get(detail).content.decode()
    with ADA.here(), transaction():
        policies.upsert_policy(data_class="interactions", retention_days=30, actor=ADA.actor, now=clock.now())
    assert verb in client.get(detail).content.decode()
    assert "30 days were to count from" in client.get(verb).content.decode()
    assert client.post(verb).status_code == 302
    again = client.post(verb)
    assert (again.status_code, "Nothing waits" in again.content.decode()) == (200, True)
    assert versions() == [(36000, "normal"), (30, "normal"), (36000, "normal")]
    assert len(records("retention_config.take_back")) == 1


def test_what_deletes_nothing_is_decided_at_once(policy: RetentionPolicy, sign_in: SignIn) -> None:
    client = sign_in(ADA)
    assert client.post(f"{PAGES}/{policy.pk}/days/", {"retention_days": "36400", "mode": "normal"}).status_code == 302
    assert client.post(f"{PAGES}/new/", {"data_class": "metrics", "retention_days": "5"}).status_code == 302


def test_a_mode_that_is_never_left_is_confirmed(policy: RetentionPolicy, sign_in: SignIn) -> None:
    client = sign_in(ADA)
    page, given = f"{PAGES}/{policy.pk}/days/", {"retention_days": "36000", "mode": "compliance"}
    assert "Compliance mode is never left" in client.post(page, given).content.decode()
    assert client.post(page, {**given, "seen": "interactions 36000  compliance"}).status_code == 302
    shorter = client.post(page, {"retention_days": "5", "mode": "compliance", "seen": "interactions 5  compliance"})
    assert (shorter.status_code, "may only be lengthened" in shorter.content.decode()) == (200, True)
    assert versions() == [(36000, "normal"), (36000, "compliance")]
    assert [record.changes["reason"] for record in records("retention_config.refused")] == ["may_only_lengthen"]


def test_below_a_floor_it_is_refused_with_the_citation_before_anything_is_shown(
    policy: RetentionPolicy, sign_in: SignIn
) -> None:
    with ADA.here(), transaction():
        binding.switch(name="ccpa-regulations", on=True, actor=ADA.actor, now=clock.now() - timedelta(days=1))
    answer = sign_in(ADA).post(f"{PAGES}/new/", {"data_class": "dsar", "retention_days": "30"})
    assert (answer.status_code, "§ 7101(a)" in answer.content.decode()) == (200, True)
    assert [record.changes["reason"] for record in records("retention_config.refused")] == ["below_floor"]


@pytest.mark.parametrize("who", [VI, MALLORY], ids=lambda p: p.email)
def test_others_decide_nothing(policy: RetentionPolicy, sign_in: SignIn, who: object) -> None:
    client = sign_in(who)  # type: ignore[arg-type]
    for verb in ("days", "take-back"):
        answer = client.post(f"{PAGES}/{policy.pk}/{verb}/", {"retention_days": "1", "seen": "interactions 1 "})
        assert answer.status_code in (403, 404)
    assert versions() == [(36000, "normal")]

"""The table of policies, what was decided about one, the laws, and what goes when."""

import re
from datetime import timedelta

import pytest
from django.test import Client

from compliance.models import BindingLaw, Mode
from compliance.retention import binding, policies
from kaireon.lib import clock
from kaireon.tenancy.context import transaction
from tests.admin.conftest import SignIn
from tests.admin.inline import refused
from tests.admin.test_verbs import records
from tests.cast import ADA, MALLORY, VI, Person

PAGES = "/admin/compliance/retentionpolicy"


def decide(data_class: str, days: int, **more: object) -> str:
    with ADA.here(), transaction():
        made = policies.upsert_policy(
            data_class=data_class,
            retention_days=days,
            actor=ADA.actor,
            now=clock.now(),
            **more,  # type: ignore[arg-type]
        )
        return str(made.pk)


def shown(client: Client, path: str) -> str:
    """The words of a page that holds nothing inline."""
    answer = client.get(path)
    assert (answer.status_code, refused(answer)) == (200, [])
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", answer.content.decode()))


def test_the_table_says_what_counts_and_what_waits(db: str, sign_in: SignIn) -> None:
    decide("interactions", 365)
    decide("interactions", 90)
    decide("metrics", 400, mode=Mode.COMPLIANCE)
    decide("consents", None, legal_hold=True)  # type: ignore[arg-type]
    text = shown(sign_in(ADA), f"{PAGES}/")
    assert "365 days" in text
    assert re.search(r"90 days, from \d{4}-\d\d-\d\d \d\d:\d\d UTC on", text)
    assert "Compliance" in text
    assert "for ever: no policy" in text


def test_classes_without_a_policy_are_named_with_the_way_to_set_one(db: str, sign_in: SignIn) -> None:
    decide("interactions", 365)
    client = sign_in(ADA)
    page = client.get(f"{PAGES}/").content.decode()
    assert "Kept for ever: nobody said how long" in page
    assert "?class=security" in page
    assert "?class=interactions" not in page
    form = client.get(f"{PAGES}/new/?class=security").content.decode()
    assert re.search(r'<option value="security"\s+selected', form)


def test_a_policys_page_tells_all_that_was_decided(db: str, sign_in: SignIn) -> None:
    pk = decide("interactions", 365, reason="Minutes of May")
    decide("interactions", 90)
    decide("interactions", 60, anchor="created_at")
    page = sign_in(ADA).get(f"{PAGES}/{pk}/change/").content.decode()
    table = page[page.index('id="versions"') :]
    lines = [
        [re.sub(r"<[^>]+>|\s+", " ", cell).strip() for cell in re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row, re.S)]
        for row in re.findall(r"<tr>(.*?)</tr>", table[: table.index("</table>")], re.S)[1:]
    ]
    assert [(line[0], line[1], line[5], line[6]) for line in lines] == [
        ("3", "60 days from created_at", "-", "waits"),
        ("2", "90 days", "-", "never counted"),
        ("1", "365 days", "Minutes of May", "counts"),
    ]


def test_a_law_is_switched_on_and_off_and_what_does_not_fit_is_listed(db: str, sign_in: SignIn) -> None:
    decide("dsar", 30)
    client = sign_in(ADA)
    assert "No law binds you" in shown(client, f"{PAGES}/laws/")
    switch = f"{PAGES}/laws/switch/?law=ccpa-regulations"
    assert "at least 731 days (Cal. Code Regs. tit. 11, § 7101(a))" in shown(client, switch)
    assert client.post(switch).status_code == 302
    text = shown(client, f"{PAGES}/laws/")
    assert "The policy says less. The law counts." in text
    assert "731 days by Cal. Code Regs. tit. 11, § 7101(a)" in shown(client, f"{PAGES}/")
    assert client.post(switch).status_code == 302
    assert "binds until" in shown(client, f"{PAGES}/laws/")
    assert [record.user_name for record in records("retention_law.switch")] == ["Ada", "Ada"]
    for unknown in ("", "?law=nonsense"):
        assert client.post(f"{PAGES}/laws/switch/{unknown}").status_code == 404


@pytest.mark.parametrize("who", [VI, MALLORY], ids=lambda p: p.email)
def test_others_switch_none_of_its_laws(db: str, sign_in: SignIn, who: Person) -> None:
    sign_in(who).post(f"{PAGES}/laws/switch/?law=ccpa-regulations")
    with ADA.here(), transaction():
        assert not BindingLaw.objects.exists()


def test_what_goes_when_is_told_in_a_picture_and_a_table(db: str, sign_in: SignIn) -> None:
    decide("interactions", 365)
    decide("interactions", 90)
    with ADA.here(), transaction():
        binding.switch(name="ccpa-regulations", on=True, actor=ADA.actor, now=clock.now() - timedelta(days=1))
    client = sign_in(ADA)
    text = shown(client, f"{PAGES}/timeline/")
    assert re.search(r"90 days from \d\d \w+", text)
    assert "no policy" in text
    assert "<svg" in client.get(f"{PAGES}/timeline/").content.decode()
    assert sign_in(VI).get(f"{PAGES}/timeline/").status_code == 403

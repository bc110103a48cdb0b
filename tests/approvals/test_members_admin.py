"""Members in the admin: granted, changed and removed at once, or asked for where a second person is demanded."""

import pytest
from django.test import Client

from kaireon.approvals import members as approved_members
from kaireon.approvals import services
from kaireon.approvals.models import ApprovalRequest
from kaireon.lib import clock
from kaireon.tenancy.context import transaction
from kaireon.tenancy.models import Membership
from tests.admin.conftest import SignIn, sign_in  # noqa: F401
from tests.approvals.conftest import BEA
from tests.cast import ADA, AUD, ED, MALLORY, VI, Person

PAGE = "/admin/tenancy/membership"


def role_of(email: str) -> str | None:
    with ADA.here(), transaction():
        return Membership.objects.filter(user__email=email).values_list("role", flat=True).first()


def page_of(person: Person) -> str:
    with ADA.here(), transaction():
        return f"{PAGE}/{Membership.objects.get(user__email=person.email).pk}"


def demand() -> None:
    with ADA.here(), transaction():
        for verb in (approved_members.GRANT, approved_members.REMOVE):
            services.demand_second_person(verb, demanded=True, now=clock.now())


def test_a_member_is_granted_changed_and_removed(sign_in: SignIn) -> None:  # noqa: F811
    ada = sign_in(ADA)
    new = {"email": "New@Acme.example", "name": "Núria <b>", "role": "viewer"}
    answer = ada.post(f"{PAGE}/grant/", new, follow=True).content.decode()
    assert "Núria &lt;b&gt; is a new member: Viewer." in answer
    assert role_of("new@acme.example") == "viewer"
    answer = ada.post(f"{PAGE}/grant/", {**new, "role": "editor", "name": "Other"}, follow=True).content.decode()
    assert "is now: Editor." in answer
    assert role_of("new@acme.example") == "editor"
    assert ada.post(f"{page_of(ED)}/role/", {"role": "auditor"}).status_code == 302
    assert role_of(ED.email) == "auditor"
    answer = ada.post(f"{page_of(ED)}/remove/", follow=True).content.decode()
    assert "Ed is no longer a member." in answer
    assert role_of(ED.email) is None


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"email": ""}, "This field is required"),
        ({"email": "nobody"}, "Enter a valid email address"),
        ({"email": f"{'n' * 250}@x.example"}, "at most 254 characters"),
        ({"email": "n\x00@x.example"}, "Null characters are not allowed"),
        ({"role": "owner"}, "Select a valid choice"),
        ({"role": ""}, "This field is required"),
        ({"name": "n" * 201}, "at most 200 characters"),
    ],
)
def test_what_cannot_be_is_said_beside_the_form(given: dict[str, str], words: str, sign_in: SignIn) -> None:  # noqa: F811
    answer = sign_in(ADA).post(f"{PAGE}/grant/", {"email": "n@x.example", "role": "viewer", **given})
    assert answer.status_code == 200
    assert words in answer.content.decode()
    with ADA.here(), transaction():
        assert Membership.objects.count() == 4


def test_the_only_admin_stays(sign_in: SignIn) -> None:  # noqa: F811
    ada = sign_in(ADA)
    for path, given in (
        (f"{page_of(ADA)}/remove/", {}),
        (f"{page_of(ADA)}/role/", {"role": "viewer"}),
        (f"{PAGE}/grant/", {"email": ADA.email, "role": "viewer"}),
    ):
        assert "only admin: make somebody else an admin first" in ada.post(path, given).content.decode()
    assert role_of(ADA.email) == "admin"


def test_who_removes_themselves_sees_nothing_of_the_tenant_any_more(admins: str, sign_in: SignIn) -> None:  # noqa: F811
    ada = sign_in(ADA)
    assert ada.post(f"{page_of(ADA)}/remove/")["Location"] == "/admin/"
    assert ada.get(f"{PAGE}/").status_code in (302, 403)
    assert role_of(ADA.email) is None


def test_a_removal_on_an_old_page_is_said(admins: str, sign_in: SignIn) -> None:  # noqa: F811
    page = page_of(ED)
    assert sign_in(ADA).post(f"{page}/remove/").status_code == 302
    assert sign_in(BEA).post(f"{page}/remove/").status_code == 404


def test_where_a_second_person_is_demanded_it_is_asked_for(admins: str, sign_in: SignIn) -> None:  # noqa: F811
    demand()
    ada, bea = sign_in(ADA), sign_in(BEA)
    assert "asks the other admins" in ada.get(f"{PAGE}/grant/").content.decode()
    asked = ada.post(f"{PAGE}/grant/", {"email": "new@acme.example", "role": "viewer"})
    assert "another admin must agree" in ada.get(asked["Location"]).content.decode()
    assert role_of("new@acme.example") is None
    agree(bea, asked["Location"])
    assert role_of("new@acme.example") == "viewer"
    removal = ada.post(f"{page_of(ED)}/remove/")
    assert role_of(ED.email) == "editor"
    agree(bea, removal["Location"])
    assert role_of(ED.email) is None
    with ADA.here(), transaction():
        assert ApprovalRequest.objects.filter(state="approved").count() == 2


def agree(client: Client, page: str) -> None:
    assert client.post(page.replace("/change/", "/approve/"), {"comments": ""}).status_code == 302


@pytest.mark.parametrize("person", [ED, AUD, VI], ids=lambda p: p.role)
def test_others_than_admins_change_nobody(person: Person, sign_in: SignIn) -> None:  # noqa: F811
    client = sign_in(person)
    page = page_of(VI)
    for path in (f"{PAGE}/grant/", f"{page}/role/", f"{page}/remove/"):
        assert client.post(path, {"email": "n@x.example", "role": "viewer"}).status_code == 403
    assert role_of(VI.email) == "viewer"


def test_members_of_another_tenant_are_not_found(sign_in: SignIn) -> None:  # noqa: F811
    page, mallory = page_of(VI), sign_in(MALLORY)
    for verb in ("role", "remove"):
        assert mallory.post(f"{page}/{verb}/", {"role": "admin"}).status_code == 404
    assert role_of(VI.email) == "viewer"

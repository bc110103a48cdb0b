"""Who sees which page: every page that is registered, for every role."""

import html
import re
from itertools import groupby, islice
from typing import Any

import pytest
from django.contrib import admin
from django.urls import reverse

from cron.models import JobRun
from kaireon.tenancy.admin_pages import TenantModelAdmin
from kaireon.tenancy.roles import PERMISSIONS, Permission
from tests.admin.conftest import Rows, SignIn
from tests.admin.inline import refused
from tests.cast import ADA, AUD, ED, MALLORY, VI, Person

PEOPLE = [ADA, ED, AUD, VI]


def url(model: type[Any], page: str, *args: str) -> str:
    return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_{page}", args=args)


def verbs(page: TenantModelAdmin[Any]) -> list[tuple[str, Permission, bool]]:
    """Name, permission, and whether it is about one row."""
    named = [(name, False) for name in page.actions_list] + [(name, True) for name in page.actions_detail]
    return [(name, getattr(page, name).permission, of_row) for name, of_row in named]


def test_only_our_own_pages_are_registered() -> None:
    assert admin.site._registry
    assert all(isinstance(page, TenantModelAdmin) for page in admin.site._registry.values())


@pytest.mark.parametrize("person", PEOPLE, ids=lambda p: p.role)
def test_each_role_sees_its_pages_and_changes_none(person: Person, rows: Rows, sign_in: SignIn) -> None:
    client = sign_in(person)
    held = PERMISSIONS[person.role]
    for model, page in admin.site._registry.items():
        expected = 200 if page.view_permission in held else 403
        change, history = url(model, "change", rows[model]), url(model, "history", rows[model])
        for seen in (url(model, "changelist"), change):
            answer = client.get(seen)
            assert answer.status_code == expected, model
            # Nothing that the policy of these pages keeps a browser from.
            assert refused(answer) == [], seen
        # Nobody adds, saves or deletes a row by hand.
        for path in (url(model, "add"), change, url(model, "delete", rows[model])):
            assert client.post(path, {"post": "yes", "action": "delete_selected"}).status_code == 403, path
        assert client.get(url(model, "delete", rows[model])).status_code == 403
        deleted = client.post(url(model, "changelist"), {"action": "delete_selected", "_selected_action": rows[model]})
        assert deleted.status_code in (403, 405), model
        if model.__name__ != "AuditRecord":
            assert client.get(history).status_code == (302 if Permission.READ_AUDIT in held else 403), model


@pytest.mark.parametrize("person", PEOPLE, ids=lambda p: p.role)
def test_each_role_has_its_verbs(person: Person, rows: Rows, sign_in: SignIn) -> None:
    client = sign_in(person)
    for model, page in admin.site._registry.items():
        for name, permission, of_row in verbs(page):
            path = url(model, name, rows[model]) if of_row else url(model, name)
            is_refused = permission not in PERMISSIONS[person.role]
            answer = client.get(path)
            assert (answer.status_code == 403) is is_refused, path
            assert refused(answer) == [], path
            if is_refused:
                assert client.post(path, {}).status_code == 403, path


def test_another_tenants_rows_are_as_if_they_were_not(rows: Rows, sign_in: SignIn) -> None:
    client = sign_in(MALLORY)
    for model, page in admin.site._registry.items():
        if model is JobRun:
            continue
        assert rows[model] not in client.get(url(model, "changelist")).content.decode()
        path = url(model, "change", rows[model])
        assert client.get(path).headers.get("Location") == "/admin/", path
        assert client.post(path, {}).status_code in (302, 403), path
        for name, _, of_row in verbs(page):
            if of_row:
                assert client.get(url(model, name, rows[model])).status_code == 404
                assert client.post(url(model, name, rows[model]), {"reason": "x"}).status_code == 404


def test_a_run_shows_what_it_came_to_here_only(rows: Rows, sign_in: SignIn) -> None:
    outcomes = [{"tenantId": t, "ok": True, "errors": [f"only-for-{t}"]} for t in ("acme", "globex")]
    JobRun.objects.update(outcomes=outcomes, result={"perTenant": outcomes}, actor_name="Ada", error="only-for-globex")
    page = sign_in(MALLORY).get(url(JobRun, "change", rows[JobRun])).content.decode()
    assert "only-for-globex" in page
    assert "only-for-acme" not in page
    assert "Ada" not in page


@pytest.mark.slow
def test_every_filter_that_is_offered_works(rows: Rows, sign_in: SignIn) -> None:
    client = sign_in(ADA)
    tried = 0
    for model in admin.site._registry:
        path = url(model, "changelist")
        links = sorted(set(re.findall(r'href="(\?[^"]+)"', client.get(path).content.decode())))
        # Every way to sort, and of each filter two of its choices.
        chosen = [link for _, same in groupby(links, _offered) for link in islice(same, 2)]
        for link in chosen:
            assert client.get(path + html.unescape(link)).status_code == 200, path + link
        tried += len(chosen)
    assert tried > 100


def _offered(link: str) -> str:
    return link if link.startswith("?o=") else link.partition("=")[0]


@pytest.mark.parametrize("path", ["search/?s=a", "r/1/1/", "no/such/page/", "auth/group/", "tenancy/user/"])
def test_what_django_brings_along_is_not_there(path: str, sign_in: SignIn) -> None:
    answer = sign_in(ADA).get(f"/admin/{path}")
    assert answer.status_code == 404
    assert "There is no such page" in answer.content.decode()


@pytest.mark.parametrize("person", PEOPLE, ids=lambda p: p.role)
def test_home_and_menu_offer_what_the_role_may_see(person: Person, rows: Rows, sign_in: SignIn) -> None:
    page = sign_in(person).get("/admin/").content.decode()
    for model, registered in admin.site._registry.items():
        listed = f'href="{url(model, "changelist")}"' in page
        assert listed is (registered.view_permission in PERMISSIONS[person.role]), model

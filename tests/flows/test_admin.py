"""The pages of pipelines and runs, as Ada uses them."""

import json
import re

import pytest
from django.test import Client
from django.urls import reverse

from kaireon.flows.models import FlowRun, Pipeline
from kaireon.jobs import runner
from kaireon.tenancy.context import transaction
from tests.cast import ADA, ED, MALLORY, PASSWORD, Person
from tests.flows.conftest import put

DEFINITION = {
    "steps": [
        {"name": "read", "node": "load_file", "params": {"file": "in.csv", "format": "csv"}},
        {"name": "store<b>", "node": "write_entity", "params": {"entity": "customers"}},
    ]
}
FORM = {
    "name": "nightly",
    "definition": json.dumps(DEFINITION).replace("store<b>", "store"),
    "kind": "cron",
    "when": "30 2 * * *",
    "time_zone": "Europe/Berlin",
    "missed": "last",
    "enabled": "on",
}


@pytest.fixture
def client(db: str) -> Client:
    client = Client()
    assert client.post("/admin/login/", {"username": ADA.email, "password": PASSWORD}).status_code == 302
    return client


def make(client: Client, **more: str) -> Pipeline:
    answer = client.post(reverse("admin:flows_pipeline_add_pipeline"), {**FORM, **more})
    assert answer.status_code == 302, answer.content.decode()
    with ADA.here(), transaction():
        return Pipeline.objects.get()


def test_a_pipeline_is_made_with_a_picture_and_its_next_five(client: Client) -> None:
    pipeline = make(client)
    page = client.get(f"/admin/flows/pipeline/{pipeline.pk}/change/").content.decode()
    assert "<svg" in page
    assert len(re.findall(r"\d{4}, 02:30 CES?T", page)) == 5
    assert "30 2 * * *, Europe/Berlin" in page
    assert "nightly" in client.get("/admin/flows/pipeline/").content.decode()


def test_it_runs_now_and_shows_how_far_it_is(client: Client) -> None:
    pipeline = make(client)
    answer = client.post(reverse("admin:flows_pipeline_run_now", args=[pipeline.pk]))
    assert answer.status_code == 302
    assert "0.0 %" in client.get(answer["Location"]).content.decode()
    with ADA.here():
        put("in.csv", "customerId\nc-1\n")
        with transaction():
            run = FlowRun.objects.get()
        runner.run(job_id=run.job_ref)
    page = client.get(answer["Location"]).content.decode()
    assert "100.0 %" in page
    assert "1 of 1 rows" in page
    assert client.get("/admin/flows/flowrun/").status_code == 200


def test_the_page_follows_an_open_run_and_is_loaded_anew_at_its_end(client: Client) -> None:
    pipeline = make(client)
    page = client.post(reverse("admin:flows_pipeline_run_now", args=[pipeline.pk]))["Location"]
    part = client.get(page, headers={"HX-Request": "true"})
    assert part.content.decode().strip().startswith("<section")
    assert 'hx-trigger="every' in part.content.decode()
    assert "waits for a worker" in part.content.decode()
    assert "HX-Refresh" not in part.headers
    assert "hx-trigger" in client.get(page).content.decode()
    with ADA.here():
        put("in.csv", "customerId,email\nc-1,\nc-2,nobody\n")
        with transaction():
            run = FlowRun.objects.get()
        runner.run(job_id=run.job_ref)
    part = client.get(page, headers={"HX-Request": "true"})
    assert part.headers["HX-Refresh"] == "true"
    assert "hx-trigger" not in part.content.decode()
    figures = dict(re.findall(r'data-figure="(\w+)">([^<]+)<', part.content.decode()))
    assert figures == {"percent": "100.0 %", "in": "2", "out": "1", "failed": "1"}
    assert f"rejects/{run.pk}.csv" in part.content.decode()
    assert str(run.pk) in client.get(f"/admin/flows/pipeline/{pipeline.pk}/change/").content.decode()
    assert str(run.pk) in client.get(f"/admin/flows/flowrun/?pipeline__id__exact={pipeline.pk}").content.decode()


@pytest.mark.parametrize("person", [ED, MALLORY], ids=lambda p: p.role)
def test_nobody_else_follows_it(person: Person, client: Client) -> None:
    pipeline = make(client)
    page = client.post(reverse("admin:flows_pipeline_run_now", args=[pipeline.pk]))["Location"]
    other = Client()
    other.post("/admin/login/", {"username": person.email, "password": PASSWORD})
    assert other.get(page, headers={"HX-Request": "true"}).status_code == (404 if person is MALLORY else 403)
    signed_out = Client().get(page, headers={"HX-Request": "true"}, follow=True)
    assert (signed_out.content, signed_out.headers["HX-Refresh"]) == (b"", "true")


def test_a_failed_run_is_taken_up_again(client: Client) -> None:
    pipeline = make(client)
    page = client.post(reverse("admin:flows_pipeline_run_now", args=[pipeline.pk]))["Location"]
    with ADA.here():
        with transaction():
            run = FlowRun.objects.get()
        runner.run(job_id=run.job_ref)
        put("in.csv", "customerId\nc-1\n")
    shown = client.get(page).content.decode()
    assert "file_missing" in shown
    assert "Take it up again" in shown
    assert client.post(reverse("admin:flows_flowrun_again", args=[run.pk])).status_code == 302
    with ADA.here():
        with transaction():
            run = FlowRun.objects.get()
        runner.run(job_id=run.job_ref)
        with transaction():
            assert FlowRun.objects.get().state == "done"


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"definition": json.dumps(DEFINITION)}, "letters, digits"),
        ({"definition": "{"}, "valid JSON"),
        ({"when": "tomorrow"}, "five fields"),
        ({"kind": "every", "when": "often"}, "whole seconds"),
    ],
)
def test_what_cannot_be_is_said_beside_the_form(client: Client, more: dict[str, str], words: str) -> None:
    answer = client.post(reverse("admin:flows_pipeline_add_pipeline"), {**FORM, **more})
    assert answer.status_code == 200
    assert words in answer.content.decode()


def test_it_is_changed_and_deleted(client: Client) -> None:
    pipeline = make(client)
    changed = client.post(
        reverse("admin:flows_pipeline_edit", args=[pipeline.pk]), {**FORM, "name": "daily", "kind": ""}
    )
    assert changed.status_code == 302
    page = client.get(f"/admin/flows/pipeline/{pipeline.pk}/change/").content.decode()
    assert "by hand" in page
    assert client.post(reverse("admin:flows_pipeline_remove", args=[pipeline.pk])).status_code == 302
    assert str(pipeline.pk) not in client.get("/admin/flows/pipeline/").content.decode()

"""The engine room for the pictures: jobs, a dead letter, an approval that waits, a pipeline at work."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

from playwright.sync_api import Page, expect

from cron import beat_rows, runner
from cron.jobs import JOBS
from cron.models import Trigger
from kaireon.approvals import members as approved_members
from kaireon.approvals import services as approvals
from kaireon.flows import pipelines
from kaireon.flows.models import Pipeline
from kaireon.lib import clock
from kaireon.tenancy.context import transaction
from tests.approvals.conftest import BEA
from tests.browser.steps import follow
from tests.browser.test_operations_story import locked, put_file
from tests.cast import ADA
from tests.live import Worker
from tests.outbox.conftest import Receiver, deliver_until_settled, destination, publish, say


def take_the_engine_room(
    page: Page, take: Callable[[Page, str], None], receiver: Receiver, superuser_url: str, folder: Path
) -> None:
    beat_rows.install()
    for job in JOBS:
        runner.run_job(job, trigger=Trigger.BEAT)
    page.goto("/admin/cron/jobrun/")
    take(page, "jobs")

    bury(receiver)
    page.goto("/admin/outbox/deadletter/")
    follow(page, page.locator("#result_list tbody").get_by_role("link").first)
    take(page, "dead-letter")

    ask()
    page.goto("/admin/approvals/approvalrequest/inbox/")
    take(page, "inbox")
    page.goto("/admin/approvals/approvalrequest/?waiting=me")
    follow(page, page.locator("#result_list tbody").get_by_role("link").first)
    take(page, "approval")

    pipeline = make_pipeline()
    (folder / "pipelines").mkdir()
    with Worker(folder / "pipelines" / "worker.log", "pipeline-jobs"), locked(superuser_url):
        page.goto(f"/admin/flows/pipeline/{pipeline.pk}/run/")
        page.get_by_role("button", name="Run it now").click()
        expect(page.locator("[data-figure=out]")).to_have_text("999")
        page.reload()
        take(page, "pipeline-run")


def bury(receiver: Receiver) -> None:
    """A message that the receiver refused three times."""
    mail = {"to": ["nora@example.com"], "subject": "Your request of 12 November", "text": "Your data is ready."}
    with ADA.here():
        destination("crm", "webhook", {"url": receiver.url}, "shared-secret-0123456789")
        receiver.always = say(503)
        publish(to="crm", topic="mail", payload=mail)
        deliver_until_settled()


def ask() -> None:
    """Bea asks for a role that Ada must agree to."""
    now = clock.now()
    with BEA.here(), transaction():
        approvals.demand_second_person(approved_members.GRANT, demanded=True, now=now)
        payload = {"email": "nora@acme.example", "role": "auditor", "name": "Nora Lind"}
        approvals.ask(verb=approved_members.GRANT, payload=payload, actor=BEA.actor, now=now - timedelta(hours=2))


def make_pipeline() -> Pipeline:
    steps = [
        {"name": "read", "node": "load_file", "params": {"file": "in.csv", "format": "csv"}},
        {"name": "store", "node": "write_entity", "params": {"entity": "customers"}},
        {"name": "keys", "node": "hash", "params": {"columns": ["email"], "purpose": "research"}},
        {"name": "extract", "node": "write_file", "params": {"file": "out/{run}.csv", "format": "csv"}},
    ]
    for step, needs in zip(steps[1:], (["read"], ["read"], ["keys"]), strict=True):
        step["needs"] = needs
    put_file()
    with ADA.here(), transaction():
        definition = {"steps": steps}
        return pipelines.create(name="customers from the shop", definition=definition, actor=ADA.actor, now=clock.now())

"""An operator's day in the admin: jobs, dead letters and pipelines, in a real browser, with a real worker."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest
from django.core.files.base import ContentFile
from playwright.sync_api import Page, expect

from cron import beat_rows
from cron.jobs import JOBS
from customers.ingest import ingest_customers
from kaireon.flows import batches
from kaireon.lib import clock
from kaireon.tenancy.context import transaction
from tests.browser.conftest import Officers
from tests.browser.steps import fits, follow, here_in_menu, press, reload_until, write
from tests.cast import ADA
from tests.outbox.conftest import Receiver, deliver_until_settled, destination, publish, receiver, say  # noqa: F401

MAIL = {"to": ["nora@x.example"], "subject": "Your request", "text": "It is done."}
ROWS = 2_500
# A row in the second batch of the file.
LOCKED = "c-1500"


@pytest.mark.slow
def test_an_operator_runs_jobs_handles_dead_letters_and_follows_a_pipeline(
    officers: Officers,
    receiver: Receiver,  # noqa: F811
    settings: Any,
    superuser_url: str,
) -> None:
    settings.ALLOW_PRIVATE_DESTINATIONS = True
    beat_rows.install()
    with ADA.here(), transaction():
        # So that it does not become due while she looks.
        beat_rows.reschedule(JOBS["approvals-expire"], cron="0 0 1 1 *", enabled=True, now=clock.now())
    page = officers.arrive(ADA)
    run_and_reschedule_a_job(page)
    try_again_archive_and_purge_dead_letters(page, receiver)
    start_follow_and_take_up_a_pipeline(page, superuser_url)
    assert officers.faults == []


def run_and_reschedule_a_job(page: Page) -> None:
    page.goto("/admin/cron/jobrun/")
    expect(page.get_by_text("or when you start one")).to_be_visible()
    # Far down in the menu, which shows it, and nothing else moved.
    entry = here_in_menu(page)
    expect(entry).to_have_text(re.compile("Job runs"))
    expect(entry).to_be_in_viewport(ratio=1)
    assert page.evaluate("[scrollY, document.activeElement === document.body]") == [0, True]
    job = page.locator("#jobs").get_by_role("row").filter(has_text="approvals-expire")
    expect(job.locator(".k-run")).to_have_text("new")
    fits(page)
    press(page, "Run a job")
    fits(page)
    press(page, "Cancel")
    press(page, "Run approvals-expire")
    expect(page.locator("#id_job")).to_have_value("approvals-expire")
    press(page, "Run it")
    expect(page.get_by_text("approvals-expire was sent to a worker.")).to_be_visible()
    run = page.locator("#result_list tbody").get_by_role("row")
    reload_until(page, run.filter(has_text="Succeeded"))
    expect(run).to_contain_text("done")
    expect(run).to_contain_text("Admin")
    # The page reads the jobs before their runs: one that ends in between is seen above at the next look.
    reload_until(page, job.locator(".k-run-up"))
    fits(page)

    follow(page, run.get_by_role("link").first)
    expect(page.locator("[data-field=result_here]")).to_contain_text('"expired": 0')
    tenants = page.locator("[data-field=tenants] tbody").get_by_role("row")
    expect(tenants.filter(has_text="acme")).to_contain_text("done")
    expect(tenants.filter(has_text="globex")).to_contain_text('"expired": 0')
    fits(page)

    page.goto("/admin/cron/jobrun/")
    press(page, "Change the schedule of approvals-expire")
    write(page.locator("#id_cron"), "every morning")
    press(page, "Change it")
    expect(page.get_by_role("alert")).to_contain_text("Write five fields of cron")
    fits(page)
    write(page.locator("#id_cron"), "0 0 1 2 *")
    press(page, "Change it")
    expect(job).to_contain_text("0 0 1 2 *")
    expect(job).to_contain_text("edited here")
    page.goto("/admin/")
    expect(page.locator("li").filter(has_text="approvals-expire")).to_contain_text("Up")


def try_again_archive_and_purge_dead_letters(page: Page, receiver: Receiver) -> None:  # noqa: F811
    page.goto("/admin/outbox/deadletter/")
    expect(page.get_by_text("What could not be delivered or done is kept here.")).to_be_visible()
    fits(page)
    bury_two(receiver)

    page.reload()
    letters = page.locator("#result_list tbody").get_by_role("row")
    expect(letters.filter(has_text="Open")).to_have_count(2)
    fits(page)
    follow(page, letters.first.get_by_role("link").first)
    expect(page.get_by_text("[n***@x.example]")).to_be_visible()
    assert "nora" not in page.content()
    fits(page)
    got = len(receiver.got)
    press(page, "Try again")
    fits(page)
    press(page, "Try again")
    expect(page.get_by_text("It is on its way again.")).to_be_visible()
    page.goto("/admin/outbox/message/")
    reload_until(page, page.get_by_role("row").filter(has_text="Delivered"))
    assert [message.data for message in receiver.got[got:]] == [MAIL]
    fits(page)

    page.goto("/admin/outbox/deadletter/")
    follow(page, letters.filter(has_text="Open").get_by_role("link").first)
    press(page, "Purge", whole=True)
    press(page, "Purge", whole=True)
    expect(page.get_by_role("alert")).to_contain_text("Archive it first")
    fits(page)
    press(page, "Cancel")
    press(page, "Archive")
    press(page, "Archive")
    expect(page.get_by_text("It is archived.")).to_be_visible()
    expect(page.get_by_text(".ndjson.gz")).to_be_visible()
    fits(page)
    press(page, "Purge", whole=True)
    press(page, "Purge", whole=True)
    expect(page.get_by_text("It is purged; the archive keeps it.")).to_be_visible()
    expect(page.get_by_text("gone", exact=True)).to_be_visible()
    page.goto("/admin/outbox/deadletter/")
    expect(letters.filter(has_text="Replayed")).to_have_count(1)
    expect(letters.filter(has_text="Purged")).to_have_count(1)


def bury_two(receiver: Receiver) -> None:  # noqa: F811
    """Two messages that nobody took, three times each; whoever comes next takes them."""
    with ADA.here():
        destination("crm", "webhook", {"url": receiver.url}, "shared-secret-0123456789")
        receiver.answers = [say(500)] * 6
        for _ in range(2):
            publish(to="crm", topic="mail", payload=MAIL)
            deliver_until_settled()
    assert receiver.answers == []


def start_follow_and_take_up_a_pipeline(page: Page, superuser_url: str) -> None:
    page.goto("/admin/flows/flowrun/")
    expect(page.get_by_text("Start a pipeline on its page")).to_be_visible()
    fits(page)
    page.goto("/admin/flows/pipeline/")
    expect(page.get_by_text("Press New pipeline.")).to_be_visible()
    press(page, "New pipeline")
    fits(page)
    make_pipeline(page)
    press(page, "Run now")
    fits(page)
    press(page, "Run it now")

    # The file is not there: the run fails, and the page says so without being loaded again.
    expect(page.get_by_text("file_missing", exact=True)).to_be_visible()
    expect(page.locator("#k-progress").get_by_role("status")).to_have_text("Failed")
    fits(page)
    put_file()
    with locked(superuser_url):
        press(page, "Take it up again")
        press(page, "Queue it again")
        figure = page.locator("#k-progress [data-figure]")
        expect(figure.and_(page.locator("[data-figure=in]"))).to_have_text(f"{ROWS + 1:,}")
        expect(figure.and_(page.locator("[data-figure=out]"))).to_have_text("999")
        expect(figure.and_(page.locator("[data-figure=failed]"))).to_have_text("1")
        expect(figure.and_(page.locator("[data-figure=percent]"))).to_have_text("66.7 %")
        expect(figure.and_(page.locator("[data-figure=left]"))).to_be_visible()
        expect(page.locator("#k-progress").get_by_role("status")).to_have_text("Running")
        fits(page)
        page.goto("/admin/")
        expect(page.get_by_text("Running, 66.7 %")).to_be_visible()
        press(page, "customers from a file")
        expect(page.get_by_text("This page follows the run.")).to_be_visible()
    expect(page.locator("#k-progress").get_by_role("status")).to_have_text("Done")
    expect(page.locator("[data-figure=out]")).to_have_text(f"{ROWS:,}")
    expect(page.locator("[data-figure=left]")).to_have_count(0)
    expect(page.get_by_text("/rejects/")).to_be_visible()
    fits(page)
    press(page, "customers from a file")
    expect(page.get_by_text("Newest runs")).to_be_visible()
    fits(page)


def make_pipeline(page: Page) -> None:
    steps = """{"steps": [
        {"name": "read", "node": "load_file", "params": {"file": "in.csv", "format": "csv"}},
        {"name": "store", "node": "write_entity", "params": {"entity": "%s"}}]}"""
    write(page.locator("#id_name"), "customers from a file")
    page.locator("#id_definition").fill(steps % "nothing")
    press(page, "Save the pipeline")
    expect(page.get_by_role("alert")).to_be_visible()
    fits(page)
    page.locator("#id_definition").fill(steps % "customers")
    press(page, "Save the pipeline")
    expect(page.get_by_text("customers from a file is saved.")).to_be_visible()
    fits(page)


def put_file() -> None:
    """Customers, the first of whom has no e-mail address that could be one; one of them is known already."""
    rows = "".join(f"c-{number},c{number}@x.example\n" for number in range(ROWS))
    with ADA.here():
        batches.put(f"{batches.folder()}/in.csv", ContentFile(f"customerId,email\nc-bad,nobody\n{rows}".encode()))
        with transaction():
            assert ingest_customers([{"customerId": LOCKED}], now=clock.now()).created == 1


@contextmanager
def locked(superuser_url: str) -> Iterator[None]:
    """Somebody holds a customer of the second batch, so that the run stands still behind the first."""
    with psycopg.connect(superuser_url) as connection:
        sql = "SELECT FROM customers_customer WHERE customer_id = %s FOR UPDATE"
        assert connection.execute(sql, [LOCKED]).rowcount == 1
        yield

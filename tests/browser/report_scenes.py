"""Reports for the pictures: one as a page in the browser and as PDF, schedules, and what was made by them."""

from collections.abc import Callable
from datetime import time, timedelta
from pathlib import Path

import pypdfium2
from django.db.models import F
from playwright.sync_api import Browser, Page

from compliance.alerting import providers
from compliance.models import ReportRun, ReportSchedule
from compliance.reporting import schedules, scheduling, templates
from compliance.reporting.rendering import render
from kaireon.jobs import runner
from kaireon.lib import clock
from kaireon.tenancy.context import transaction
from kaireon.tenancy.roles import Permission
from tests.browser.steps import follow
from tests.cast import ADA
from tests.outbox.conftest import SECRET, Receiver, deliver
from tests.reporting.planted import NOW, YEAR, ZONE, plant

TEMPLATE = "subject_requests"
SCHEDULES = "/admin/compliance/reportschedule/"
REPORTS = "/admin/compliance/reportrun/"
# Name, template, what of, how often, on which day, whether it is on.
MADE: tuple[tuple[str, str, str, str, int | None, bool], ...] = (
    ("Requests of the week", "subject_requests", "week", "weekly", 1, True),
    ("Retention for the board", "retention", "month", "monthly", 1, True),
    ("SOC 2 evidence", "soc2_evidence", "quarter", "monthly", 5, True),
    ("Looks at personal data", "personal_data_access", "day", "daily", None, False),
)


def take_the_report(browser: Browser, database: str, images: Path, folder: Path) -> None:
    """Of the world that the tests of reports plant in this database."""
    plant(database)
    with ADA.here(), transaction(one_moment=True):
        document = templates.build(TEMPLATE, period=YEAR, zone=ZONE, now=NOW)
    file = folder / "report.html"
    file.write_bytes(render(document, "html"))
    page = browser.new_page(viewport={"width": 1000, "height": 900})
    page.goto(file.as_uri())
    page.screenshot(path=images / "report-html.png")
    page.close()
    with pypdfium2.PdfDocument(render(document, "pdf")) as pdf:
        pdf[0].render(scale=1.4).to_pil().quantize(64).save(images / "report-pdf.png", optimize=True)


def take_the_schedules(page: Page, take: Callable[[Page, str], None], receiver: Receiver) -> None:
    """Of a tenant that has had them for some weeks."""
    now = clock.now()
    with ADA.here():
        with transaction():
            desk = providers.create(name="Privacy desk", kind="webhook", url=receiver.url, secret=SECRET, now=now)
            for name, template, span, cadence, day, enabled in MADE:
                terms = {
                    "name": name,
                    "template": template,
                    "formats": ["pdf", "csv"],
                    "span": span,
                    "cadence": cadence,
                    "weekday" if cadence == "weekly" else "day": day,
                    "at": time(7, 30),
                    "time_zone": "Europe/Berlin",
                    "channels": [str(desk.pk)],
                    "is_enabled": enabled,
                }
                schedules.create(given=terms, may=frozenset(Permission), now=now - timedelta(days=35))
        for days in range(34, -1, -1):
            with clock.freeze(now - timedelta(days=days)):
                scheduling.look(now=clock.now())
                make_what_waits()
        deliver()
        with transaction():
            # Made when they were due, and not all of them just now.
            due = F("slot")
            ReportRun.objects.update(
                created_at=due + timedelta(seconds=20),
                finished_at=due + timedelta(seconds=32),
                expires_at=due + timedelta(days=400, seconds=32),
            )
            row = ReportSchedule.objects.get(name=MADE[0][0])
    page.goto(SCHEDULES)
    take(page, "report-schedules")
    page.goto(f"{SCHEDULES}{row.pk}/change/")
    page.locator(".k-card").last.evaluate("part => part.scrollIntoView({block: 'end'})")
    take(page, "report-schedule")
    page.goto(REPORTS)
    take(page, "report-runs")
    follow(page, page.locator("#result_list tbody").get_by_role("link").first)
    page.locator("#told-title").evaluate("title => title.closest('section').scrollIntoView({block: 'end'})")
    take(page, "report-run")


def make_what_waits() -> None:
    with transaction():
        waiting = list(ReportRun.objects.filter(state="queued").values_list("job_ref", flat=True))
    for job in waiting:
        runner.run(job_id=job)

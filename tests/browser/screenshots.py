"""The pictures of README and docs, taken of the product itself: `make screenshots` writes docs/img/*.png."""

import re
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from playwright.sync_api import Browser, Page, expect

from audit import sequencer
from audit.tree import checkpoints
from compliance.holding import holds
from compliance.purging import applying, plans
from compliance.retention import policies
from cron import runner
from cron.models import Trigger
from customers.engagement import reckoning
from customers.models import EngagementHealth
from dsar.deadlines import Ground
from dsar.public import guard
from dsar.requests import clocks, services
from kaireon.lib import clock
from kaireon.lib.budget import Budget
from kaireon.outbox import payloads
from kaireon.outbox.models import Message
from kaireon.tenancy.context import transaction
from tests.approvals.conftest import BEA, admins  # noqa: F401
from tests.browser import (
    alert_scenes,
    detection_scenes,
    engine_scenes,
    hold_scenes,
    report_scenes,
    request_scenes,
    siem_scenes,
)
from tests.browser.conftest import Watched
from tests.browser.steps import follow, sign_in
from tests.browser.test_admin_story import until, until_completed
from tests.cast import ACME, ADA
from tests.customers.propensity.world import plant, retrained, schedule
from tests.dsar.public.conftest import open_page
from tests.live import wait_until
from tests.outbox.conftest import Receiver, receiver  # noqa: F401

IMAGES = Path(__file__).resolve().parents[2] / "docs" / "img"
POLICIES = {"interactions": 730, "decisions": 180, "profiles": 1825, "metrics": 1095, "consents": 3650, "dsar": 1095}
# Days since each open request came in: one is late, one nearly.
WAITING = {"A-00240": 33, "A-00360": 28, "A-00480": 12, "A-00600": 3}


def test_take_them(watched: Watched, tmp_path: Path) -> None:
    prepare()
    page = watched.page
    sign_in(page)
    page.goto("/admin/dsar/dsarrequest/access/")
    page.locator("#id_subject_id").fill("A-00120")
    page.get_by_role("button", name="File the request").click()
    until_completed(page)
    page.reload()
    page.get_by_role("heading", name="Why this date").evaluate(
        "title => title.parentElement.scrollIntoView({block: 'end'})"
    )
    take(page, "request")
    request_scenes.take_the_package(page, IMAGES, tmp_path)
    take_the_clock(page)
    sequencer.drain(ACME)
    # What the sequencer's process and the schedule do every minute.
    while checkpoints.make(ACME):
        sequencer.drain(ACME)
    runner.run_job("audit-publish", trigger=Trigger.BEAT)
    page.goto("/admin/")
    follow(page, page.get_by_role("button", name="Verify now"))
    page.goto("/admin/")
    take(page, "home")
    page.goto("/admin/compliance/retentionpolicy/")
    follow(page, page.locator("#result_list").get_by_role("link", name="decisions"))
    take(page, "hold")
    page.goto("/admin/compliance/retentionpolicy/")
    take(page, "policies")
    follow(page, page.locator("#result_list").get_by_role("link", name="interactions"))
    follow(page, page.get_by_role("link", name="Change days"))
    page.locator("#id_retention_days").fill("400")
    follow(page, page.get_by_role("button", name="Save"))
    take(page, "policy-preview")
    page.goto("/admin/compliance/retentionpolicy/timeline/")
    take(page, "timeline")
    page.goto("/admin/compliance/retentionpolicy/laws/")
    take(page, "laws")
    page.goto("/admin/compliance/purgeplan/tomorrow/?at=2099-01-01")
    take(page, "goes-next")
    page.goto(f"/admin/compliance/purgeplan/{plan_and_apply()}/change/")
    take(page, "purge-plan")
    page.goto("/admin/compliance/disposition/")
    take(page, "dispositions")
    hold_scenes.take_the_desk(page, take)
    page.goto("/admin/audit/auditrecord/")
    take(page, "audit")
    request_scenes.take_the_confirmation(page, take)
    take_the_certificate(page)
    request_scenes.take_the_board(page, take)
    request_scenes.take_the_report(page, take)
    page.goto("/admin/audit/auditrecord/?entity_type=RetentionPolicy&action=retention_config.legal_hold")
    follow(page, page.locator("#result_list tbody").get_by_role("link").first)
    take(page, "audit-record")
    page.locator("#proof-title").evaluate("title => title.closest('section').scrollIntoView()")
    take(page, "audit-proof")
    assert watched.faults == []


def test_take_the_engine_room(
    watched: Watched,
    admins: str,  # noqa: F811
    receiver: Receiver,  # noqa: F811
    settings: Any,
    superuser_url: str,
    tmp_path: Path,
) -> None:
    settings.ALLOW_PRIVATE_DESTINATIONS = True
    sign_in(watched.page)
    engine_scenes.take_the_engine_room(watched.page, take, receiver, superuser_url, tmp_path)
    assert watched.faults == []


def test_take_the_alerts(watched: Watched, receiver: Receiver, settings: Any) -> None:  # noqa: F811
    settings.ALLOW_PRIVATE_DESTINATIONS = True
    sign_in(watched.page)
    alert_scenes.take_the_alerts(watched.page, take, receiver)
    assert watched.faults == []


def test_take_the_watchers(watched: Watched, receiver: Receiver, settings: Any) -> None:  # noqa: F811
    """What is shipped, what is looked for, what is told by schedule."""
    settings.ALLOW_PRIVATE_DESTINATIONS = True
    sign_in(watched.page)
    siem_scenes.take_the_destinations(watched.page, take)
    detection_scenes.take_the_desk(watched.page, take)
    report_scenes.take_the_schedules(watched.page, take, receiver)
    assert watched.faults == []


def test_take_the_public_page(watched: Watched, settings: Any) -> None:
    settings.PUBLIC_URL = "https://privacy.acme.example"
    open_page(ADA, contact="Acme, Data protection officer, 12 Mill Lane, Springfield")
    page = watched.page
    page.goto("/privacy/acme/")
    page.get_by_role("radio", name="Correct my data").check()
    page.get_by_label("Your e-mail address").fill("nora.lind@example.com")
    page.get_by_label("What we should know").fill("You have my old name. It is Lind now, since 2 May.")
    page.evaluate("window.scrollTo(0, 0)")
    take(page, "public-page")
    page.wait_for_timeout(guard.LEAST.total_seconds() * 1000)
    follow(page, page.get_by_role("button", name="Send"))
    take(page, "public-code")
    page.get_by_label("The code from the mail").fill(mailed_code())
    follow(page, page.get_by_role("button", name="Confirm"))
    page.set_viewport_size({"width": 390, "height": 844})
    take(page, "public-request")
    page.get_by_role("link", name="Deutsch").click()
    expect(page.get_by_role("heading", name="Meine Daten berichtigen")).to_be_visible()
    page.goto("/privacy/acme/")
    take(page, "public-german")
    assert watched.faults == []


@pytest.fixture
def mail_in_files(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The processes behind the page mail as those of `make run` do; gives the folder."""
    folder = tmp_path / "mail"
    monkeypatch.setenv("EMAIL_URL", f"filemail:///{folder}")
    return folder


def test_take_engagement(watched: Watched) -> None:
    now = clock.now()
    with ADA.here():
        with transaction():
            # As if the job had been there all these months.
            EngagementHealth.objects.all().delete()
        for days in range(92, -1, -4):
            reckoning.reckon(now=now - timedelta(days=days), budget=Budget(60), whole=True)
    page = watched.page
    sign_in(page, ADA)
    page.goto("/admin/customers/engagementday/")
    take(page, "engagement")
    page.goto("/admin/customers/engagementhealth/")
    take(page, "engagement-health")
    assert watched.faults == []


def test_take_models(watched: Watched) -> None:
    now = clock.now()
    with ADA.here():
        plant(now, people=400, offer="spring-catalogue")
        rows = [schedule(now, offer=offer) for offer in ("spring-catalogue", "loyalty-card")]
        for row in (rows[0], rows[0], rows[1]):
            retrained(now, row.offer)
    page = watched.page
    sign_in(page, ADA)
    page.goto(f"/admin/customers/retrainschedule/{rows[0].pk}/change/")
    page.locator("#runs-title").evaluate("title => title.closest('section').scrollIntoView({block: 'start'})")
    take(page, "retrains")
    page.goto("/admin/customers/retrainschedule/")
    expect(page.locator("#result_list")).to_contain_text("presented to nobody")
    page.goto("/admin/customers/propensityversion/")
    follow(page, page.locator("#result_list tbody a").first)
    take(page, "model-version")
    assert watched.faults == []


def test_take_the_letters(mail_in_files: Path, watched: Watched) -> None:
    request_scenes.take_the_letters(watched.page, take, mail_in_files)
    assert watched.faults == []


def mailed_code() -> str:
    def newest() -> str:
        with ADA.here(), transaction():
            message = Message.objects.order_by("-created_at").first()
            mail = payloads.read(message.pk) if message else None
        return mail["text"] if mail else ""

    return re.search(r"\b[0-9]{8}\b", wait_until(newest))[0]  # type: ignore[index]


def plan_and_apply() -> UUID:
    """One plan that was applied, and another of what came since and is past its time too; gives the second."""
    now = clock.now()
    somebody = {"data_class": "deliveries", "retention_days": 30, "actor": ADA.actor}
    with ADA.here():
        with transaction():
            policies.upsert_policy(**somebody, now=now)
            plan = plans.make(actor=ADA.actor, now=now)
        applying.begin(plan_id=plan.pk, actor=ADA.actor, now=clock.now())
        applying.go_on(plan_id=plan.pk, now=clock.now(), budget=Budget(60))
        with transaction():
            policies.upsert_policy(**{**somebody, "data_class": "attachments"}, now=now)
            return plans.make(actor=ADA.actor, now=clock.now()).pk


def take_the_clock(page: Page) -> None:
    """A request of the United Kingdom whose clock stood once and was extended, and the forms that do it."""
    now = clock.now()
    with ADA.here(uuid4().hex), transaction():
        row = services.create_request(
            request_type="export",
            subject_id="A-00720",
            regulation="uk_gdpr",
            received_at=now - timedelta(days=20),
            actor=ADA.actor,
            now=now,
        ).request
        asked = "A passport or another paper, because the address is not the one we hold"
        clocks.pause_request(
            request=row, ground=Ground.IDENTITY, reason=asked, actor=ADA.actor, now=now - timedelta(days=18)
        )
        clocks.resume_request(request=row, actor=ADA.actor, now=now - timedelta(days=12))
    page.goto(f"/admin/dsar/dsarrequest/{row.pk}/change/")
    follow(page, page.get_by_role("link", name="Extend the time"))
    page.get_by_label("Reason").fill("Forty systems to search, and letters of others to be blacked out")
    take(page, "request-extend")
    follow(page, page.get_by_role("button", name="Extend", exact=True))
    page.get_by_role("heading", name="Why this date").evaluate("title => title.parentElement.scrollIntoView()")
    take(page, "request-clock")
    page.goto(f"/admin/dsar/dsarrequest/{row.pk}/pause/")
    take(page, "request-pause")
    page.goto("/admin/dsar/dsarrequest/working-days/")
    page.get_by_label("Holiday calendar").fill("DE-BE")
    take(page, "working-days")
    page.goto("/admin/dsar/dsarrequest/")
    take(page, "requests")


def take_the_certificate(page: Page) -> None:
    """What proves an erasure, and who is not taken in again after it."""
    with ADA.here(uuid4().hex):
        with transaction():
            filed = services.create_request(
                request_type="delete", subject_id="A-02040", actor=ADA.actor, now=clock.now()
            )
        services.wake(filed)
    page.goto(f"/admin/dsar/dsarrequest/{filed.request.pk}/change/")
    until(page, "Deferred")
    # It goes on by itself.
    with ADA.here(uuid4().hex), transaction():
        holds.release_hold(data_class="decisions", actor=ADA.actor, now=clock.now())
    until_completed(page)
    request_scenes.take_the_steps(page, take, filed.request.pk)
    page.goto(f"/admin/dsar/dsarrequest/{filed.request.pk}/certificate/")
    take(page, "certificate")
    page.goto("/admin/customers/erasedsubject/")
    take(page, "erased-people")


def prepare() -> None:
    """Rules, a hold, a run of a job and requests that wait: nobody tells a worker of these."""
    now = clock.now()
    with ADA.here(uuid4().hex), transaction():
        for data_class, days in POLICIES.items():
            policies.upsert_policy(data_class=data_class, retention_days=days, actor=ADA.actor, now=now)
        reason = "Matter 2026-14: dispute over automated offers, order of the regional court"
        holds.place_hold(data_class="decisions", reason=reason, actor=ADA.actor, now=now)
        for number, days in WAITING.items():
            services.create_request(
                request_type="export" if days != 12 else "delete",
                subject_id=number,
                received_at=now - timedelta(days=days),
                actor=ADA.actor,
                now=now,
            )
    runner.run_job("cleanup", trigger=Trigger.COMMAND)


def test_take_the_report(browser: Browser, db: str, tmp_path: Path) -> None:
    report_scenes.take_the_report(browser, db, IMAGES, tmp_path)


def take(page: Page, name: str) -> None:
    page.wait_for_function("!document.documentElement.hasAttribute('x-cloak')")
    page.evaluate("document.fonts.ready.then(() => null)")
    IMAGES.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=IMAGES / f"{name}.png")

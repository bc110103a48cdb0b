"""The pictures of the README, taken of the product itself: `make screenshots` writes docs/img/*.png."""

from datetime import timedelta
from pathlib import Path

from playwright.sync_api import Page

from compliance import holds, policies
from cron import runner
from cron.models import Trigger
from dsar import services
from kaireon.lib import clock
from kaireon.tenancy.context import transaction
from tests.browser.conftest import Watched
from tests.browser.steps import sign_in
from tests.browser.test_admin_story import until_completed
from tests.cast import ADA

IMAGES = Path(__file__).resolve().parents[2] / "docs" / "img"
POLICIES = {"interactions": 730, "decisions": 180, "profiles": 1825, "metrics": 1095, "consents": 3650, "dsar": 1095}
# Days since each open request came in: one is late, one nearly.
WAITING = {"A-00240": 33, "A-00360": 28, "A-00480": 12, "A-00600": 3}


def test_take_them(watched: Watched) -> None:
    prepare()
    page = watched.page
    sign_in(page)
    page.goto("/admin/dsar/dsarrequest/access/")
    page.locator("#id_subject_id").fill("A-00120")
    page.get_by_role("button", name="File the request").click()
    until_completed(page)
    page.reload()
    take(page, "request")
    page.goto("/admin/")
    page.get_by_role("button", name="Verify now").click()
    page.goto("/admin/")
    take(page, "home")
    page.goto("/admin/compliance/retentionpolicy/")
    page.locator("#result_list").get_by_role("link", name="decisions").click()
    take(page, "hold")
    page.goto("/admin/audit/auditrecord/")
    take(page, "audit")
    assert watched.faults == []


def prepare() -> None:
    """Rules, a hold, a run of a job and requests that wait: nobody tells a worker of these."""
    now = clock.now()
    with ADA.here(), transaction():
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


def take(page: Page, name: str) -> None:
    page.wait_for_function("!document.documentElement.hasAttribute('x-cloak')")
    page.evaluate("document.fonts.ready")
    IMAGES.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=IMAGES / f"{name}.png")

"""An auditor's visit: find a record, read it, check its proof, verify the log and take an export away."""

import json
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from audit import sequencer
from audit.models import AuditHead
from audit.tree import checkpoints
from customers.models import Customer
from kaireon.tenancy.context import transaction
from kaireon.tenancy.models import ApiKey
from tests.audit.log import write
from tests.browser.conftest import Officers
from tests.browser.steps import fits, follow, press, reload_until
from tests.browser.steps import write as type_into
from tests.cast import ACME, ADA, AUD

LOG = "/admin/audit/auditrecord/"


@pytest.mark.slow
def test_an_auditor_finds_reads_checks_and_takes_away(officers: Officers, tmp_path: Path) -> None:
    write(60, tenant=ACME)
    with ADA.here("req-story"), transaction():
        ApiKey.objects.filter(prefix="vi").update(name="Renamed")
        Customer.objects.create(customer_id="N-1", name="Nils", email="nils@example.org")
    # Of every tenant, also what making the cast left: no sequencer runs here.
    while sequencer.sweep():
        pass
    while checkpoints.make(ACME):
        pass
    page = officers.arrive(AUD)
    find_a_record(page)
    read_it_and_check_its_proof(page, tmp_path)
    verify_and_export(page)
    watch_the_log(page)
    open_what_is_sealed(officers.arrive(ADA))
    assert officers.faults == []


def find_a_record(page: Page) -> None:
    page.goto(LOG)
    expect(page.get_by_role("heading", name="How the log is doing")).to_be_visible()
    expect(page.get_by_text("The sequencer keeps up.")).to_be_visible()
    expect(page.get_by_text("Not verified yet.")).to_be_visible()
    fits(page)
    # Names of actions stand on one line each.
    assert page.evaluate("[...document.querySelectorAll('.k-log code')].every(c => c.getClientRects().length === 1)")
    rows = page.locator("#result_list tbody").get_by_role("row")
    expect(rows).to_have_count(50)
    press(page, "Older")
    press(page, "Newer")
    expect(rows).to_have_count(50)
    type_into(page.locator("#search-q"), "no such thing")
    page.keyboard.press("Enter")
    expect(page.get_by_text("No record fits this search.")).to_be_visible()
    fits(page)
    press(page, "Show all")
    page.get_by_text("By field").click()
    fits(page)
    type_into(page.get_by_label("Type", exact=True), "ApiKey")
    type_into(page.get_by_label("Action"), "update")
    page.keyboard.press("Enter")
    expect(rows).to_have_count(1)
    expect(rows).to_contain_text("Renamed")
    follow(page, rows.get_by_role("link"))


def read_it_and_check_its_proof(page: Page, folder: Path) -> None:
    changed = page.locator(".k-diff-changed")
    expect(changed.locator(".k-old")).to_have_text("vi")
    expect(changed.locator(".k-new")).to_have_text("Renamed")
    expect(page.get_by_text("Signed checkpoint")).to_be_visible()
    expect(page.get_by_text("Does not hold")).to_have_count(0)
    assert page.locator(".k-path-step").count() >= 3
    fits(page)
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    button = page.get_by_role("button", name="Copy the leaf hash")
    button.focus()
    page.keyboard.press("Enter")
    expect(page.locator("[data-copied=yes]")).to_have_count(1)
    assert page.evaluate("navigator.clipboard.readText()") == page.locator("[data-field=leaf]").inner_text()
    with page.expect_download() as download:
        page.get_by_role("link", name="Download the proof").click()
    download.value.save_as(folder / "proof.json")
    proof = json.loads((folder / "proof.json").read_text())["proof"]
    assert proof["leafHash"] == page.locator("[data-field=leaf]").inner_text()
    expect(page.locator("[data-field=root]")).to_have_text(proof["rootHash"])
    together = page.get_by_role("region", name="Of the same request").or_(page.locator("section:has(#together-title)"))
    follow(page, together.first.get_by_role("link").first)
    expect(page.get_by_role("heading", name="create of Customer")).to_be_visible()
    expect(page.get_by_text("nils@example.org")).to_have_count(0)
    expect(page.get_by_role("button", name="Show sealed values")).to_have_count(0)
    fits(page)


def verify_and_export(page: Page) -> None:
    page.goto(LOG)
    press(page, "Verify")
    press(page, "Verify now")
    expect(page.get_by_text("The log is intact")).to_be_visible()
    expect(page.locator(".k-checks").get_by_text("Intact: all")).to_be_visible()
    press(page, "Exports")
    expect(page.get_by_text("Press New export.")).to_be_visible()
    press(page, "New export")
    fits(page)
    press(page, "Export")
    reload_until(page, page.get_by_text("Completed"))
    fits(page)
    with page.expect_download() as download:
        page.get_by_role("link", name="Download").click()
    assert download.value.suggested_filename.endswith(".ndjson")


def watch_the_log(page: Page) -> None:
    """The panel follows the log without the page being loaded again, while somebody looks at it."""
    page.clock.install()
    page.goto(LOG)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url) if "?tenant=" in request.url else None)
    write(1, tenant=ACME)
    sequencer.drain(ACME)
    with ADA.here(), transaction():
        head = AuditHead.objects.get(pk=ACME).seq
    page.evaluate("Object.defineProperty(document, 'hidden', {value: true, configurable: true})")
    page.clock.run_for(60_000)
    assert asked == []
    page.evaluate("delete document.hidden")
    page.clock.run_for(10_000)
    # Of exactly so many records: that one looks on is none.
    expect(page.locator("[data-figure=records]")).to_have_text(f"{head:,}")
    expect(page.get_by_text("The sequencer keeps up.")).to_be_visible()
    assert len(asked) == 1


def open_what_is_sealed(page: Page) -> None:
    page.goto(f"{LOG}?entity_type=Customer")
    follow(page, page.locator("#result_list tbody").get_by_role("link"))
    expect(page.get_by_text("nils@example.org")).to_have_count(0)
    press(page, "Show sealed values")
    expect(page.get_by_text("nils@example.org")).to_be_visible()
    expect(page.get_by_text("That you looked is recorded.")).to_be_visible()
    fits(page)

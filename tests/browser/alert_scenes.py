"""Alerts for the pictures: some that fire, one that is well, one without data, and a channel that was told."""

from collections.abc import Callable
from datetime import timedelta

from playwright.sync_api import Page

from compliance.alerting import evaluation, notifications, providers, rules
from compliance.models import AlertRule
from dsar.requests import services
from kaireon.lib import clock
from kaireon.ops.management.commands.load_demo import ALERTS
from kaireon.tenancy.context import transaction
from tests.browser.steps import follow
from tests.cast import ADA
from tests.outbox.conftest import SECRET, Receiver, deliver

RULES = "/admin/compliance/alertrule/"


def take_the_alerts(page: Page, take: Callable[[Page, str], None], receiver: Receiver) -> None:
    now = clock.now()
    with ADA.here():
        with transaction():
            desk = providers.create(name="Pager", kind="webhook", url=receiver.url, secret=SECRET, now=now)
            room = providers.create(name="Privacy room", kind="slack", url=receiver.url, now=now)
            told = [str(desk.pk), str(room.pk)]
            for given in ALERTS:
                rules.create(given={**given, "channels": told}, now=now)
            notifications.test(desk, now=now)
            for number, days in (("A-00240", 33), ("A-00360", 26)):
                services.create_request(
                    request_type="export",
                    subject_id=number,
                    received_at=now - timedelta(days=days),
                    actor=ADA.actor,
                    now=now,
                )
        for minute in range(3):
            with transaction():
                evaluation.evaluate(now=now + timedelta(minutes=minute))
        deliver()
        with transaction():
            rule = AlertRule.objects.get(name="Requests overdue")
            rules.acknowledge(rule.pk, actor=ADA.actor, now=now)
    page.goto(RULES)
    take(page, "alerts")
    follow(page, page.locator("#result_list").get_by_role("link", name="Requests overdue"))
    page.locator("#history-title").evaluate("title => title.closest('section').scrollIntoView({block: 'end'})")
    take(page, "alert")
    page.goto(f"/admin/compliance/notificationprovider/{desk.pk}/change/")
    take(page, "alert-provider")

"""The job `hold-reminders`."""

from collections.abc import Mapping, Sequence
from typing import Any

from compliance.holding import notices
from compliance.models import Matter, Notice
from cron.work import Work
from kaireon.outbox import services as outbox
from kaireon.tenancy import context
from kaireon.tenancy.context import transaction


def remind(work: Work) -> tuple[Mapping[str, Any], Sequence[str]]:
    """Remind who has not acknowledged a hold, and ask for reviews; gives `{reminded, reviewsAsked, mails}`."""
    if work.dry_run:
        with transaction():
            before = work.now - notices.every()
            reviews = Matter.objects.to_review(work.now.date(), before).count()
            return {"reminded": Notice.objects.to_remind(before).count(), "reviewsAsked": reviews, "mails": 0}, ()
    reminded = reviews = mails = 0
    for tell in (notices.remind, notices.ask_reviews):
        while not work.budget.spent:
            with transaction():
                told = tell(now=work.now)
            if not told.notices:
                break
            mails += told.mails
            if tell is notices.remind:
                reminded += told.notices
            else:
                reviews += told.notices
    if mails:
        outbox.send_wake(context.tenant_id())
    return {"reminded": reminded, "reviewsAsked": reviews, "mails": mails}, ()

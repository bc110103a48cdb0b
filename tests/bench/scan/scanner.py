"""Who scans: `python -m tests.bench.scan.scanner`, told in JSON lines.

`{"tenants": [ids]}` makes them; `{"scan": true}` runs the job once and gives its seconds and counts.
"""

import logging
import time
from typing import Any

import django

from tests.bench.talker import answer


def main() -> None:
    django.setup()
    from cron import detection, runner
    from cron.models import Trigger
    from kaireon.tenancy import tenants
    from kaireon.tenancy.context import Actor

    # A line each is part of the work; where it goes is not.
    logging.getLogger().handlers = [logging.NullHandler()]

    def do(order: dict[str, Any]) -> dict[str, Any]:
        if "tenants" in order:
            for tenant in order["tenants"]:
                tenants.create_tenant(tenant_id=tenant, name=tenant, actor=Actor.system("bench"))
            return {"made": len(order["tenants"])}
        began = time.perf_counter()
        ran = runner.run_job(detection.NAME, trigger=Trigger.COMMAND)
        seconds = time.perf_counter() - began
        read = sum(outcome.get("recordsRead", 0) for outcome in ran.body["perTenant"])
        return {
            "seconds": seconds,
            "ok": ran.ok,
            "looked": read,
            "first": ran.body["newAccountFirstWorkflowEvents"],
            "signals": ran.body["signals"],
            "gaps": ran.body["gapsLeft"],
        }

    answer(do)


if __name__ == "__main__":
    main()

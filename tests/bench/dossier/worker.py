"""Who answers: `python -m tests.bench.dossier.worker TENANT`, told in JSON lines.

`{"tenant": true}` makes the tenant. `{"export": number}` files a request about that customer and answers it as a worker
does: `seconds` is of the answer alone, from the claim of its job to its commit. `{"sql": number}` writes the same JSON
by hand-written SQL. Both give `rows`, `bytes`, and `mib`: the most memory the process ever had. `{"same": number}` sees
to it that the two wrote the same. `{"file": [number…]}` files a request about each, and tells the workers;
`{"asked": [request…]}` is answered with how far these are. `{"clear": true}` takes away what was written by hand, and
`{"kept": true}` says how many dossiers there are, and how many of them lie in storage.
"""

import json
import sys
import time
from pathlib import Path
from typing import Any

import django

from tests.bench.talker import answer


class NotTheSame(RuntimeError):
    """The two dossiers differ in more than what changes while they are made."""


def main(tenant: str) -> None:
    django.setup()
    from django.db.models import Max, Min

    from dsar.dossiers import keeping
    from dsar.models import Dossier, DsarRequest
    from dsar.requests import services
    from kaireon.jobs import runner
    from kaireon.jobs.models import Job, JobState
    from kaireon.lib import clock
    from kaireon.tenancy import tenants
    from kaireon.tenancy.context import Actor, scope, transaction
    from tests.bench.dossier import by_hand

    actor = Actor.system("bench")

    def filed(number: str) -> services.Filed:
        with transaction():
            return services.create_request(request_type="export", subject_id=number, actor=actor, now=clock.now())

    def exported(number: str) -> dict[str, Any]:
        job = filed(number).job
        start = time.perf_counter()
        runner.run(job_id=job.pk)
        seconds = time.perf_counter() - start
        with transaction():
            request = DsarRequest.objects.get(job_ref=job.pk)
            dossier = Dossier.objects.get(request=request)
        return {"seconds": seconds, "rows": sum(request.counts.values()), "bytes": dossier.size}

    def written(number: str) -> dict[str, Any]:
        start = time.perf_counter()
        done = by_hand.write(tenant=tenant, number=number)
        return {"seconds": time.perf_counter() - start, **done}

    def same(number: str) -> dict[str, Any]:
        with transaction():
            dossier = Dossier.objects.filter(customer_ref=_customer(number)).latest("created_at")
        ours = json.loads(b"".join(keeping.opened(dossier)))["data"]
        theirs = by_hand.read(number)["data"]
        ours["profile"] = [ours["profile"]]
        if unlike := [section for section in theirs if _compared(theirs, section, ours) != _compared(ours, section)]:
            raise NotTheSame(", ".join(unlike))
        return {"same": True}

    def _customer(number: str) -> Any:
        from customers.models import Customer

        return Customer.objects.get(customer_id=number).pk

    def asked(requests: list[str]) -> dict[str, Any]:
        with transaction():
            jobs = Job.objects.filter(pk__in=DsarRequest.objects.filter(pk__in=requests).values("job_ref"))
            times = jobs.aggregate(first=Min("started_at"), last=Max("finished_at"))
            return {
                "done": jobs.filter(state=JobState.DONE).count(),
                "running": [str(pk) for pk in jobs.filter(state=JobState.RUNNING).values_list("pk", flat=True)],
                "begunAgain": [str(pk) for pk in jobs.filter(attempts__gt=1).values_list("pk", flat=True)],
                **{name: moment.timestamp() if moment else None for name, moment in times.items()},
                "dossiers": Dossier.objects.filter(request__in=requests).count(),
            }

    def respond(order: dict[str, Any]) -> dict[str, Any]:
        if "tenant" in order:
            tenants.create_tenant(tenant_id=tenant, name=tenant, actor=actor)
            return {}
        with scope(tenant_id=tenant, actor=actor):
            if "same" in order:
                return same(order["same"])
            if "asked" in order:
                return asked(order["asked"])
            if "file" in order:
                made = [filed(number) for number in order["file"]]
                for one in made:
                    services.wake(one)
                return {"requests": [str(one.request.pk) for one in made]}
            if "clear" in order:
                by_hand.clear()
                return {}
            if "kept" in order:
                with transaction():
                    return {"all": Dossier.objects.count(), "objects": Dossier.objects.exclude(file="").count()}
            done = exported(order["export"]) if "export" in order else written(order["sql"])
        return {**done, "mib": most_memory("self")}

    answer(respond)


def _compared(data: dict[str, Any], section: str, within: dict[str, Any] | None = None) -> object:
    """Without what a request's end changes, the records that came after, and values that SQL cannot open."""
    rows = data[section]
    if section == "dsarRequests":
        changing = ("status", "outcome", "closedAt")
        return [{name: value for name, value in row.items() if name not in changing} for row in rows]
    if section == "auditLogs":
        last = max(row["seq"] for row in (within or data)[section])
        return [{**row, "changes": sorted(row["changes"] or ())} for row in rows if row["seq"] <= last]
    return rows


def most_memory(process: str) -> float:
    """The most a process ever had, in MiB."""
    return int(Path(f"/proc/{process}/status").read_text().partition("VmHWM:")[2].split()[0]) / 1024


if __name__ == "__main__":
    main(sys.argv[1])

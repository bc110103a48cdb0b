"""manage.py cron run|list|history|install"""

import json
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django_celery_beat.models import PeriodicTask

from cron import beat_rows, runner, states
from cron.jobs import JOBS, UnknownJob
from cron.models import JobRun, Trigger
from kaireon.lib import clock


class Command(BaseCommand):
    help = "Run a job, list the jobs, show their runs, or install their schedule."

    def add_arguments(self, parser: CommandParser) -> None:
        actions = parser.add_subparsers(dest="action", required=True)
        run = actions.add_parser("run", help="Run a job now, in this process, through every tenant.")
        run.add_argument("name", help="Name of the job; `cron list` shows them.")
        run.add_argument("--dry-run", action="store_true", help="Count what would be done, and do nothing.")
        listing = actions.add_parser("list", help="The jobs, when they run, and how the last run ended.")
        history = actions.add_parser("history", help="Runs, newest first.")
        history.add_argument("name", nargs="?", help="Of this job only.")
        history.add_argument("--limit", type=int, default=20, help="How many at most (20).")
        install = actions.add_parser("install", help="Bring beat's rows in line with cron/schedule.py; repeatable.")
        for action in (run, listing, history, install):
            action.add_argument("--json", action="store_true", help="Answer in JSON.")

    def handle(self, *args: Any, **options: Any) -> None:
        getattr(self, f"_{options['action']}")(options)

    def _run(self, options: dict[str, Any]) -> None:
        try:
            ran = runner.run_job(options["name"], trigger=Trigger.COMMAND, dry_run=options["dry_run"])
        except UnknownJob as e:
            raise CommandError(str(e)) from e
        self.stdout.write(json.dumps(ran.body, indent=None if options["json"] else 2))
        if not ran.ok:
            raise CommandError(str(ran.body["error"]))

    def _list(self, options: dict[str, Any]) -> None:
        rows = {row.name: row for row in PeriodicTask.objects.select_related("crontab", "interval", "solar", "clocked")}
        jobs = [_described(name, rows.get(name)) for name in sorted(JOBS)]
        if options["json"]:
            self.stdout.write(json.dumps(jobs))
            return
        for job in jobs:
            when = job["schedule"] if job["enabled"] else f"not scheduled ({job['reason']})"
            last = f"last {job['lastState']} {job['lastStartedAt']}" if job["lastState"] else "never ran"
            self.stdout.write(f"{job['name']:<28} {job['state']:<8} {when:<20} {last}\n    {job['help']}")

    def _history(self, options: dict[str, Any]) -> None:
        if options["name"] and options["name"] not in JOBS:
            raise CommandError(str(UnknownJob(options["name"])))
        if options["limit"] < 1:
            raise CommandError("--limit must be 1 or more.")
        runs = JobRun.objects.newest_first()
        if options["name"]:
            runs = runs.of(options["name"])
        found = [_run_described(run) for run in runs[: options["limit"]]]
        if options["json"]:
            self.stdout.write(json.dumps(found))
            return
        for run in found:
            line = f"{run['startedAt']}  {run['job']:<28} {run['trigger']:<8} {run['state']:<10} {run['seconds']:>8} s"
            self.stdout.write(f"{line}  {run['error']}".rstrip())

    def _install(self, options: dict[str, Any]) -> None:
        done = beat_rows.install()
        if options["json"]:
            self.stdout.write(json.dumps(dict(done)))
        else:
            self.stdout.write("Beat rows: " + (", ".join(f"{n} {what}" for what, n in sorted(done.items())) or "none"))


def _described(name: str, row: PeriodicTask | None) -> dict[str, Any]:
    job = JOBS[name]
    status = states.status_of(job, row, now=clock.now())
    last = status.last
    return {
        "name": name,
        "help": job.help,
        "perTenant": not job.is_global,
        "deadlineSeconds": job.deadline,
        "schedule": beat_rows.when(row) if row else job.schedule,
        "enabled": bool(row and row.enabled),
        "reason": job.unscheduled if not job.schedule else "" if row and row.enabled else _why(row),
        "state": status.state,
        "nextAt": clock.rfc3339(status.next) if status.next else None,
        "missed": job.missed,
        "graceSeconds": int(job.grace.total_seconds()),
        "lastState": last.state if last else None,
        "lastStartedAt": clock.rfc3339(last.started_at) if last else None,
    }


def _why(row: PeriodicTask | None) -> str:
    return "disabled" if row else "not installed: run `manage.py cron install`"


def _run_described(run: JobRun) -> dict[str, Any]:
    return {
        "id": str(run.pk),
        "job": run.job,
        "trigger": run.trigger,
        "actor": run.actor_name,
        "state": run.state,
        "startedAt": clock.rfc3339(run.started_at),
        "finishedAt": clock.rfc3339(run.finished_at) if run.finished_at else None,
        "seconds": round(run.running_for(clock.now()).total_seconds(), 1),
        "error": run.error,
        "tenants": run.outcomes,
    }

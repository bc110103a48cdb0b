"""manage.py cron run|list|history|install"""

import json
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from cron import beat_rows, overview, runner
from cron.jobs import JOBS, UnknownJob
from cron.models import JobRun, RunState, Trigger
from cron.overview import Line
from kaireon.lib import clock
from kaireon.tenancy.serving import NotServing


class Command(BaseCommand):
    # A job is as good at this door as at the others: what is configured wrong is told by `check`, and by its own job.
    requires_system_checks = ()
    help = "Run a job, list the jobs, show their runs, or install their schedule."

    def add_arguments(self, parser: CommandParser) -> None:
        actions = parser.add_subparsers(dest="action", required=True)
        run = actions.add_parser("run", help="Run a job now, in this process, through every tenant.")
        run.add_argument("name", help="Name of the job; `cron list` shows them.")
        run.add_argument("--dry-run", action="store_true", help="Count what would be done, and do nothing.")
        listing = actions.add_parser("list", help="The jobs, how they are doing, when they run, and who said so.")
        history = actions.add_parser("history", help="Runs, newest first.")
        history.add_argument("name", nargs="?", help="Of this job only.")
        history.add_argument("--limit", type=int, default=20, help="How many at most (20).")
        history.add_argument("--state", choices=RunState.values, help="Only those that ended so.")
        install = actions.add_parser("install", help="Bring beat's rows in line with the schedule; repeatable.")
        install.add_argument("--dry-run", action="store_true", help="Count what would change, and change nothing.")
        install.add_argument(
            "--reset", action="append", default=[], metavar="NAME", help="Give up what was edited in this row; repeat."
        )
        for action in (run, listing, history, install):
            action.add_argument("--json", action="store_true", help="Answer in JSON.")

    def handle(self, *args: Any, **options: Any) -> None:
        getattr(self, f"_{options['action']}")(options)

    def _run(self, options: dict[str, Any]) -> None:
        try:
            ran = runner.run_job(options["name"], trigger=Trigger.COMMAND, dry_run=options["dry_run"])
        except (UnknownJob, NotServing) as e:
            raise CommandError(str(e)) from e
        self.stdout.write(json.dumps(ran.body, indent=None if options["json"] else 2))
        if not ran.ok:
            raise CommandError(str(ran.body["error"]))

    def _list(self, options: dict[str, Any]) -> None:
        lines = overview.lines(now=clock.now())
        if options["json"]:
            self.stdout.write(json.dumps([_described(line) for line in lines]))
            return
        for line in lines:
            last = f"last {line.last.state} {clock.rfc3339(line.last.started_at)}" if line.last else "never ran"
            self.stdout.write(f"{line.name:<28} {line.state:<8} {line.when:<20} {line.origin:<12} {last}")
            self.stdout.write(f"    {line.job.help}")

    def _history(self, options: dict[str, Any]) -> None:
        if options["name"] and options["name"] not in JOBS:
            raise CommandError(str(UnknownJob(options["name"])))
        if options["limit"] < 1:
            raise CommandError("--limit must be 1 or more.")
        runs = JobRun.objects.newest_first()
        if options["name"]:
            runs = runs.of(options["name"])
        if options["state"]:
            runs = runs.filter(state=options["state"])
        found = [_run_described(run) for run in runs[: options["limit"]]]
        if options["json"]:
            self.stdout.write(json.dumps(found))
            return
        for run in found:
            slot = run["slot"] or ("dry run" if run["dryRun"] else "extra")
            line = f"{run['startedAt']}  {run['job']:<28} {run['trigger']:<8} {run['state']:<10} {run['seconds']:>8} s"
            self.stdout.write(f"{line}  {slot:<27}  {run['error']}".rstrip())

    def _install(self, options: dict[str, Any]) -> None:
        try:
            done = beat_rows.install(dry_run=options["dry_run"], reset=options["reset"])
        except beat_rows.NoSuchRow as e:
            raise CommandError(str(e)) from e
        if options["json"]:
            self.stdout.write(json.dumps(dict(done)))
            return
        would = "would be " if options["dry_run"] else ""
        said = ", ".join(
            f"{n} {'' if what in ('edited', 'unchanged') else would}{what}" for what, n in sorted(done.items())
        )
        self.stdout.write(f"Beat rows: {said or 'none'}")


def _described(line: Line) -> dict[str, Any]:
    job, last = line.job, line.last
    return {
        "name": line.name,
        "help": job.help,
        "perTenant": not job.is_global,
        "deadlineSeconds": job.deadline,
        "schedule": line.schedule,
        "scheduleFrom": line.origin,
        "enabled": line.enabled,
        "reason": line.reason,
        "state": line.state,
        "nextAt": clock.rfc3339(line.next) if line.next else None,
        "missed": job.missed,
        "graceSeconds": int(job.grace.total_seconds()),
        "lastState": last.state if last else None,
        "lastStartedAt": clock.rfc3339(last.started_at) if last else None,
    }


def _run_described(run: JobRun) -> dict[str, Any]:
    return {
        "id": str(run.pk),
        "job": run.job,
        "trigger": run.trigger,
        "actor": run.actor_name,
        "slot": clock.rfc3339(run.slot) if run.slot else None,
        "dryRun": run.dry_run,
        "state": run.state,
        "startedAt": clock.rfc3339(run.started_at),
        "finishedAt": clock.rfc3339(run.finished_at) if run.finished_at else None,
        "seconds": round(run.running_for(clock.now()).total_seconds(), 1),
        "error": run.error,
        "tenants": run.outcomes,
    }

"""What goes wrong with jobs, for whoever wants to hear. Received in cron/alarms.py: the platform's log and a line."""

from django.dispatch import Signal

job_failed = Signal()  # job: str, run: JobRun
job_late = Signal()  # job: str, slot: datetime, the moment at which it was due

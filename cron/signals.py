"""How jobs end and what goes wrong with them, for whoever wants to hear.

Received in cron/alarms.py (the platform's log and a line) and cron/detection.py.
"""

from django.dispatch import Signal

job_failed = Signal()  # job: str, run: JobRun
job_late = Signal()  # job: str, slot: datetime, the moment at which it was due
# However it ended, also when there is no row of it: job: str, ok: bool, body: its answer, error: Exception | None.
job_ended = Signal()

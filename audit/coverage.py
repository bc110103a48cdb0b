"""Which tables bring no record when they change, and why. Everything else is captured; a test says so."""

# By model label.
EXEMPT: dict[str, str] = {
    "audit.AuditRecord": "is the log",
    "audit.AuditInbox": "what waits to be in the log",
    "audit.Tile": "the log's own hashes",
    "audit.Checkpoint": "what the log committed to; its signature speaks for it",
    "audit.Publication": "that a checkpoint was published; changes nothing",
    "audit.VerificationRun": "how far a verification came; what it found is recorded itself",
    "audit.AuditHead": "where the log ends; moves with every record",
    "tenancy.RefreshToken": "turns over with every session; sign-in and refused access are recorded as events",
    "tenancy.IdempotencyKey": "answers kept for a day; what the request did is recorded itself",
    "jobs.Job": "a queue; what its jobs do is recorded itself",
    "outbox.Message": "a queue; what is published is part of an action that is recorded itself",
    "outbox.Payload": "sealed contents of the queue; their erasure and purge are recorded themselves",
    "outbox.DeadLetter": "a queue; its retries, archives and purges are recorded as events",
    "outbox.ArchiveKey": "a key of an archived payload; archive and erasure are recorded themselves",
    "flows.FlowCheckpoint": "how far a step is, moved with every batch; what steps change is recorded itself",
    "cron.JobRun": "is a record of what ran; what the jobs do is recorded itself",
    "compliance.HoldEpoch": "a counter that orders holds and deletions; the hold is recorded itself",
    "django_celery_beat.PeriodicTasks": "the mark that tells beat to read its rows again",
    "admin.LogEntry": "Django's own and unused: it keeps names without a tenant",
    "auth.Permission": "Django's own and unused: roles stand in code",
    "auth.Group": "Django's own and unused: roles stand in code",
    "contenttypes.ContentType": "Django's list of models, written by migrations",
    "sessions.Session": "unused: sessions live in Redis",
}

"""What a job costs that is a row under a lease, against plain Celery doing the same with no rows."""

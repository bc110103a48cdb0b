"""Work that outlives a process: leased rows in PostgreSQL are the queue of record, Celery carries the wake-up."""

"""What layers above may want to hear about. The audit log receives them all in audit/receivers.py."""

from django.dispatch import Signal

tenants_crossed = Signal()  # reason, actor, request_id
logged_in = Signal()  # user, tenant_id, request_id, method
login_failed = Signal()  # reason, user (or None), request_id, source: a pseudonym of the address, when user is known
job_dead = Signal()  # job, permanent; in the transaction that marks it failed for good
job_cancelled = Signal()  # job; in the transaction that ends it
job_retried = Signal()  # job; in the transaction that queues it again
dead_letter_handled = Signal()  # verb, letter_id, queue, topic; in the transaction of the change
access_refused = Signal()  # principal, reason, path, request_id
command_started = Signal()  # name, dry_run; in the scope of the tenant, outside any transaction
personal_viewed = Signal()  # model, ids, fields; in the transaction of the page that shows them in the clear

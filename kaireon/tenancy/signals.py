"""What layers above may want to hear about. The audit log receives them all in audit/receivers.py."""

from django.dispatch import Signal

tenants_crossed = Signal()  # reason, actor, request_id
logged_in = Signal()  # user, tenant_id, request_id, method
login_failed = Signal()  # reason, user (or None), request_id
access_refused = Signal()  # principal, reason, path, request_id

"""The order under django-auditlog: registered, its middleware in the way."""

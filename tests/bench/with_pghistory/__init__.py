"""The order under django-pghistory: tracked by its triggers, its middleware in the way."""

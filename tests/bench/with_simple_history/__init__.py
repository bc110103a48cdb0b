"""The order under django-simple-history: a HistoricalRecords field, its middleware in the way."""

"""The log on its way to a SIEM: receivers that keep to the vendors' documents, and what must be true all the same."""

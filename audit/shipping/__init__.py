"""The log on its way to a SIEM: Splunk, Datadog or Elasticsearch."""

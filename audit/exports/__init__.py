"""The log as files: for people, for auditors, as a background job."""

"""The one file where the audit log hears the layers below it."""

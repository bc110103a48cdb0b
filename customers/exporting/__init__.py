"""Interactions as files in storage, for the tenant's own warehouse. docs/exports.md says what they hold."""

"""The demo: real purchase histories (SOURCE.md) under invented identities."""

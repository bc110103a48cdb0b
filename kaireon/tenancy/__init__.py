"""Tenants, members, roles, API keys, and the two locks on every tenant's rows."""

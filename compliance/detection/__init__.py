"""What the audit log says of those who act in office, looked at again and again: new accounts, haste, odd hours."""

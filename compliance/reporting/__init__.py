"""Reports over compliance facts: what a period came to, as a page, a PDF and a table."""

"""What every endpoint shares: the error shape, strict input, paging and limits. Knows no tenants."""

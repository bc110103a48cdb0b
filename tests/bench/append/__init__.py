"""What an audited write costs, against the same write without audit and against other packages."""

"""How dates look: days before months, hours to 24. Times are shown in UTC."""

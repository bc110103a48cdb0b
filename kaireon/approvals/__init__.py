"""A second person's yes: what is asked for waits, sealed, until enough others agree, and the last yes applies it."""

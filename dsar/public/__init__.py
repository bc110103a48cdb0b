"""The page on which people without an account ask about their data, and follow what comes of it."""

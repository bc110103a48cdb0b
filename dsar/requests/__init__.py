"""Filing requests, following them, and who they are about."""

"""The order in a plain Django project: no tenant walls, no audit."""

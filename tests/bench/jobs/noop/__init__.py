"""The product's side: a type of job that does nothing."""

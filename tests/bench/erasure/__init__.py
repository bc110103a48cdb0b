"""What erasing a person costs, beside the plain statements that do the same to the same rows."""

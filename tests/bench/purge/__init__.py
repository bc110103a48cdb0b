"""What retention costs: deleting beside holds, dropping months, writing into months, others who write meanwhile."""

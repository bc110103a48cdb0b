"""What runs when: the table of jobs, their schedules, their runs, and the four doors to each."""

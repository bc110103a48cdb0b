"""Why a record is kept, and when it can go."""

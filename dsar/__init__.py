"""What a subject asks for: requests and their clocks, dossiers, erasure."""

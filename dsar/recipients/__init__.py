"""Who got the data, and has to hear of what became of it: Article 19 GDPR and its kin."""

"""How fast the whole log reaches a SIEM, beside a raw COPY of it posted as it comes."""

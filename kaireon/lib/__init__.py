"""Pure tools: no Django, no models, no settings. Whatever they need is passed in."""

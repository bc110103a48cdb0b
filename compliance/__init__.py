"""The rules: how long each class of data is kept, what is held, and the purge that obeys both."""

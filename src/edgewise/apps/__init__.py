"""Application packages: what they are, which entries are models, one app from start to end."""

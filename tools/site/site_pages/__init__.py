"""Pages of the documentation that are made of the code; each module gives some as `made()`."""

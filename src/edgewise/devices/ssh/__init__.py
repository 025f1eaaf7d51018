"""Linux boards over ssh: the same worker measures there, with the same fields."""

"""What a network is: shapes, cost, memory, weights; `summary` calls them all."""

"""What requests bring: arrivals, networks, and the draws of a simulation."""

"""The worker processes of this machine that run variants."""

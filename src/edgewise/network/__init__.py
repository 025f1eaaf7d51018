"""Network paths: named links, published pairs, bandwidth traces, and the times they take."""

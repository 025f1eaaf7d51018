"""Where app packages come from. `contract.py` says what a source is, `registry.py` lists them."""

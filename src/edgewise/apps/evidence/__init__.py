"""What an app's code uses. `contract.py`: what an extractor is; `verdict.py`: grades."""

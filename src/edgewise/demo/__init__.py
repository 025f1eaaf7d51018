"""The app, the family and the labels that come with the package, and the walk through them."""

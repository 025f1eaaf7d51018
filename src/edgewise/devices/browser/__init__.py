"""Any phone with a browser: a page that measures, served from here; results arrive live."""

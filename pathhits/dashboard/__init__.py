"""The dashboard: pages and a JSON API, as a Flask blueprint, or as a WSGI app for any other host."""

"""The JSON API: what it knows (`resources`), its shapes, and how it is served."""

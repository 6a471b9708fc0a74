"""The request side: never raises into the app."""

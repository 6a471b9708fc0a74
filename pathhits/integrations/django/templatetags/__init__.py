"""Django looks for template tags here."""

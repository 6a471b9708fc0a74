"""Framework-free middleware."""

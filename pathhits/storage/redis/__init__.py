"""Counts that wait in Redis."""

"""Counts that are stored in SQL."""

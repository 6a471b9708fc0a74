"""The only place that knows a dialect: engines, upserts, look-ups, expressions, and which errors are which."""

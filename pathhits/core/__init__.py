"""Pure rules: values in, values out; no Redis, no SQL, no queue, no web framework."""

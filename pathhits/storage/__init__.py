"""Where counts are kept: Redis while pending, SQL for good."""

"""What runs outside of requests: the schedule, the clock that follows it, the worker, and the jobs themselves."""

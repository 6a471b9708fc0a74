"""The names that RQ stores and the schedule that asks for them fit together."""

from __future__ import annotations

from rq.utils import import_attribute

from pathhits.jobs.schedule import SCHEDULE
from pathhits.notify.queueing import TASK
from pathhits.tasks import ALLOWED


def test_a_worker_may_run_whatever_the_schedule_asks_for() -> None:
    assert {job.task for job in SCHEDULE} <= set(ALLOWED)


def test_every_allowed_name_is_a_function() -> None:
    assert all(callable(import_attribute(name)) for name in ALLOWED)


def test_no_task_was_renamed() -> None:
    """Jobs that an older release queued name these; add to the list, take nothing off."""
    names = {"deliver", "items", "notify", "prune", "spikes", "sync"}
    assert {f"pathhits.tasks.{name}" for name in names} <= set(ALLOWED)


def test_what_tells_of_events_is_a_task() -> None:
    assert TASK in ALLOWED

"""The schedule: ids that RQ accepts and that differ wherever they must, and periods taken from the settings."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pathhits.jobs.schedule import SCHEDULE, ScheduledJob
from pathhits.settings import Settings

namespaces = st.from_regex(r"[A-Za-z0-9_.-]{1,64}", fullmatch=True)
ids = st.from_regex(r"[a-z_]{1,20}", fullmatch=True)


def line(id: str) -> ScheduledJob:
    return ScheduledJob(id=id, task="somewhere.task", period=lambda settings: 1.0, description="")


@given(namespaces, ids)
def test_an_id_is_one_that_rq_accepts(namespace: str, id: str) -> None:
    assert re.fullmatch(r"[A-Za-z0-9_-]+", line(id).job_id(namespace))


@given(namespaces, ids, namespaces, ids)
def test_ids_differ_when_namespace_or_job_do(one: str, first: str, other: str, second: str) -> None:
    if (one, first) != (other, second):
        assert line(first).job_id(one) != line(second).job_id(other)


def test_a_dot_is_not_confused_with_a_dash() -> None:
    assert line("sync").job_id("a.b") != line("sync").job_id("a-b")


def test_ids_in_the_table_are_unique() -> None:
    assert len({job.id for job in SCHEDULE}) == len(SCHEDULE)


def test_the_sync_comes_as_often_as_the_setting_says() -> None:
    [sync] = [job for job in SCHEDULE if job.id == "sync"]
    assert sync.period(Settings(sync_every=5.0)) == 5.0


@pytest.mark.parametrize("id", ["", "a:b", "a-b", "Sync", "ä"])
def test_an_id_that_rq_or_the_namespace_could_not_carry_is_refused(id: str) -> None:
    with pytest.raises(ValueError, match="lower-case letters"):
        line(id)

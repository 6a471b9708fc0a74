"""From an event to the queue: one RQ job for each recipient, tried four times, then in RQ's failed registry."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from hashlib import blake2b

import redis
from rq import Queue, Retry
from rq.exceptions import DuplicateJobError, NoSuchJobError
from rq.job import Job
from rq.serializers import JSONSerializer

from pathhits.core.backoff import RETRY_WAITS
from pathhits.core.listeners import matches
from pathhits.notify.channels import Channel, channels
from pathhits.notify.messages import News
from pathhits.settings import Settings
from pathhits.storage.redis.keys import MAILS_TTL, ClockKeys

#: The task that a job runs; see pathhits/tasks.py.
TASK = "pathhits.tasks.notify"
#: How the ids of these jobs begin.
PREFIX = "notify-"
#: Seconds an attempt may take at most, beside `Settings.notify_timeout` for each answer.
TIMEOUT = 120
#: Seconds for which it is remembered that an event was told, and does not have to be once more.
TOLD_TTL = 86_400
#: Seconds for which a notification that failed for good stands in the failed registry.
FAILED_TTL = 7 * 86_400
#: What the last e-mail of a day says.
LAST = "this is number {} of these today, more are not sent until midnight UTC (NOTIFY_MOST)"
#: The event of a job of the schedule that fails again and again.
JOB_FAILING = "site.job_failing"


@dataclass(frozen=True, slots=True)
class Failed:
    """A notification that failed for good: the id of its job, what it would have said, to whom, and the last error."""

    id: str
    subject: str
    channel: str
    error: str


def enqueue(settings: Settings, connection: redis.Redis, news: News) -> int:
    """Put a job for each recipient into the queue, unless there was one for this event within a day; how many.

    An e-mail beyond `Settings.notify_most` is not sent, and the last one before says so. Raises `redis.RedisError`;
    what was not put in by then is when it is called again.
    """
    queue = Queue(settings.namespace, connection=connection, serializer=JSONSerializer)
    return sum(_put(settings, queue, channel, news) for channel in channels(settings))


def _put(settings: Settings, queue: Queue, channel: Channel, news: News) -> bool:
    most = settings.notify_most if channel.kind != "webhook" else 0
    key = ClockKeys(settings.namespace).mails(f"{int(time.time() // 86_400)}:{channel.key}:{news.name}")
    sent = int(queue.connection.get(key) or 0) if most else 0
    if most and sent >= most:
        return False
    if most and sent == most - 1:
        news = replace(news, properties={**news.properties, "note": LAST.format(most)})
    if not _enqueue(queue, channel, news):
        return False
    if most:
        with queue.connection.pipeline(transaction=True) as pipe:
            pipe.incr(key)
            pipe.expire(key, MAILS_TTL)
            pipe.execute()
    return True


def _enqueue(queue: Queue, channel: Channel, news: News) -> bool:
    try:
        queue.enqueue_call(
            TASK,
            args=(channel.key, news.as_dict()),
            job_id=f"{PREFIX}{news.id}-{channel.key}",
            unique=True,
            timeout=TIMEOUT,
            result_ttl=TOLD_TTL,
            failure_ttl=FAILED_TTL,
            retry=Retry(max=len(RETRY_WAITS), interval=list(RETRY_WAITS)),
            description=f"tells of {news.name}",
        )
    except DuplicateJobError:
        return False
    return True


def send(settings: Settings, key: str, news: News) -> bool:
    """Tell the recipient with that key now; False when the settings name it no longer. Raises `NotificationFailed`."""
    for channel in channels(settings):
        if channel.key == key:
            channel.send(settings, news)
            return True
    return False


def tell_of_job(settings: Settings, connection: redis.Redis, job: str, failures: int, error: str, since: int) -> int:
    """Tell that a job failed so many times in a row, since a moment (ms), if that is wanted and enough of them.

    While it goes on it is told once a day. It goes to the queue at once and not through SQL, which may be what is away.
    """
    wanted = any(matches(pattern, JOB_FAILING) for pattern in settings.notify_events)
    if not settings.notifies or not wanted or not 0 < settings.notify_failures <= failures:
        return 0
    digest = blake2b(f"{settings.namespace}\n{job}\n{since}".encode(), digest_size=10, person=b"pathhits-job")
    moment = datetime.fromtimestamp(since / 1000, UTC)
    said = {"job": job, "failures": failures, "error": error, "since": moment.isoformat(timespec="seconds")}
    identity = f"{since:012x}{digest.hexdigest()}"
    return enqueue(settings, connection, News(identity, JOB_FAILING, "", "", said, moment))


def failed(settings: Settings, connection: redis.Redis) -> list[Failed]:
    """The notifications that failed for good; raises `redis.RedisError`."""
    shown = {channel.key: channel.shown for channel in channels(settings)}
    return [_failed(job, shown) for job in _jobs(settings, connection)]


def retry(settings: Settings, connection: redis.Redis) -> int:
    """Put those that failed for good into the queue again, all attempts ahead of them; how many. As `failed`."""
    count = 0
    for job in _jobs(settings, connection):
        requeue(job)
        count += 1
    return count


def requeue(job: Job) -> None:
    """Put a job that failed for good into the queue again, all the attempts ahead of it that it had when it was new.

    Raises `rq.exceptions.InvalidJobOperation` when it is failed no more, and `redis.RedisError`.
    """
    if job.retry_intervals:
        job.retries_left = len(job.retry_intervals)
    job.requeue()  # saves it


def _jobs(settings: Settings, connection: redis.Redis) -> Iterator[Job]:
    queue = Queue(settings.namespace, connection=connection, serializer=JSONSerializer)
    for id in queue.failed_job_registry.get_job_ids(cleanup=False):
        if id.startswith(PREFIX):
            try:
                yield Job.fetch(id, connection=connection, serializer=JSONSerializer)
            except NoSuchJobError:
                continue


def _failed(job: Job, shown: dict[str, str]) -> Failed:
    key, found = job.args
    result = job.latest_result()
    lines = (result.exc_string or "").strip().splitlines() if result is not None else []
    return Failed(job.id, News.parse(found).subject(), shown.get(key, key), lines[-1] if lines else "")

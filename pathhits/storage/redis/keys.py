"""Every key pathhits writes to Redis is named here, with its type and its time to live.

All keys of a namespace share one hash tag, ``{namespace}``, so that a script may touch any of them on one slot
of a Redis Cluster, and two apps on one Redis never meet. docs/redis-keys.md is the same table for users.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from pathhits.hits import Sketch

#: Seconds a client's last sequence is kept: longer than any batch of unknown outcome waits for its resend.
CLIENT_TTL = 7 * 86_400
#: Seconds the visitors of a path and day are kept after the last of them.
SKETCH_TTL = 72 * 3_600
#: Seconds for which an event with a key is not taken again.
ONCE_TTL = 86_400
#: Seconds a visitor's visits are kept after `Settings.visit_timeout`, for hits that come late.
VISIT_KEPT = 3_600
#: Seconds for which a visitor is active after a hit.
ACTIVE = 300
#: Seconds after which the lock of a dead sync opens by itself.
SYNC_LOCK_TTL = 30
#: Milliseconds that the trial write of the doctor is kept.
PROBE_TTL = 1_000
#: Seconds after which what a version tells of is no longer taken to be changing: longer than the transaction that does.
CHANGING_TTL = 60
#: Seconds for which one caller may make a cached value; of one who takes longer it is not stored.
CACHE_LEASE = 20
#: Seconds a group of cached values is kept after the last of them.
CACHE_GROUP_KEPT = 60
#: Bytes of the longest name in a key; a longer one is hashed.
CACHE_NAME_BYTES = 200
#: Seconds the newest snapshot is kept beside the one in SQL.
SNAPSHOT_TTL = 86_400
#: Seconds a login to the dashboard holds.
SESSION_TTL = 7 * 86_400
#: Seconds in which tries to log in are counted together.
LOGIN_WINDOW = 600
#: Seconds after which the lock of a dead clock opens by itself.
CLOCK_LOCK_TTL = 3.0
#: Seconds for which the last pass of a clock is remembered.
CLOCK_SEEN_TTL = 3_600
#: Seconds for which it is remembered how the last runs of a job went: longer than RQ remembers anything.
RUN_TTL = 90 * 86_400
#: Seconds for which it is counted how many e-mails of a UTC day there were.
MAILS_TTL = 48 * 3_600


@dataclass(frozen=True, slots=True)
class Keys:
    """The keys of one namespace; each method says type, content and time to live."""

    namespace: str

    def open(self) -> str:
        """Hash, no TTL: ``id`` and ``run_id`` of the generation that is added to, and its number of ``events``."""
        return f"{{{self.namespace}}}:open"

    def sealed(self) -> str:
        """Sorted set, no TTL: ids of the generations that wait for SQL, by the second they were sealed."""
        return f"{{{self.namespace}}}:sealed"

    def generation(self, identity: str) -> str:
        """Hash, no TTL (deleted once SQL has it): ``hour:counter:subject`` to the number to add."""
        return f"{{{self.namespace}}}:gen:{identity}"

    def generation_hours(self, identity: str) -> str:
        """Set, no TTL (deleted with its generation): the hours it holds, so one counter is read without a scan."""
        return f"{{{self.namespace}}}:gen:{identity}:hours"

    def generation_traits(self, identity: str) -> str:
        """Hash, no TTL (deleted with its generation): ``hour:kind:label`` and values to the hits that have them."""
        return f"{{{self.namespace}}}:gen:{identity}:traits"

    def generation_events(self, identity: str) -> str:
        """List, no TTL (deleted with its generation): JSON arrays of events, one of each batch that had some."""
        return f"{{{self.namespace}}}:gen:{identity}:events"

    def client(self, identity: str) -> str:
        """String, `CLIENT_TTL`: sequence of the last batch applied from one process."""
        return f"{{{self.namespace}}}:client:{identity}"

    def sketch(self, sketch: Sketch) -> str:
        """Set of 64-bit hashes, past 512 members a HyperLogLog; `SKETCH_TTL`: visitors of one label and UTC day."""
        day, label = sketch
        return f"{{{self.namespace}}}:visitors:{day}:{label}"

    def rule(self, name: str = "") -> str:
        """String or hash, the rule's own time and a minute: what a rule remembers of a viewer. ``name`` is one of:

        ``cooldown:<viewer>:<item>``, string: second of the last view. ``session:<viewer>:<item>``, hash: ``start``
        and ``views``. ``daily:<viewer>:<day>``, string: views of the day. ``viewed:<viewer>:<item>:<day>`` and
        ``granted:<view>``, string: that it was. ``once:<hash>``, string, `ONCE_TTL`: that an event with this key was.
        """
        return f"{{{self.namespace}}}:rule:{name}"

    def visit(self, viewer: str = "") -> str:
        """String, `Settings.visit_timeout` + `VISIT_KEPT`: the last visits of one visitor, as visits.lua has them."""
        return f"{{{self.namespace}}}:visit:{viewer}"

    def active(self) -> str:
        """Sorted set, `ACTIVE`: keyed ids of the visitors of the last minutes by the second of their last hit."""
        return f"{{{self.namespace}}}:active"

    def salt(self, period: str) -> str:
        """String, until 48 h after the period: random key of the visitor hashes of one salt period."""
        return f"{{{self.namespace}}}:salt:{period}"

    def hot_version(self) -> str:
        """String, no TTL (`CHANGING_TTL` while it is empty): version of the hot items that processes remember."""
        return f"{{{self.namespace}}}:hot"

    def recommended_version(self) -> str:
        """String, no TTL: version of the lists of recommendations."""
        return f"{{{self.namespace}}}:recommended"

    def cached(self, name: str) -> str:
        """String, the TTL that the app gave: a cached value as JSON, after a line with the tokens of its groups."""
        return f"{{{self.namespace}}}:cache:value:{_shortened(name)}"

    def cache_lease(self, name: str) -> str:
        """String, `CACHE_LEASE`: token of the one who makes the value, and those of its groups."""
        return f"{{{self.namespace}}}:cache:lease:{_shortened(name)}"

    def cache_group(self, group: str) -> str:
        """String, `CACHE_GROUP_KEPT` longer than its values: a token that all valid values of the group know."""
        return f"{{{self.namespace}}}:cache:group:{_shortened(group)}"

    def snapshot(self) -> str:
        """String, `SNAPSHOT_TTL`: the newest snapshot of the dashboard as JSON; SQL has it too."""
        return f"{{{self.namespace}}}:snapshot"

    def sync_lock(self) -> str:
        """String, `SYNC_LOCK_TTL`: token of the sync that runs; saves double work, guards nothing."""
        return f"{{{self.namespace}}}:lock:sync"

    def dashboard_secret(self) -> str:
        """String, no TTL: random key that signs the sessions of the dashboard, where `Settings.secret` is empty."""
        return f"{{{self.namespace}}}:dashboard:secret"

    def dashboard_login(self, who: str) -> str:
        """String, `LOGIN_WINDOW`: tries to log in by one client; ``who`` is a keyed hash of its address."""
        return f"{{{self.namespace}}}:dashboard:login:{who}"

    def dashboard_ended(self, session: str) -> str:
        """String, `SESSION_TTL`: that somebody logged out of this session, whose cookie may still be somewhere."""
        return f"{{{self.namespace}}}:dashboard:ended:{session}"

    def probe(self) -> str:
        """String, `PROBE_TTL`: written by the doctor to see whether the server takes writes."""
        return f"{{{self.namespace}}}:probe"


def _shortened(name: str) -> str:
    raw = name.encode("utf-8", "surrogatepass")
    return name if len(raw) <= CACHE_NAME_BYTES else f"sha256:{hashlib.sha256(raw).hexdigest()}"


@dataclass(frozen=True, slots=True)
class ClockKeys:
    """The keys of the clocks of one namespace, in the Redis of the queue; RQ names its own."""

    namespace: str

    def schedule(self) -> str:
        """Sorted set, no TTL: job ids by the second (Unix time) of their next run."""
        return f"{{{self.namespace}}}:clock:schedule"

    def lock(self) -> str:
        """String, `CLOCK_LOCK_TTL`: token of the clock that is at work."""
        return f"{{{self.namespace}}}:clock:lock"

    def seen(self) -> str:
        """String, `CLOCK_SEEN_TTL`: pid of the clock that made the last pass; what is left of the TTL tells when."""
        return f"{{{self.namespace}}}:clock:seen"

    def run(self, job: str) -> str:
        """Hash, `RUN_TTL`: how the last runs of a job of the schedule went; moments are milliseconds since 1970.

        ``running`` is when the run that goes on began; ``began`` and ``took`` (ms) are of the last that ended,
        ``error`` and ``failed_at`` of the last that failed; ``failures`` in a row there were, ``failing_since`` when.
        """
        return f"{{{self.namespace}}}:clock:run:{job}"

    def mails(self, whose: str) -> str:
        """String, `MAILS_TTL`: e-mails to one recipient (a hash) on one UTC day about events of one name."""
        return f"{{{self.namespace}}}:notify:{whose}"

"""SQL takes each generation once and whole, or not at all; what it refuses stands aside; migrations go up and down."""

from __future__ import annotations

import random
import threading
from collections import Counter
from collections.abc import Callable, Iterator

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection, Engine, inspect, select, text
from sqlalchemy.exc import OperationalError

from pathhits.core import labels
from pathhits.errors import NotMigrated, StoreUnavailable
from pathhits.hits import DROPS, HITS, REQUESTS, SITE, Sketch
from pathhits.jobs.sync import sort_out
from pathhits.jobs.verify import verify
from pathhits.storage.sql import ledger as ledger_module
from pathhits.storage.sql import migrate, tables, writing
from pathhits.storage.sql.contents import Applied, Contents
from pathhits.storage.sql.dialects.engines import CHECKPOINT_PAGES, WRITER_CACHE, make_engine, take_your_time
from pathhits.storage.sql.ledger import Ledger
from pathhits.storage.sql.reads import Reads, Window
from pathhits.storage.sql.tables import PATHS
from pathhits.storage.sql.transactions import TRIES, write
from tests.servers.mariadb import MariaDBServer
from tests.servers.postgres import PostgresServer
from tests.servers.processes import wait_until
from tests.servers.proxy import Fault, FaultProxy
from tests.servers.sql import SqlServer

HOUR = 500_003  # 11:00 UTC of its day, so that the next hours may be of the same day
DAY = HOUR // 24
MAX = 2**63 - 1


@pytest.fixture
def empty_engine(database_url: str) -> Iterator[Engine]:
    engine = make_engine(database_url)
    yield engine
    engine.dispose()


@pytest.fixture
def engine(empty_engine: Engine) -> Engine:
    migrate.upgrade(empty_engine)
    return empty_engine


def contents(generation: str, hits: dict[str, int], *, bots: int = 0, hour: int = HOUR) -> Contents:
    """What a generation of hits and bots holds."""
    fields = {f"{hour}:{HITS}:{label}".encode(): str(n).encode() for label, n in hits.items()}
    fields[f"{hour}:{REQUESTS}:".encode()] = str(sum(hits.values()) + bots).encode()
    if bots:
        fields[f"{hour}:{DROPS}:bot".encode()] = str(bots).encode()
    return sort_out(generation, fields)


def stored(engine: Engine) -> dict[str, int]:
    c = tables.path_counters.c
    with engine.connect() as connection:
        return {row[0]: row[1] for row in connection.execute(select(c.path, c.hit_count))}


def letters(engine: Engine) -> list[tuple[str, str, str]]:
    c = tables.dead_letters.c
    with engine.connect() as connection:
        return [tuple(row) for row in connection.execute(select(c.field, c.amount, c.error).order_by(c.field))]


def no_sleep(seconds: float) -> None:
    pass


def apply(engine: Engine, what: Contents, visitors: dict[Sketch, int] | None = None) -> Applied:
    return Ledger(engine, no_sleep).apply(what, visitors or {})


# Once.


def test_sqlite_keeps_what_was_committed_and_readers_wait_for_nobody(sqlite_url: str) -> None:
    engine = make_engine(sqlite_url)
    for _ in range(2):  # a second connection as well
        with engine.connect() as connection:
            asked = ("journal_mode", "synchronous", "wal_autocheckpoint")
            found = [connection.exec_driver_sql(f"PRAGMA {one}").scalar() for one in asked]
            assert found == ["wal", 2, CHECKPOINT_PAGES]
            connection.invalidate()


def test_sqlite_keeps_the_pages_of_a_sync_in_memory_and_not_those_of_readers(sqlite_url: str) -> None:
    def asked(connection: Connection) -> int:
        return int(connection.exec_driver_sql("PRAGMA cache_size").scalar() or 0)

    engine = make_engine(sqlite_url)
    with engine.connect() as connection:
        assert asked(connection) == -2_000
    assert write(engine, asked) == -WRITER_CACHE
    engine.dispose()


def test_a_generation_counts_once_however_often_it_comes(engine: Engine) -> None:
    one = contents("g", {"/a": 2, "/b": 3}, bots=1)
    assert apply(engine, one) == Applied(True, paths=2, hits=5)
    assert apply(engine, one) == Applied(False)
    assert stored(engine) == {"/a": 2, "/b": 3}
    report = verify(Reads(engine))
    assert report.ok, report


def test_generations_that_come_at_once_to_many_writers_count_once_each(engine: Engine) -> None:
    generations = [contents(f"g{n}", {f"/{label}": n + 1 for label in range(40)}) for n in range(6)]
    barrier = threading.Barrier(4)
    taken: list[str] = []
    failed: list[BaseException] = []

    def work() -> None:
        barrier.wait()
        for one in generations:
            try:
                if Ledger(engine).apply(one, {}).new:
                    taken.append(one.generation)
            except BaseException as error:
                failed.append(error)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed
    assert sorted(taken) == [one.generation for one in generations]
    assert stored(engine) == {f"/{label}": 21 for label in range(40)}
    assert verify(Reads(engine)).ok


def test_a_transaction_that_dies_half_way_leaves_nothing_and_may_be_repeated(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = contents("g", {"/a": 2}, bots=1)

    def die(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(writing.Writer, "_write_ledger", die)
        with pytest.raises(KeyboardInterrupt):
            apply(engine, one)
    assert stored(engine) == {}
    assert apply(engine, one).new
    assert stored(engine) == {"/a": 2}


def test_labels_that_collations_merge_are_counted_apart(engine: Engine) -> None:
    labels = [
        "/A",
        "/a",
        "/café",
        "/cafe",
        "/cafe\u0301",
        "/t",
        "/t ",
        "/t%20",
        "/😀",
        "/😁",
        "/ß",
        "/ss",
        "/ı",
        "/i",
        "/I",
        "/",
    ]
    labels += ["/%00", "%FF", "x" * 255]
    apply(engine, contents("g", {label: n for n, label in enumerate(labels, 1)}))
    apply(engine, contents("h", dict.fromkeys(labels, 100)))
    assert stored(engine) == {label: 100 + n for n, label in enumerate(labels, 1)}
    assert Reads(engine).counts(PATHS, labels).amounts == stored(engine)


@pytest.mark.parametrize("others", [0, 3_000], ids=["few rows", "many rows"])
def test_labels_that_need_quoting_arrive_as_they_are(engine: Engine, others: int) -> None:
    labels = ["NULL", "\\N", "\\", "a\\tb", '"', "'", "{", "}", ",", ";", "%s", "%(x)s", ":x", "?", "\\x41", "\\."]
    hits = {label: n for n, label in enumerate(labels, 1)} | {f"/{n}": 1 for n in range(others)}
    for generation in ("g", "h"):
        apply(engine, contents(generation, hits))
    assert stored(engine) == {label: 2 * n for label, n in hits.items()}
    assert verify(Reads(engine)).ok


@pytest.mark.parametrize("fault", [Fault.LOSE_REPLY, Fault.HALF_REQUEST], ids=["reply lost", "half a request"])
@pytest.mark.parametrize("step", [b"INSERT INTO path_counters", b"COPY", b"pathhits_path_hours", b"COMMIT"])
def test_many_rows_land_once_although_the_connection_is_cut_on_the_way(
    postgresql_url: str, fault: Fault, step: bytes
) -> None:
    with FaultProxy.to(postgresql_url) as proxy:
        engine = make_engine(proxy.url_for(postgresql_url))
        migrate.upgrade(engine)
        hits = {f"/{n}": 1 for n in range(3_000)}
        proxy.arm(fault, 1, lambda request: step in request)
        assert apply(engine, contents("g", hits)) == Applied(True, paths=3_000, hits=3_000)
        assert proxy.counts[fault] == 1
        assert stored(engine) == hits
        assert verify(Reads(engine)).ok
        engine.dispose()


def test_visitors_only_grow(engine: Engine) -> None:
    for generation, number in (("g", 7), ("h", 5), ("i", 9)):
        seen = {Sketch(DAY, "/a"): number, Sketch(DAY, SITE): number + 1}
        apply(engine, contents(generation, {"/a": 1}), seen)
        now = Reads(engine).visitors(PATHS, ["/a"], Window()), Reads(engine).site_visitors(Window())
        assert now == ({"/a": {DAY: max(number, 7)}}, {DAY: max(number, 7) + 1})


def test_twenty_thousand_labels_are_taken_in_one_transaction(engine: Engine) -> None:
    one = contents("g", {f"/{n}": 1 for n in range(20_000)})
    assert apply(engine, one) == Applied(True, paths=20_000, hits=20_000)
    assert verify(Reads(engine)).ok


@pytest.mark.parametrize("paths", [40, 2_500], ids=["few rows", "many rows"])
def test_hours_days_and_visitors_of_every_path_are_those_of_a_plain_sum(engine: Engine, paths: int) -> None:
    dice = random.Random(paths)
    hours, days, visitors = Counter[tuple[str, int]](), Counter[tuple[str, int]](), dict[tuple[str, int], int]()
    for generation in ("g", "h"):
        fields: dict[bytes, bytes] = {}
        seen: dict[Sketch, int] = {}
        for label in (f"/{n}" for n in range(paths)):
            for hour in dice.sample(range(HOUR - 30, HOUR + 30), dice.choice((1, 1, 2, 5))):
                amount, number = dice.randrange(1, 9), dice.randrange(1, 9)
                fields[f"{hour}:{HITS}:{label}".encode()] = str(amount).encode()
                hours[label, hour] += amount
                days[label, hour // 24] += amount
                seen[Sketch(hour // 24, label)] = number
        for (day, label), number in seen.items():
            visitors[label, day] = max(visitors.get((label, day), 0), number)
        assert apply(engine, sort_out(generation, fields), seen).new
    with engine.connect() as connection:
        name, identity = tables.path_counters.c.path, tables.path_counters.c.id
        h, d = tables.path_hours.c, tables.path_days.c
        by_hour = connection.execute(
            select(name, h.hour, h.hits).join_from(tables.path_hours, tables.path_counters, h.path_id == identity)
        )
        assert {(row[0], row[1]): row[2] for row in by_hour} == hours
        by_day = connection.execute(
            select(name, d.day, d.hits, d.visitors).join_from(
                tables.path_days, tables.path_counters, d.path_id == identity
            )
        )
        rows = by_day.all()
        assert {(row[0], row[1]): row[2] for row in rows} == days
        assert {(row[0], row[1]): row[3] for row in rows} == visitors
    totals = Counter[str]()
    for (label, _), amount in hours.items():
        totals[label] += amount
    assert stored(engine) == totals


# What is set aside.


def test_fields_that_make_no_sense_are_set_aside_with_their_error_and_the_rest_lands(engine: Engine) -> None:
    fields = {
        b"500003:hits:/good": b"2",
        b"500003:requests:": b"2",
        b"nonsense": b"1",
        b"500003:hits:/bad amount": b"many",
        b"500003:hits:/negative": b"-1",
        b"500003:hits:/huge": str(2**63).encode(),
        b"500003:hits:\xff\xfe": b"1",
        b"500003:hits:/nul\x00": b"1",
        b"500003:unknown:x": b"1",
        b"-1:hits:/x": b"1",
        b"500003:requests:x": b"1",
    }
    assert apply(engine, sort_out("g", fields)) == Applied(True, paths=1, hits=2, errors=9)
    assert stored(engine) == {"/good": 2}
    found = letters(engine)
    assert len(found) == 9
    assert all(error for _, _, error in found)
    assert ("500003:hits:/bad amount", "many") in [row[:2] for row in found]
    assert verify(Reads(engine)).ok


POISON = {
    "sqlite": [
        "CREATE TRIGGER poison BEFORE INSERT ON path_counters WHEN NEW.path LIKE '/poison__' "
        "BEGIN SELECT RAISE(ABORT, 'no poison here'); END"
    ],
    "postgresql": ["ALTER TABLE path_counters ADD CONSTRAINT poison CHECK (path NOT LIKE '/poison__')"],
    "mysql": ["ALTER TABLE path_counters ADD CONSTRAINT poison CHECK (path NOT LIKE '/poison__')"],
    "mariadb": ["ALTER TABLE path_counters ADD CONSTRAINT poison CHECK (path NOT LIKE '/poison__')"],
}
TRIGGER = {
    **POISON,
    "postgresql": [
        "CREATE FUNCTION poison() RETURNS trigger AS $$ BEGIN IF NEW.path LIKE '/poison__' THEN "
        "RAISE EXCEPTION 'no poison here'; END IF; RETURN NEW; END $$ LANGUAGE plpgsql",
        "CREATE TRIGGER poison BEFORE INSERT ON path_counters FOR EACH ROW EXECUTE FUNCTION poison()",
    ],
    "mariadb": [
        "CREATE TRIGGER poison BEFORE INSERT ON path_counters FOR EACH ROW IF NEW.path LIKE '/poison__' THEN "
        "SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'no poison here'; END IF"
    ],
}


@pytest.mark.parametrize("means", [POISON, TRIGGER], ids=["check", "trigger"])
def test_rows_that_sql_refuses_are_set_aside_with_its_error_and_the_rest_lands(
    engine: Engine, means: dict[str, list[str]]
) -> None:
    with engine.begin() as connection:
        for statement in means[engine.dialect.name]:
            connection.exec_driver_sql(statement)
    hits = {f"/{n}": 1 for n in range(50)} | {"/poison 1": 3, "/poison 2": 4}
    assert apply(engine, contents("g", hits, bots=2)) == Applied(True, paths=50, hits=50, errors=2)
    assert stored(engine) == {f"/{n}": 1 for n in range(50)}
    found = letters(engine)
    assert [row[:2] for row in found] == [(f"{HOUR}:hits:/poison 1", "3"), (f"{HOUR}:hits:/poison 2", "4")]
    assert all("poison" in error for _, _, error in found)
    reads = Reads(engine)
    report = verify(reads)
    assert report.ok, report
    assert report.dead_letters == 2
    assert reads.by_reason(DROPS, Window()).amounts == {"bot": 2, "rejected": 7}


def test_among_many_rows_one_that_does_not_fit_is_set_aside_and_the_rest_lands(engine: Engine) -> None:
    if engine.dialect.name == "sqlite":
        pytest.skip("SQLite keeps any number in an INTEGER")
    what = contents("g", {f"/{n}": 1 for n in range(1_500)})
    what.paths["/far"] = {10**12: 1}
    what.site[HITS, 10**12] = 1
    assert apply(engine, what) == Applied(True, paths=1_500, hits=1_500, errors=2)
    assert stored(engine) == {f"/{n}": 1 for n in range(1_500)}
    assert {field for field, _, _ in letters(engine)} >= {f"{10**12}:hits:/far"}


def test_counters_are_clamped_at_their_maximum_and_named(engine: Engine, caplog: pytest.LogCaptureFixture) -> None:
    apply(engine, contents("g", {"/full": MAX - 1, "/other": 1}))
    apply(engine, contents("h", {"/full": 5}, hour=HOUR + 1))
    apply(engine, contents("i", {"/full": 5}))
    assert stored(engine) == {"/full": MAX, "/other": 1}
    hours = Reads(engine).hours(PATHS, "/full", Window()).amounts
    assert hours == {HOUR: MAX, HOUR + 1: 5}
    assert "near its maximum" in caplog.text
    assert Reads(engine).totals()["near_max"] == 1
    assert not verify(Reads(engine)).ok


@pytest.mark.parametrize(
    "fields",
    [
        {f"{HOUR}:hits:/a": MAX, f"{HOUR + 1}:hits:/a": MAX},
        {f"{HOUR}:hits:/a": MAX, f"{HOUR}:hits:/b": MAX},
        {f"{HOUR}:requests:": MAX, f"{HOUR + 1}:requests:": MAX},
    ],
    ids=["hours of a path", "paths of an hour", "requests"],
)
def test_amounts_whose_sum_no_column_holds_are_clamped_too(engine: Engine, fields: dict[str, int]) -> None:
    raw = {field.encode(): str(amount).encode() for field, amount in fields.items()}
    assert apply(engine, sort_out("g", raw)).new
    assert letters(engine) == []
    assert set(stored(engine).values()) <= {MAX}


def test_an_hour_no_column_holds_is_set_aside_and_the_rest_lands(engine: Engine) -> None:
    fields = {f"{HOUR}:hits:/good".encode(): b"2", b"2147483648:hits:/bad": b"1", b"9" * 30 + b":hits:/bad": b"1"}
    assert apply(engine, sort_out("g", fields)) == Applied(True, paths=1, hits=2, errors=2)


# When SQL cannot.


UNWRITABLE_LEDGER = {
    "sqlite": "CREATE TRIGGER no BEFORE INSERT ON pathhits_ledger BEGIN SELECT RAISE(ABORT, 'not now'); END",
    "postgresql": "ALTER TABLE pathhits_ledger ADD COLUMN later INTEGER NOT NULL",
    "mariadb": "ALTER TABLE pathhits_ledger ADD COLUMN later INTEGER UNIQUE NOT NULL CHECK (later > 1)",
}


def test_a_ledger_that_refuses_a_row_is_not_taken_for_one_that_has_it(engine: Engine) -> None:
    with engine.begin() as connection:
        connection.exec_driver_sql(UNWRITABLE_LEDGER[engine.dialect.name])
    with pytest.raises(StoreUnavailable, match="they stay in Redis"):
        apply(engine, contents("g", {"/a": 1}))


def test_a_table_that_is_not_as_it_should_be_makes_no_dead_letters_of_good_rows(engine: Engine) -> None:
    with engine.begin() as connection:
        connection.exec_driver_sql("ALTER TABLE pathhits_path_hours RENAME COLUMN hits TO elsewhere")
    with pytest.raises(StoreUnavailable, match="they stay in Redis"):
        apply(engine, contents("g", {"/a": 1, "/b": 1}))
    assert letters(engine) == []
    assert stored(engine) == {}


def test_a_deadlock_is_tried_eight_times_and_then_said(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[int] = []

    class Deadlock(Exception):
        sqlstate = "40P01"

    def refuse(*_: object) -> None:
        tried.append(1)
        raise OperationalError("INSERT", {}, Deadlock("deadlock detected"))

    one = contents("g", {"/a": 1})
    with monkeypatch.context() as patched:
        patched.setattr(writing.Writer, "_write_paths", refuse)
        with pytest.raises(StoreUnavailable, match="deadlock detected"):
            apply(engine, one)
    assert len(tried) == TRIES == 8
    assert stored(engine) == {}
    assert apply(engine, one).new


def test_two_transactions_that_deadlock_both_land_in_the_end(engine: Engine) -> None:
    """Another transaction locks the rows in the other order, as a careless host may."""
    apply(engine, contents("g", {f"/{n}": 1 for n in range(200)}))
    stop, turns = threading.Event(), threading.Semaphore(0)

    def careless() -> None:
        c = tables.path_counters.c
        while not stop.is_set():
            if not turns.acquire(timeout=0.1):
                continue
            try:
                with engine.begin() as connection:
                    for label in ("/199", "/7", "/100", "/42", "/0", "/3"):
                        connection.execute(tables.path_counters.update().where(c.path == label).values(path=label))
            except OperationalError:
                continue

    other = threading.Thread(target=careless)
    other.start()
    try:
        for n in range(15):
            while turns.acquire(blocking=False):
                pass
            turns.release(TRIES - 2)  # so often it may be the victim, and one more may be under way
            assert Ledger(engine).apply(contents(f"h{n}", {f"/{label}": 1 for label in range(200)}), {}).new
    finally:
        stop.set()
        other.join()
    assert set(stored(engine).values()) == {16}


def test_a_database_without_our_tables_says_how_to_make_them(empty_engine: Engine) -> None:
    with pytest.raises(NotMigrated, match="pathhits db upgrade"):
        apply(empty_engine, contents("g", {"/": 1}))
    with pytest.raises(NotMigrated, match="pathhits db upgrade"):
        Reads(empty_engine).counts(PATHS, ["/"])


def test_a_server_that_is_gone_is_unavailable_and_takes_everything_when_it_is_back(
    own_server: Callable[[Callable[[], PostgresServer]], PostgresServer],
) -> None:
    server = own_server(lambda: PostgresServer(fsync=False))
    engine = make_engine(server.fresh_database())
    migrate.upgrade(engine)
    server.kill()
    with pytest.raises(StoreUnavailable, match="they stay in Redis"):
        apply(engine, contents("g", {"/": 1}))
    with pytest.raises(StoreUnavailable):
        Reads(engine).counts(PATHS, ["/"])
    server.start()
    assert apply(engine, contents("g", {"/": 1})).new
    engine.dispose()


@pytest.mark.parametrize("kind", [PostgresServer, MariaDBServer])
def test_a_server_that_hangs_holds_nobody_for_ever_and_takes_everything_when_it_goes_on(
    kind: type[SqlServer], own_server: Callable[[Callable[[], SqlServer]], SqlServer], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ledger_module, "TRIES", 2)  # each waits for a connection
    server = own_server(lambda: kind(fsync=False))
    url = server.fresh_database()
    engine, patient = make_engine(url, timeout=1.0), make_engine(url)
    migrate.upgrade(patient)
    one, other = engine.connect(), engine.connect()
    one.exec_driver_sql("SELECT 1")
    other.close()
    server.pause()
    try:
        with pytest.raises(OperationalError):
            one.exec_driver_sql("SELECT 1")
        with pytest.raises(StoreUnavailable):
            Reads(engine).counts(PATHS, ["/"])
        with pytest.raises(StoreUnavailable, match="they stay in Redis"):
            apply(engine, contents("g", {"/": 1}))
    finally:
        server.resume()
    wait_until(lambda: works(lambda: apply(engine, contents("g", {"/": 1}))), message="it takes everything")
    assert stored(patient) == {"/": 1}
    assert verify(Reads(patient)).ok
    one.close()
    for made in (engine, patient):
        made.dispose()


def works(call: Callable[[], object]) -> bool:
    """Whether the server answers in time; a busy machine may need another try."""
    try:
        call()
    except StoreUnavailable:
        return False
    return True


def test_a_statement_that_lasts_is_given_up_and_in_a_migration_it_is_not(request: pytest.FixtureRequest) -> None:
    for name, sleep in (("postgresql_url", "pg_sleep(2)"), ("mariadb_url", "SLEEP(2)")):
        engine = make_engine(request.getfixturevalue(name), timeout=1.0)
        with engine.connect() as connection, pytest.raises(OperationalError):
            connection.exec_driver_sql(f"SELECT {sleep}")
        with engine.connect() as connection:
            take_your_time(connection)
            assert connection.exec_driver_sql(f"SELECT {sleep}").all()
        with engine.connect() as connection, pytest.raises(OperationalError):
            connection.exec_driver_sql(f"SELECT {sleep}")
        engine.dispose()


def test_an_answer_in_many_parts_is_not_given_up(postgresql_url: str) -> None:
    engine = make_engine(postgresql_url, timeout=1.0)
    slowly = "SELECT repeat('x', 100000), pg_sleep(0.1) FROM generate_series(1, 14)"
    with engine.connect() as connection:
        assert len(connection.exec_driver_sql(slowly).all()) == 14
    engine.dispose()


def test_a_wrong_password_is_named_without_the_password(mariadb_url: str) -> None:
    engine = make_engine(mariadb_url.replace("root@", "nobody:hidden@"))
    with pytest.raises(StoreUnavailable) as raised:
        apply(engine, contents("g", {"/": 1}))
    assert "hidden" not in str(raised.value)
    assert "\n" not in str(raised.value)


# Migrations.


def test_migrations_go_up_down_and_up_again(empty_engine: Engine) -> None:
    for _ in range(2):
        migrate.upgrade(empty_engine)
        migrate.upgrade(empty_engine)
        assert migrate.current(empty_engine) == migrate.head(empty_engine)
        assert migrate.missing_tables(empty_engine) == []
        assert apply(empty_engine, contents("g", {"/": 1})).new
        migrate.downgrade(empty_engine, "base")
        assert migrate.current(empty_engine) is None
        assert set(inspect(empty_engine).get_table_names()) <= {tables.VERSION_TABLE}


OLDER_ROWS = (
    "INSERT INTO pathhits_items (id, item_key, item, item_type, view_count, created_at, updated_at)"
    " VALUES (7, :key, 'product:1', 'product', 5, '2026-11-01 00:00:00', '2026-11-02 00:00:00')",
    "INSERT INTO pathhits_item_days (item_id, day, views, visitors) VALUES (7, 20758, 2, 1), (7, 20759, 3, 2)",
    "INSERT INTO pathhits_ledger (generation, applied_at, hits, seconds) VALUES ('old', '2026-11-02 00:00:00', 9, 0.5)",
)


def test_a_database_from_before_the_event_log_keeps_its_rows_up_and_down(empty_engine: Engine) -> None:
    migrate.upgrade(empty_engine, "0002")
    with empty_engine.begin() as connection:
        for statement in OLDER_ROWS:
            bound = {"key": labels.key_of_clean("product:1")} if ":key" in statement else {}
            connection.execute(text(statement), bound)
    asked = [
        "SELECT item, view_count FROM pathhits_items",
        "SELECT SUM(views), SUM(visitors) FROM pathhits_item_days",
        "SELECT generation, hits FROM pathhits_ledger",
    ]

    def answers() -> list[tuple[object, ...]]:
        with empty_engine.connect() as connection:
            return [tuple(connection.execute(text(question)).one()) for question in asked]

    before = answers()
    migrate.upgrade(empty_engine)
    assert answers() == before
    with empty_engine.connect() as connection:
        item = connection.execute(select(tables.items)).one()
        assert connection.execute(select(tables.events)).all() == []
    # Of the time before there is no log: what the days have seen is what is known.
    assert (item.visitors, item.visits, item.first_seen, item.is_hot) == (3, 0, None, 0)
    migrate.downgrade(empty_engine, "0002")
    assert answers() == before
    assert "pathhits_events" not in inspect(empty_engine).get_table_names()
    migrate.upgrade(empty_engine)
    assert answers() == before


def test_the_migrated_tables_are_those_of_the_model(engine: Engine) -> None:
    with engine.connect() as connection:
        options = {"compare_type": True, "compare_server_default": True, "include_name": _ours}
        found = compare_metadata(MigrationContext.configure(connection, opts=options), tables.metadata)
    assert found == []


def _ours(name: str | None, kind: str, parents: object) -> bool:
    return kind != "table" or name != tables.VERSION_TABLE


def test_the_tables_of_a_host_are_left_alone_and_ours_are_hidden_from_its_autogenerate(engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE events (id INTEGER PRIMARY KEY)"))
    migrate.downgrade(engine, "base")
    migrate.upgrade(engine)
    assert "events" in inspect(engine).get_table_names()
    assert migrate.include_name("events", "table")
    hidden = [name for name in inspect(engine).get_table_names() if not migrate.include_name(name, "table")]
    assert sorted(hidden) == sorted(migrate.OURS)

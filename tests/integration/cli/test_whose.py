"""Whose PathHits a command asks, and the command line as real processes."""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from flask import Flask
from flask.cli import FlaskGroup
from rq import Queue
from rq.serializers import JSONSerializer

from pathhits import PathHits, tasks
from pathhits.cli import main
from tests.integration.cli.running import PASSWORD, Run, count, migrate, module, one_line

# --- whose PathHits it is ---


APP = """
    from flask import Flask
    from pathhits import PathHits

    hits = PathHits(namespace="elsewhere")
    other = "not one"

    def make():
        return hits

    def create_app():
        app = Flask(__name__)
        hits.init_app(app)
        return app

    def create_bare_app():
        return Flask(__name__)
"""


@pytest.mark.parametrize("path", ["counted_app", "counted_app:hits", "counted_app:make", "counted_app:create_app"])
def test_pathhits_app_names_the_object_to_ask(
    path: str, run_sqlite: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module(tmp_path, monkeypatch, APP)
    migrate()
    with closing(PathHits(namespace="elsewhere")) as hits:
        hits.track_hit("/there")
    count("/here")
    assert [row["path"] for row in json.loads(run_sqlite("top", "--json").stdout)] == ["/here"]
    monkeypatch.setenv("PATHHITS_APP", path)
    assert [row["path"] for row in json.loads(run_sqlite("top", "--json").stdout)] == ["/there"]


@pytest.mark.parametrize(
    "path", ["counted_app:other", "counted_app:nothing", "counted_app:create_bare_app", ":", "a b"]
)
def test_a_pathhits_app_that_is_none_is_misuse(
    path: str, run_sqlite: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module(tmp_path, monkeypatch, APP)
    monkeypatch.setenv("PATHHITS_APP", path)
    assert "give module:attribute of your PathHits object" in one_line(run_sqlite("top", exit_code=2))


def _flask(app: Flask, *arguments: str) -> Result:
    return CliRunner().invoke(FlaskGroup(create_app=lambda: app), ["pathhits", *arguments])


def test_flask_pathhits_asks_the_apps_own_object(run_sqlite: Run) -> None:
    migrate()
    app = Flask("shop")
    app.add_url_rule("/", "home", lambda: "x")
    PathHits(namespace="shop").init_app(app)
    app.test_client().get("/")
    app.extensions["pathhits"].flush()
    result = _flask(app, "top", "--json")
    assert (result.exit_code, json.loads(result.stdout)[0]["path"]) == (0, "home")
    assert run_sqlite("top", "--json").stdout == "[]\n", "the other namespace knows nothing of it"


def test_flask_pathhits_of_an_app_that_is_not_counted_says_how_to_count_it(run_sqlite: Run) -> None:
    result = _flask(Flask("shop"), "top")
    assert result.exit_code == 2
    assert "call hits.init_app(app) first" in one_line(result)


def test_main_asks_the_object_it_is_given(run_sqlite: Run, capsys: pytest.CaptureFixture[str]) -> None:
    migrate()
    hits = PathHits(namespace="given")
    hits.track_hit("/given")
    assert hits.flush()
    with pytest.raises(SystemExit) as ended:
        main(["top", "--json"], hits)
    assert ended.value.code == 0
    assert json.loads(capsys.readouterr().out)[0]["path"] == "/given"


# --- real processes ---


def _process(*command: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, cwd=cwd)


def test_python_m_pathhits_and_the_script_are_the_same(run_sqlite: Run, tmp_path: Path) -> None:
    migrate()
    count("/a")
    script = str(Path(sys.executable).parent / "pathhits")
    for command in ([sys.executable, "-m", "pathhits"], [script]):
        done = _process(*command, "top", "--json", cwd=tmp_path)
        assert (done.returncode, done.stderr) == (0, "")
        assert json.loads(done.stdout) == [{"path": "/a", "hits": 1, "visitors": 0}]
        assert _process(*command, "tops", cwd=tmp_path).returncode == 2


def test_flask_pathhits_is_found_by_its_entry_point(
    run_sqlite: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module(tmp_path, monkeypatch, APP)
    migrate()
    with closing(PathHits(namespace="elsewhere")) as hits:
        hits.track_hit("/there")
    flask = str(Path(sys.executable).parent / "flask")
    done = _process(flask, "--app", "counted_app", "pathhits", "sync", "--json", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)["hits"] == 1


def test_a_failing_process_writes_one_line_and_no_traceback(no_redis: Run, tmp_path: Path) -> None:
    migrate()
    done = _process(sys.executable, "-m", "pathhits", "sync", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (1, "")
    assert len(done.stderr.splitlines()) == 1
    assert PASSWORD not in done.stderr


@pytest.mark.parametrize(
    "command",
    [["worker.py"], ["worker.py", "--clock-only"], ["worker.py", "--no-clock"]]
    + [["-m", "pathhits", *one] for one in (["worker"], ["worker", "--with-clock"], ["clock"])],
    ids=" ".join,
)
def test_a_process_that_stays_ends_at_once_on_a_url_that_cannot_work(
    command: list[str], run_sqlite: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REDIS_URL", f"redis://:{PASSWORD}@127.0.0.1/0?colour=red")
    done = _process(sys.executable, *command, cwd=Path(__file__).resolve().parents[3])
    assert (done.returncode, done.stdout) == (2, "")
    (line,) = done.stderr.splitlines()
    assert "look at what follows ?" in line
    assert PASSWORD not in line


def test_jobs_find_the_object_that_its_own_settings_name(
    run_sqlite: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    migrate()
    count("/a")
    with closing(PathHits()) as hits, hits.queue_connection() as connection:
        Queue("pathhits", connection=connection, serializer=JSONSerializer).enqueue(tasks.sync)
        (tmp_path / "shop.py").write_text(
            "from flask import Flask\nfrom pathhits import PathHits\n"
            f"hits = PathHits(redis_url={hits.settings.redis_url!r}, database_url={hits.settings.database_url!r}, "
            "app='shop:hits')\napp = Flask(__name__)\nhits.init_app(app)\n"
        )
        for name in ("REDIS_URL", "DATABASE_URL"):
            monkeypatch.delenv(name)
        done = _process(sys.executable, "-m", "flask", "--app", "shop", "pathhits", "worker", "--burst", cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        assert hits.stats.hit_counts(["/a"])["/a"].stored == 1, done.stderr


def test_a_worker_that_an_error_ends_is_no_misuse(run_sqlite: Run, tmp_path: Path, monkeypatch: Any) -> None:
    (tmp_path / "shop.py").write_text("from pathhits import StoreUnavailable\nraise StoreUnavailable('SQL is away')\n")
    monkeypatch.setenv("PATHHITS_APP", "shop:hits")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    done = _process(sys.executable, "worker.py", "--burst", cwd=Path(__file__).resolve().parents[3])
    assert (done.returncode, done.stderr) == (1, "worker.py: SQL is away\n")


@pytest.mark.parametrize("command", [["worker.py", "--burst", "--no-clock"], ["-m", "pathhits", "worker", "--burst"]])
def test_a_worker_keeps_the_talk_of_others_to_itself(command: list[str], run_sqlite: Run) -> None:
    migrate()
    with closing(PathHits()) as hits, hits.queue_connection() as connection:
        Queue("pathhits", connection=connection, serializer=JSONSerializer).enqueue(tasks.sync)
    done = _process(sys.executable, *command, cwd=Path(__file__).resolve().parents[3])
    assert "pathhits: sync: 0 batches" in done.stderr
    assert "rq.worker" not in done.stderr


def test_a_burst_of_the_worker_ends_when_the_queue_is_empty(run_sqlite: Run, tmp_path: Path) -> None:
    done = _process(sys.executable, "-m", "pathhits", "worker", "--burst", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (0, "")
    assert "Traceback" not in done.stderr

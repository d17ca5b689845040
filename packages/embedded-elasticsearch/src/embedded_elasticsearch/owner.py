"""The system user that the embedded server runs as, and how its files come within that user's reach.

Elasticsearch refuses to run as root. Where the caller is root, the server runs as the user behind `sudo`
or as `nobody`, who may read neither root's home nor what stands below a folder of mode 0700.
"""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict

from embedded_elasticsearch.errors import EmbeddedServerError

if TYPE_CHECKING:
    from collections.abc import Iterable

PREFIX = "embedded-elasticsearch-"
MEMORY = Path("/dev/shm")  # noqa: S108 - Linux's file system in memory
MEMORY_ROOM = 1 << 30  # bytes; a container often has 64 MB there


class NoPlace(EmbeddedServerError):
    """There is no user, or no folder, for the embedded server."""


class Identity(TypedDict, total=False):
    """Arguments of `subprocess.Popen`; empty where the child stays what its parent is."""

    user: int
    group: int
    extra_groups: list[int]


@dataclass(frozen=True, kw_only=True, slots=True)
class Owner:
    """The user the server runs as; `demoted` where that is another one than the caller."""

    name: str
    uid: int
    gid: int
    demoted: bool

    @property
    def identity(self) -> Identity:
        """How to start a process as this user."""
        return {"user": self.uid, "group": self.gid, "extra_groups": []} if self.demoted else {}

    def give(self, path: Path) -> None:
        """Make the user the owner of a file, or of a folder and all in it."""
        if not self.demoted:
            return
        os.chown(path, self.uid, self.gid, follow_symlinks=False)
        if path.is_dir() and not path.is_symlink():
            for entry in path.iterdir():
                self.give(entry)

    def private_folder(self, path: Path) -> None:
        """Make a folder, if it is missing, that this user alone may use."""
        path.mkdir(mode=0o700, exist_ok=True)
        if self.demoted:
            os.chown(path, self.uid, self.gid)

    def reaches(self, folder: Path) -> bool:
        """Whether the way down to `folder` is open to this user."""
        if not self.demoted:
            return True
        resolved = folder.resolve()
        return all(_allows(path, stat.S_IXOTH) for path in (resolved, *resolved.parents))


def server_owner() -> Owner:
    """Return the caller; where that is root, the user behind `sudo`, else `nobody`. Raises `NoPlace`."""
    import pwd  # noqa: PLC0415 - not on Windows, where this module can still be imported

    uid = os.geteuid()
    if uid != 0:
        return Owner(name=str(uid), uid=uid, gid=os.getegid(), demoted=False)
    behind_sudo = os.environ.get("SUDO_UID", "")
    try:
        entry = pwd.getpwuid(int(behind_sudo)) if behind_sudo.isdecimal() else pwd.getpwnam("nobody")
        if entry.pw_uid == 0:
            entry = pwd.getpwnam("nobody")
    except KeyError as error:
        raise NoPlace(
            "Elasticsearch does not run as root, but this system has no user `nobody`",
            "start it as a normal user",
        ) from error
    return Owner(name=entry.pw_name, uid=entry.pw_uid, gid=entry.pw_gid, demoted=True)


def work_folder(owner: Owner) -> Path:
    """Make a new temporary folder that `owner` can get to; nobody else could have made it before."""
    places = [Path(tempfile.gettempdir()), Path("/var/tmp"), Path("/tmp")]  # noqa: S108 - mkdtemp is below
    place = next((place for place in places if _usable(place, owner)), None)
    if place is None:
        raise NoPlace(
            f"there is no temporary folder that user {owner.name} may use", "set TMPDIR to one with mode 1777"
        )
    return _new_folder(place, owner)


def memory_folder(owner: Owner) -> Path | None:
    """Make a new folder in memory that `owner` can get to; None where there is none with room for a server's data."""
    there = MEMORY.is_dir() and os.access(MEMORY, os.W_OK) and owner.reaches(MEMORY)
    if not there or shutil.disk_usage(MEMORY).free < MEMORY_ROOM:
        return None
    return _new_folder(MEMORY, owner)


def _new_folder(place: Path, owner: Owner) -> Path:
    folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=place))
    if owner.demoted:
        folder.chmod(0o755)
    return folder


def within_reach(tree: Path, owner: Owner, twin: Path) -> Path:
    """Return `tree` where `owner` may read all of it, else `twin`, made to be the same.

    The twin belongs to the caller and is writable by nobody else. Files are linked where that will do,
    so that it costs neither time nor room.
    """
    if owner.reaches(tree) and (not owner.demoted or all(_readable(path) for path in tree.rglob("*"))):
        return tree
    shutil.copytree(tree, twin, copy_function=_link_or_copy, ignore=_dangling)
    for folder in _folders(twin):
        folder.chmod(0o755)
    return twin


def _usable(place: Path, owner: Owner) -> bool:
    if not place.is_dir() or not os.access(place, os.W_OK):
        return False
    no_programs = getattr(os, "ST_NOEXEC", 0)  # macOS does not tell
    return owner.reaches(place) and not os.statvfs(place).f_flag & no_programs


def _readable(path: Path) -> bool:
    """Whether anybody may read it, and run or enter it where its owner may."""
    if path.is_symlink() and not path.exists():
        return True
    needed = stat.S_IROTH | (stat.S_IXOTH if _allows(path, stat.S_IXUSR) else 0)
    return _allows(path, needed)


def _allows(path: Path, bits: int) -> bool:
    return path.stat().st_mode & bits == bits


def _dangling(folder: str, names: list[str]) -> list[str]:
    # Not copytree's own option: it looks for the targets of relative links in the working directory.
    return [name for name in names if not (Path(folder) / name).exists()]


def _link_or_copy(source: str, target: str) -> None:
    original = Path(source).resolve()
    if _readable(original) and not _allows(original, stat.S_IWOTH):
        try:
            os.link(original, target)
        except OSError:
            pass  # another file system, or one without links
        else:
            return
    shutil.copyfile(original, target)
    Path(target).chmod(0o755 if _allows(original, stat.S_IXUSR) else 0o644)


def _folders(root: Path) -> Iterable[Path]:
    return [root, *(path for path in root.rglob("*") if path.is_dir())]

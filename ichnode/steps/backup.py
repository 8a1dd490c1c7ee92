"""Backup: one consistent copy of the worklist while the node runs, with all that its rows speak of; and back again."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from ichnode import __version__
from ichnode.config import Settings
from ichnode.errors import ConfigError, PermanentError
from ichnode.steps.node import Node, spool_folder
from ichnode.storage.atomic import sync_directory, write_durable
from ichnode.storage.holding import held
from ichnode.worklist import audit
from ichnode.worklist.copying import copy_of, files_of
from ichnode.worklist.database import Worklist

MANIFEST, WORKLIST, SPOOL = "backup.json", "worklist.sqlite", "spool"
_FOLDERS = ("models", "lab")
_FILES = ("installation", "export.key")
Tell = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True)
class Kept:
    """What a backup holds, or what was restored."""

    files: int
    bytes: int


def backup(node: Node, to: Path, config: Path | None, tell: Tell) -> Kept:
    """Copy worklist, the files its rows speak of, models, labels and configuration into a new folder.

    What was acknowledged before is in it. ``backup.json`` is written last: without it a folder is no backup.

    Raises
    ------
    ConfigError
        The folder is not empty.
    PermanentError
        The worklist is not SQLite; a file is missing.
    """
    _empty(to, "Give a new folder")
    data = node.settings.node.data.resolve()
    with held(data):  # from before the copy of the rows until their files are copied
        copy_of(node.settings.database_url, to / WORKLIST)
        files = _files(to / WORKLIST)
        total = _copy_spool(node.spool.root, to / SPOOL, files, tell)
    for name in _FOLDERS:
        if (data / name).is_dir():
            shutil.copytree(data / name, to / name, ignore=shutil.ignore_patterns("*.tmp"))
    for source in (*(data / name for name in _FILES), *((config,) if config else ())):
        if source.is_file():
            shutil.copyfile(source, to / ("config.toml" if source == config else source.name))
    said = {"version": __version__, "made_at": node.now().isoformat(), "files": len(files), "bytes": total}
    _settle(to)
    write_durable(to / MANIFEST, json.dumps(said, indent=1).encode())
    return Kept(len(files), total)


def restore(settings: Settings, by: audit.Actor, source: Path, tell: Tell) -> Kept:
    """Put a backup into the data folder of `settings`, which has to be empty, and bring its worklist up to date.

    Raises
    ------
    ConfigError
        The data folder is not empty, the database is elsewhere, or `source` is no whole backup.
    PermanentError
        The backup is of a newer version, or a file of it is missing.
    """
    if settings.database.url:
        raise ConfigError("database.url is set: restore that database with its own tools, then copy the folders.")
    if not (source / MANIFEST).is_file():
        raise ConfigError(f"{source} is no backup that came to its end: {MANIFEST} is missing. Take another one.")
    data = settings.node.data.resolve()
    _empty(data, "Stop the node and move what is there away, or give another --data")
    unfinished, finished = data / f"{WORKLIST}.restoring", data / f"{WORKLIST}.restored"
    shutil.copyfile(source / WORKLIST, unfinished)  # read here: the backup's own folder may be read-only
    files = _files(unfinished)
    total = _copy_spool(source / SPOOL, spool_folder(settings), files, tell)
    for name in _FOLDERS:
        if (source / name).is_dir():
            shutil.copytree(source / name, data / name)
    for name in _FILES:
        if (source / name).is_file():
            shutil.copyfile(source / name, data / name)
    worklist = Worklist(f"sqlite:///{unfinished}")
    try:
        worklist.migrate()
        with worklist.write() as tx:
            audit.record(tx, datetime.now(UTC), by.name, "node.restored", address=by.address)
    finally:
        worklist.dispose()
    copy_of(f"sqlite:///{unfinished}", finished)
    for left in data.glob(f"{unfinished.name}*"):
        left.unlink()
    _settle(data)
    finished.rename(data / WORKLIST)  # last: a folder without it is no node's
    sync_directory(data)
    return Kept(len(files), total)


def _empty(folder: Path, remedy: str) -> None:
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if any(folder.iterdir()):
        raise ConfigError(f"{folder} is not empty. {remedy}.", "NOT_EMPTY")
    try:
        folder.chmod(0o700)  # it may have been there, open to all
    except PermissionError:
        sentence = f"{folder} is another user's, who could read patients' data in it. Give a new folder inside it."
        raise ConfigError(sentence, "NOT_OURS") from None


def _settle(folder: Path) -> None:
    """Let nobody else read what was copied, and have all of it on the disk before the name that says it is whole."""
    for path in folder.rglob("*"):
        path.chmod(0o700 if path.is_dir() else 0o600)
    os.sync()


def _files(file: Path) -> dict[str, int | None]:
    worklist = Worklist(f"sqlite:///{file}")
    try:
        with worklist.read() as tx:
            return files_of(tx)
    finally:
        worklist.dispose()


def _copy_spool(source: Path, to: Path, files: dict[str, int | None], tell: Tell) -> int:
    total = 0
    folders = {to / name for name in ("slices", "reports", "heat")}
    for folder in folders:
        folder.mkdir(mode=0o700, parents=True)
    for number, (name, size) in enumerate(sorted(files.items()), 1):
        folders.add((to / name).parent)
        (to / name).parent.mkdir(mode=0o700, exist_ok=True)
        try:
            shutil.copyfile(source / name, to / name)
        except FileNotFoundError:
            sentence = f"The file {name} is missing in {source}, though a row speaks of it."
            raise PermanentError(sentence, "FILE_MISSING") from None
        found = (to / name).stat().st_size
        if size is not None and found != size:
            raise PermanentError(f"The file {name} has {found} bytes, its row says {size}.", "FILE_DAMAGED")
        total += found
        if number % 100 == 0 or number == len(files):
            tell("files", number, len(files))
    for folder in folders:
        sync_directory(folder)
    return total

"""Image files in a folder or a zip archive, seen alike: sorted names, read by name."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import threading
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path, PurePosixPath

from jaxgan.core.errors import UserError, did_you_mean, warn_once
from jaxgan.data.pictures import FOREIGN, SUFFIXES

SHEET = "contact_sheet"  # how the names of such pictures begin
SHEET_MARK = b"jaxgan contact sheet"  # in their head

# What zipfile raises for damage, a password, an unknown method of compression.
UNREADABLE = (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError)
SPLIT_FOLDERS = {
    "train": ("train", "training"),
    "validation": ("validation", "val", "valid"),
    "test": ("test", "testing"),
}


@dataclasses.dataclass(frozen=True)
class Files:
    """A set of files with relative names.

    Attributes:
      name: as the user wrote it, for messages.
      names: sorted, with `/` between folders.
      read: `read(name) -> bytes`.
    """

    name: str
    names: tuple[str, ...]
    read: Callable[[str], bytes]

    def folders(self) -> tuple[str, ...]:
        """The folders at the top, sorted."""
        return tuple(sorted({n.split("/", 1)[0] for n in self.names if "/" in n}))

    def inside(self, folder: str) -> Files:
        """The files below a folder, without its name."""
        prefix = folder.rstrip("/") + "/"
        names = tuple(n[len(prefix) :] for n in self.names if n.startswith(prefix))
        read = self.read
        return Files(f"{self.name}/{folder}", names, lambda name: read(prefix + name))

    def find_folder(self, *spellings: str) -> str | None:
        """The folder at the top with one of these names, in any case of letters."""
        for folder in self.folders():
            if folder.lower() in spellings:
                return folder
        return None

    def without(self, *folders: str | None) -> Files:
        """The files outside these folders at the top."""
        names = tuple(n for n in self.names if n.split("/", 1)[0] not in folders)
        return dataclasses.replace(self, names=names)


def open_files(
    scheme: str, rest: str, suffixes: Sequence[str] = SUFFIXES, what: str = "images"
) -> Files:
    """Lists the files with one of the suffixes in a `folder:` or `zip:`.

    Args:
      scheme: `folder` or `zip`.
      rest: the path; for an archive with or without `!/folder` inside it.
      suffixes: in lower case, with the dot.
      what: the files are, for messages.

    Raises:
      UserError: if it is missing or holds no file with one of the suffixes.
    """
    every = _open_folder(rest) if scheme == "folder" else _open_zip(rest)
    wanted = tuple(n for n in every.names if _suffix(n) in suffixes)
    files = dataclasses.replace(every, names=tuple(_without_sheets(every, wanted)))
    foreign = [n for n in every.names if _suffix(n) in FOREIGN]
    if not files.names:
        such = f", not for files such as {foreign[0]}" if foreign else ""
        raise UserError(
            f"{files.name}: there are no {what} in it; looked, also in folders "
            f"below, for {', '.join(suffixes)}{such}"
        )
    if foreign and suffixes is SUFFIXES:
        warn_once(
            f"{files.name}: {len(foreign)} pictures in formats that are not read are "
            f"passed over, such as {foreign[0]}"
        )
    return files


def _without_sheets(files: Files, names: Sequence[str]) -> Iterator[str]:
    """Leaves out what `jaxgan generate` draws of all its results together."""
    for name in names:
        if PurePosixPath(name).name.startswith(SHEET):
            with contextlib.suppress(OSError):  # told of where it is used
                if SHEET_MARK in files.read(name)[:256]:
                    continue
        yield name


def _suffix(name: str) -> str:
    return PurePosixPath(name).suffix.lower()


def _is_hidden(name: str) -> bool:
    parts = PurePosixPath(name).parts
    return any(p.startswith(".") or p == "__MACOSX" for p in parts)


def local_path(scheme: str, path: str) -> Path:
    """The path of a source.

    Raises:
      UserError: if it lies in a bucket, or cannot be a path.
    """
    if "://" in path:
        raise UserError(
            f"{scheme}:{path}: folders and archives are read from a local disk; copy "
            "or mount it there, or read the set with tfds: and data_dir"
        )
    try:
        found = Path(path).expanduser()
        found.exists()
    except (OSError, RuntimeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UserError(
            f"{scheme}:{path}: it cannot be opened ({reason}); check data.source"
        ) from error
    return found


def _open_folder(path: str) -> Files:
    root = local_path("folder", path)
    if not root.is_dir():
        if root.is_file():
            raise UserError(
                f"folder:{path}: it is a file; name the folder, or write zip:{path}"
            )
        near = ""
        with contextlib.suppress(OSError):
            near = did_you_mean(root.name, [p.name for p in root.parent.iterdir()])
        raise UserError(
            f"folder:{path}: there is no such folder{near}; check data.source"
        )
    every = (p for p in _walk(root) if os.path.isfile(p))
    found = (p.relative_to(root).as_posix() for p in every)
    names = tuple(sorted(n for n in found if not _is_hidden(n)))
    return Files(f"folder:{path}", names, lambda name: (root / name).read_bytes())


def _walk(root: Path) -> Iterator[Path]:
    """All that lies below a folder and is no folder, also behind links.

    A link to a folder around itself is not followed; two links to one folder both are.
    """

    def tell(error: OSError) -> None:
        warn_once(f"{root}: passed over, it cannot be read: {error}")

    around: dict[str, tuple[str, ...]] = {str(root): (os.path.realpath(root),)}
    for here, folders, names in os.walk(root, onerror=tell, followlinks=True):
        chain = around.pop(here)
        for folder in folders.copy():
            path = os.path.join(here, folder)
            real = os.path.realpath(path)
            if real in chain:
                folders.remove(folder)
            else:
                around[path] = (*chain, real)
        yield from (Path(here, name) for name in names)


def _open_zip(path: str) -> Files:
    path, _, inner = path.partition("!/")
    file = local_path("zip", path)
    if not file.is_file():
        raise UserError(f"zip:{path}: there is no such file; check data.source")
    try:
        archive = zipfile.ZipFile(file)
    except (zipfile.BadZipFile, OSError) as error:
        raise UserError(
            f"zip:{path}: it is no zip archive or not whole ({error}); fetch it again"
        ) from error
    listed = (n for n in archive.namelist() if not n.endswith("/"))
    names = tuple(sorted(n for n in listed if not _is_hidden(n)))
    lock = threading.Lock()  # one file handle serves every thread

    def read(name: str) -> bytes:
        try:
            with lock:
                return archive.read(name)
        except UNREADABLE as error:
            raise OSError(str(error)) from error

    files = Files(f"zip:{path}", names, read)
    if not inner.strip("/"):
        return files
    chosen = files.inside(inner.strip("/"))
    if not chosen.names:
        folders = sorted({n.rsplit("/", 1)[0] for n in names if "/" in n})
        raise UserError(
            f"zip:{path}!/{inner}: there is no such folder with images in the archive"
            f"{did_you_mean(inner.strip('/'), folders)}; it has "
            f"{', '.join(folders[:8]) or 'no folders'}"
        )
    return dataclasses.replace(chosen, name=f"zip:{path}!/{inner}")


def choose_split(files: Files, split: str) -> tuple[Files, bool]:
    """The files of a split, by the folders at the top.

    Returns:
      The files, and whether a folder of that split was found. Without one they are
      those of the training folder, or all of them if there is none either.

    Raises:
      UserError: if there are no training images, or a folder `train` may be a class.
    """
    own = files.find_folder(*SPLIT_FOLDERS[split])
    train = files.find_folder(*SPLIT_FOLDERS["train"])
    others = [files.find_folder(*SPLIT_FOLDERS[s]) for s in ("validation", "test")]
    rest = files.without(train, *others)
    if train and rest.names:
        _check_beside(rest, train, others)
    if own or train:
        return files.inside(own or train or ""), bool(own)
    if not rest.names:
        raise UserError(
            f"{files.name} holds only {' and '.join(o for o in others if o)}: put "
            f"training images into a folder train beside it"
        )
    return rest, False


def _check_beside(rest: Files, train: str, others: Sequence[str | None]) -> None:
    """Says what becomes of files outside the splits; a class may be called train."""
    folders = rest.folders()
    if folders and not any(others):
        raise UserError(
            f"{rest.name}: is {train} a class or the training images? Beside it are "
            f"{', '.join(folders[:8])}, but no val or test; rename the class, or name "
            f"the folder {train} in data.source"
        )
    warn_once(
        f"{rest.name}: {len(rest.names)} images beside the folder {train} are passed "
        f"over, such as {rest.names[0]}"
    )


def all_splits(files: Files) -> list[Files]:
    """What `choose_split` can give, each once."""
    folders = [files.find_folder(*SPLIT_FOLDERS[split]) for split in SPLIT_FOLDERS]
    parts = [files.inside(folder) for folder in folders if folder]
    if not files.find_folder(*SPLIT_FOLDERS["train"]):
        parts.append(files.without(*folders))
    return parts

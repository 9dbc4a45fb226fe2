"""Files of a folder or a zip, opened with limits: size, ratio, path and encryption are checked first."""

from __future__ import annotations

import re
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from inference.exam.manifest import PICTURE_SUFFIXES
from inference.exam.types import ExamError

MAX_MEMBERS = 50_000
MAX_MEMBER_BYTES = 512 << 20
MAX_TOTAL_BYTES = 64 << 30
MAX_RATIO = 200  # real mammograms deflate to 1:3..1:20, background included
FREE_BYTES = 1 << 20
_HEADER_BYTES = 4 << 20
_IGNORED = frozenset({".ds_store", "thumbs.db", "desktop.ini", "dicomdir"})
_NOT_IMAGES = frozenset(
    {".txt", ".md", ".pdf", ".html", ".xml", ".py", ".pyc", ".yaml", ".yml", ".xlsx", ".exe"}
)
# The shelf of what was fetched from a PACS (inference.exam.pacs.shelf): an object, and the lists and scratch beside them.
_SHELVED = re.compile(r"(.*/|)W[0-9a-f]{16}/[0-9a-f]{16}/[0-9a-f]{24}\.dcm")
_SHELFS_OWN = re.compile(r"(.*/|)(?:(?:index\.jsonl|queue\.json)(?:\.new)?|\.(?:incoming|locks)/.*)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """One file: on disk (``file``) or in a zip (``archive``); ``name`` is relative, with forward slashes."""

    name: str
    file: Path | None = None
    archive: Path | None = None
    info: zipfile.ZipInfo | None = None

    @property
    def is_picture(self) -> bool:
        return PurePosixPath(self.name).suffix.lower() in PICTURE_SUFFIXES

    @property
    def is_manifest(self) -> bool:
        return PurePosixPath(self.name).suffix.lower() in {".csv", ".json"}

    def header_source(self) -> Path | bytes:
        """What a header reader needs; a zip member is unpacked in memory, within limits."""
        return self.file if self.file is not None else self.read()

    def read(self) -> bytes:
        """Read all bytes; ExamError when the file is gone, damaged or larger than its limits."""
        try:
            if self.file is not None:
                if self.file.stat().st_size > MAX_MEMBER_BYTES:
                    raise ExamError(f"{self.name}: expected at most 512 MB, found a larger file.")
                return self.file.read_bytes()
            return self._unpack()
        except (
            OSError,
            zipfile.BadZipFile,
            zlib.error,
            RuntimeError,
            NotImplementedError,
            EOFError,
        ) as error:
            raise ExamError(f"{self.name}: expected a readable file, found damage ({error}).") from error

    def _unpack(self) -> bytes:
        assert self.archive is not None
        assert self.info is not None
        with zipfile.ZipFile(self.archive) as bundle, bundle.open(self.info) as stream:
            data = stream.read(self.info.file_size + 1)  # one more: a size that lies is noticed, not obeyed
        if len(data) > self.info.file_size:
            raise ExamError(f"{self.name}: expected {self.info.file_size} bytes as the zip says, found more.")
        return data


def members_of(root: Path) -> tuple[list[Member], list[tuple[str, str]]]:
    """List the files of a folder or zip, sorted by name, and a sentence for each that is refused outright.

    Raises
    ------
    ExamError
        ``root`` is neither a folder nor a file that can be opened.
    """
    if root.is_dir():
        files, told = _files(root)
        kept, sifted = _sifted([Member(name=path.relative_to(root).as_posix(), file=path) for path in files])
        return kept, told + sifted
    if not root.is_file():
        raise ExamError(f"{root}: expected a folder, a zip or a manifest, found nothing there.")
    if root.suffix.lower() == ".zip" or zipfile.is_zipfile(root):
        return _zip_members(root)
    return [Member(name=root.name, file=root)], []


def _files(root: Path) -> tuple[list[Path], list[tuple[str, str]]]:
    """Files below a folder, and a sentence for what is there and is none: links to elsewhere, pipes."""
    inside = root.resolve()
    files, told = [], []
    for path in sorted(root.rglob("*")):
        name = path.relative_to(root).as_posix()
        if path.is_symlink() and not (path.is_file() and path.resolve().is_relative_to(inside)):
            told.append((name, f"{name}: a link to a folder, to nothing or out of the import; not followed."))
        elif path.is_file():
            files.append(path)
        elif not path.is_dir():
            told.append((name, f"{name}: expected a file, found a device or a pipe; passed over."))
    return files, told


def _sifted(found: list[Member]) -> tuple[list[Member], list[tuple[str, str]]]:
    kept, told = [], []
    shelves = {match[1] for member in found if (match := _SHELVED.fullmatch(member.name))}
    for member in found:
        path = PurePosixPath(member.name)
        own = _SHELFS_OWN.fullmatch(member.name)
        if own is not None and own[1] in shelves:
            continue
        if path.name.lower() in _IGNORED or "__pycache__" in path.parts or "__MACOSX" in path.parts:
            continue
        if path.suffix.lower() in _NOT_IMAGES:
            told.append(
                (member.name, f"{member.name}: not an image by its ending {path.suffix}; passed over.")
            )
        elif path.suffix.lower() == ".zip":
            told.append(
                (member.name, f"{member.name}: a zip inside the import is not opened; import it by itself.")
            )
        else:
            kept.append(member)
    return kept, told


def _zip_members(root: Path) -> tuple[list[Member], list[tuple[str, str]]]:
    try:
        with zipfile.ZipFile(root) as bundle:
            infos = [info for info in bundle.infolist() if not info.is_dir()]
    except (OSError, zipfile.BadZipFile, NotImplementedError, ValueError) as error:
        raise ExamError(f"{root.name}: expected a zip file, found damage ({error}).") from error
    total = sum(info.file_size for info in infos)
    if len(infos) > MAX_MEMBERS or total > MAX_TOTAL_BYTES:
        raise ExamError(
            f"{root.name}: expected at most {MAX_MEMBERS} files and 64 GB, "
            f"found {len(infos)} and {total} bytes."
        )
    safe, told = [], []
    for info in sorted(infos, key=lambda i: i.filename):
        why = _unsafe(info)
        if why:
            told.append((info.filename, f"{info.filename}: {why}"))
        else:
            safe.append(Member(name=info.filename, archive=root, info=info))
    kept, sifted = _sifted(safe)
    return kept, told + sifted


def _unsafe(info: zipfile.ZipInfo) -> str:
    path = PurePosixPath(info.filename.replace("\\", "/"))
    if path.is_absolute() or ".." in path.parts or ":" in path.parts[0]:
        return "its path leads out of the zip; left out."
    if info.flag_bits & 0x1:
        return "expected an open file, found an encrypted one; unpack the zip with its password first."
    if info.file_size > MAX_MEMBER_BYTES:
        return f"expected at most 512 MB, found {info.file_size} bytes when unpacked; left out."
    if info.file_size > FREE_BYTES and info.file_size > MAX_RATIO * max(info.compress_size, 1):
        sizes = f"{info.compress_size} bytes that unpack to {info.file_size}"
        return f"expected an image, found {sizes} (zip bomb); left out."
    return ""

"""The shelf: objects fetched or received, one file each, written whole or not at all, known by UID, size and SHA-256.

Folders are named by hashes: woman, then study. The files hold her identity, so the folder is its owner's only.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import shutil
import threading
import uuid
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from inference.exam.container import opened, parse
from inference.exam.dicom import _PARSE_ERRORS
from inference.exam.pacs.model import PacsError, PacsUnreachable, StudyMatch, checked_uid
from inference.exam.types import ExamError
from resources.translation import translate

INDEX = "index.jsonl"
INCOMING = ".incoming"
MAX_OBJECT_BYTES = 1 << 30
_STALE_S = 86_400
_FULL = {errno.ENOSPC, errno.EDQUOT}
_READ_ONLY = {errno.EROFS, errno.EACCES, errno.EPERM}


def _tr(text: str) -> str:
    return translate("pacs", text)


class ShelfFull(PacsError):
    """There is no room: the disk, or the quota, is full."""


class NotWanted(PacsError):
    """The object is not what was asked for, or no DICOM object at all."""


class AnotherHere(PacsError):
    """Another object is here under the same SOP Instance UID; it stays as it is."""


# Raises NotWanted for what must not be kept; is given SOPInstanceUID, StudyInstanceUID, PatientID and Modality.
Wanted = Callable[[Mapping[str, str]], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Shelved:
    """An object on the shelf."""

    path: Path
    size: int
    sop_uid: str
    study_uid: str
    modality: str
    is_new: bool = True  # False: it was there already and stays as it was


@dataclass(frozen=True, slots=True, kw_only=True)
class _Entry:
    file: str
    size: int
    sha256: str
    study: str


class Shelf:
    """A folder of objects; safe for several threads, and to be opened again after a cut.

    Parameters
    ----------
    quota_bytes : nothing is taken beyond it; None = the disk decides
    """

    def __init__(self, root: Path, *, quota_bytes: int | None = None) -> None:
        self._root, self._quota = root, quota_bytes
        self._lock = threading.Lock()
        self._entries: dict[str, _Entry] = {}
        self._used = 0
        self._arriving: dict[str, int] = {}
        self._counts: Counter[str] = Counter()  # objects by study
        with _writing(root):
            (root / INCOMING).mkdir(parents=True, exist_ok=True, mode=0o700)
            root.chmod(0o700)
        self._read_index()

    @property
    def root(self) -> Path:
        return self._root

    @property
    def used_bytes(self) -> int:
        """Bytes of all objects."""
        return self._used

    def holds(self, sop_uid: str) -> bool:
        """True when the object is here and as long as it was when it came."""
        entry = self._entries.get(_short(sop_uid, 24))
        if entry is None:
            return False
        try:
            return (self._root / entry.file).stat().st_size == entry.size
        except OSError:
            return False

    def folder_of(self, study_uid: str) -> Path | None:
        """Folder of a study's objects, None when there are none."""
        study = _short(study_uid, 16)
        files = [entry.file for entry in self._entries.values() if entry.study == study]
        return (self._root / files[0]).parent if files else None

    def count_of(self, study_uid: str) -> int:
        """How many objects of a study are here."""
        return self._counts[_short(study_uid, 16)]

    def put(
        self,
        chunks: Iterable[bytes],
        *,
        sop_uid: str = "",
        max_bytes: int = MAX_OBJECT_BYTES,
        wanted: Wanted = lambda _header: None,
    ) -> Shelved:
        """Write one DICOM file (as PS3.10 has it) that arrives in pieces; on the disk when this returns.

        Parameters
        ----------
        sop_uid : the object that was asked for; '' = whatever comes
        wanted : looks at its header before it is kept

        Raises
        ------
        AnotherHere
            An object with other content is here under its SOP Instance UID.
        ShelfFull
            The disk or the quota is full.
        NotWanted
            It is larger than ``max_bytes``, another object than asked for, or no DICOM object.
        PacsError
            The folder cannot be written.
        """
        part = self._root / INCOMING / f"{uuid.uuid4().hex}.part"
        try:
            size, digest = self._write(part, chunks, max_bytes)
            return self._shelve(part, size, digest, sop_uid, wanted)
        finally:
            part.unlink(missing_ok=True)
            with self._lock:
                self._arriving.pop(part.name, None)

    def remove(self, study_uid: str) -> None:
        """Take all objects of a study off the shelf."""
        study = _short(study_uid, 16)
        with self._lock, _writing(self._root):
            for key, entry in [(k, e) for k, e in self._entries.items() if e.study == study]:
                (self._root / entry.file).unlink(missing_ok=True)
                del self._entries[key]
                self._used -= entry.size
                folder = (self._root / entry.file).parent
                for empty in (folder, folder.parent):
                    if empty.is_dir() and not any(empty.iterdir()):
                        empty.rmdir()
            self._count()
            self._write_index()

    def damaged(self) -> tuple[Path, ...]:
        """Read every object again and return those that are not what they were when they came."""
        found = []
        for entry in list(self._entries.values()):
            path = self._root / entry.file
            try:
                with path.open("rb") as file:
                    digest = hashlib.file_digest(file, "sha256").hexdigest()
            except OSError:
                digest = ""
            if digest != entry.sha256:
                found.append(path)
        return tuple(found)

    def staged(self, studies: Sequence[StudyMatch]) -> Path:
        """Return a scratch folder with these studies only, for an import; its maker removes it.

        Hard links where the disk has them, so that nothing is copied.
        """
        folder = self._root / INCOMING / f"import-{uuid.uuid4().hex}"
        with _writing(self._root):
            for study in studies:
                origin = self.folder_of(study.study_uid)
                target = folder / _short(study.study_uid, 16)
                target.mkdir(parents=True, exist_ok=True)
                for path in sorted(origin.glob("*.dcm")) if origin is not None else ():
                    try:
                        os.link(path, target / path.name)
                    except OSError:
                        shutil.copyfile(path, target / path.name)
        return folder

    # ---- writing

    def _write(self, part: Path, chunks: Iterable[bytes], max_bytes: int) -> tuple[int, str]:
        digest, size = hashlib.sha256(), 0
        with _writing(self._root), part.open("xb") as file:
            for chunk in chunks:
                size += len(chunk)
                if size > max_bytes:
                    words = _tr(
                        "PACS: expected objects of at most {0} MB, found a larger one; it was not kept."
                    )
                    raise NotWanted(words.format(max_bytes >> 20))
                if not self._reserve(part.name, size):
                    words = _tr("{0}: the quota of {1:.1f} GB is used up; remove studies or raise the quota.")
                    raise ShelfFull(words.format(self._root, (self._quota or 0) / 1e9))
                digest.update(chunk)
                file.write(chunk)
            file.flush()
            os.fsync(file.fileno())
        return size, digest.hexdigest()

    def _reserve(self, part: str, size: int) -> bool:
        """Count what is arriving besides what is here: several transfers share one quota."""
        with self._lock:
            self._arriving[part] = size
            return self._quota is None or self._used + sum(self._arriving.values()) <= self._quota

    def _shelve(self, part: Path, size: int, digest: str, sop_uid: str, wanted: Wanted) -> Shelved:
        found = _header(part)
        wanted(found)
        if sop_uid and found["SOPInstanceUID"] != sop_uid:
            raise NotWanted(_tr("PACS: expected the object asked for, found another one; it was not kept."))
        sop, study = found["SOPInstanceUID"], found["StudyInstanceUID"]
        woman = (
            f"{found['PatientID']}|{found['IssuerOfPatientID']}" if found["PatientID"] else f"study {study}"
        )
        key, exam = _short(sop, 24), _short(study, 16)
        file = f"W{_short(woman, 16)}/{exam}/{key}.dcm"
        path = self._root / file
        with self._lock, _writing(self._root):
            if self.holds(sop):
                kept = self._root / self._entries[key].file
                if digest != self._entries[key].sha256 and _content(part) != _content(kept):
                    raise AnotherHere(_tr(
                        "PACS: another object is here under this object's UID and stays; take its study off the shelf to "
                        "receive it anew."
                    ))  # fmt: skip
                return Shelved(path=kept, size=self._entries[key].size, sop_uid=sop, study_uid=study,
                               modality=found["Modality"], is_new=False)  # fmt: skip
            path.parent.mkdir(parents=True, exist_ok=True)
            part.replace(path)
            for folder in (path.parent, path.parent.parent, self._root):  # its name, and those of new folders
                _sync_folder(folder)
            entry = _Entry(file=file, size=size, sha256=digest, study=exam)
            with (self._root / INDEX).open("a", encoding="utf-8") as index:
                index.write(_line(key, entry))
                index.flush()
                os.fsync(index.fileno())
            self._arriving.pop(part.name, None)
            old = self._entries.get(key)  # its file was lost
            self._used += size - (old.size if old is not None else 0)
            self._counts[exam] += old is None
            self._entries[key] = entry
        return Shelved(path=path, size=size, sop_uid=sop, study_uid=study, modality=found["Modality"])

    # ---- index

    def _read_index(self) -> None:
        """Take up what is here; an entry whose file is gone or of another length counts as not fetched."""
        try:
            lines = (self._root / INDEX).read_text(encoding="utf-8", errors="replace").splitlines()
        except FileNotFoundError:
            lines = []
        except OSError as error:
            raise PacsError(
                _tr("{0}: the list of fetched images cannot be read ({1}).").format(
                    self._root, error.strerror
                )
            ) from error
        for line in lines:
            try:
                one = json.loads(line)
                entry = _Entry(
                    file=one["file"], size=int(one["size"]), sha256=one["sha256"], study=one["study"]
                )
                path = (self._root / entry.file).resolve()
                if path.is_relative_to(self._root.resolve()) and path.stat().st_size == entry.size:
                    self._entries[str(one["sop"])] = entry
            except (ValueError, KeyError, TypeError, OSError, RecursionError, OverflowError):
                continue  # a line cut off by a crash: its object is fetched again
        self._used = sum(entry.size for entry in self._entries.values())
        self._count()
        self._sweep()

    def _sweep(self) -> None:
        """Remove what a crash left half, a day later: another process may be receiving right now."""
        mark = self._root / INCOMING / f"{uuid.uuid4().hex}.part"
        try:
            mark.touch()
            now = mark.stat().st_mtime
            for old in (self._root / INCOMING).glob("*.part"):
                if old == mark or now - old.stat().st_mtime > _STALE_S:
                    old.unlink(missing_ok=True)
        except OSError:
            return  # who cannot write here is told so at the first object

    def _count(self) -> None:
        self._counts = Counter(entry.study for entry in self._entries.values())

    def _write_index(self) -> None:
        scratch = self._root / f"{INDEX}.new"
        scratch.write_text("".join(_line(k, e) for k, e in sorted(self._entries.items())), encoding="utf-8")
        scratch.replace(self._root / INDEX)


def _line(key: str, entry: _Entry) -> str:
    plain = {"sop": key, "file": entry.file, "size": entry.size, "sha256": entry.sha256, "study": entry.study}
    return json.dumps(plain) + "\n"


def _short(value: str, digits: int) -> str:
    return hashlib.sha256(value.encode()).hexdigest()[:digits]


def _content(path: Path) -> str:
    """Return a digest of a file's data set; its file meta group is written anew by whoever hands it on."""
    with path.open("rb") as file:
        head = file.read(144)
        if head[128:136] == b"DICM\x02\x00\x00\x00":  # its first element says how long the group is
            file.seek(144 + int.from_bytes(head[140:144], "little"))
        else:
            file.seek(0)
        return hashlib.file_digest(file, "sha256").hexdigest()


def _sync_folder(folder: Path) -> None:
    """Wait until the disk knows the names in a folder; a no-op where folders cannot be opened (Windows, shares)."""
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _header(path: Path) -> dict[str, str]:
    names = ("SOPInstanceUID", "StudyInstanceUID", "PatientID", "IssuerOfPatientID", "Modality")
    try:
        with opened(path) as stream:
            ds = parse(stream, whole=False)[0]
        found = {name: str(ds.get(name, "") or "").strip() for name in names}
        checked_uid(found["SOPInstanceUID"])
        checked_uid(found["StudyInstanceUID"])
    except (ExamError, PacsError, *_PARSE_ERRORS) as error:
        if isinstance(error, PacsUnreachable):
            raise
        raise NotWanted(_tr("PACS: expected a DICOM object, found damaged data; it was not kept.")) from error
    return found


class _writing:
    """Turns what the disk says into one sentence."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def __enter__(self) -> None:
        """Nothing to set up."""

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        if not isinstance(error, OSError) or error.errno is None:
            return
        if error.errno in _FULL:
            words = _tr("{0}: the disk is full; free some space and resume, what is here is kept.")
            raise ShelfFull(words.format(self._root)) from error
        if error.errno in _READ_ONLY:
            words = _tr(
                "{0}: the folder cannot be written (read-only or no rights); choose another or allow it."
            )
            raise PacsError(words.format(self._root)) from error

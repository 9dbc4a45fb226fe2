"""The shelf: objects fetched or received, one file each, written whole or not at all, known by UID, size and SHA-256.

Folders are named by hashes: woman, then study. The files hold her identity, so the folder is its owner's only.
"""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import threading
import uuid
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from inference.exam.container import opened, parse
from inference.exam.dicom import _PARSE_ERRORS
from inference.exam.pacs.leftovers import INCOMING, LOCKS, is_at_work, sign_in, sweep_shelf
from inference.exam.pacs.model import PacsError, PacsUnreachable, StudyMatch, checked_uid
from inference.exam.pacs.shelf_index import Entry, Index
from inference.exam.types import ExamError
from resources.file_locks import locked, sync_folder
from resources.translation import translate

MAX_OBJECT_BYTES = 1 << 30
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


class Shelf:
    """A folder of objects; safe for several threads and processes, and to be opened again after a cut.

    Parameters
    ----------
    quota_bytes : nothing is taken beyond it; None = the disk decides
    """

    def __init__(self, root: Path, *, quota_bytes: int | None = None) -> None:
        self._root, self._quota = root, quota_bytes
        self._lock = threading.Lock()
        self._arriving: dict[str, int] = {}
        with _writing(root):
            for folder in (root / INCOMING, root / LOCKS):
                folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            root.chmod(0o700)
            self.token, self._sign = sign_in(root)
        self._index = Index(root)
        sweep_shelf(root)

    @property
    def root(self) -> Path:
        return self._root

    @property
    def used_bytes(self) -> int:
        """Bytes of all objects."""
        self._index.refresh()
        return self._index.used

    def holds(self, sop_uid: str, study_uid: str = "") -> bool:
        """True when the object is here, in this study where one is named, and as long as it was when it came."""
        key = _short(sop_uid, 24)
        if self._index.get(key) is None:
            self._index.refresh()  # another process may have brought it
        entry = self._index.get(key)
        if entry is None or (study_uid and entry.study != _short(study_uid, 16)):
            return False
        try:
            return (self._root / entry.file).stat().st_size == entry.size
        except OSError:
            return False

    def folder_of(self, study_uid: str) -> Path | None:
        """Folder of a study's objects, None when there are none; the fullest where they bear several patient ids."""
        folders = Counter((self._root / file).parent for file in self._files_of(study_uid))
        return folders.most_common(1)[0][0] if folders else None

    def count_of(self, study_uid: str) -> int:
        """How many objects of a study are here."""
        return self._index.count(_short(study_uid, 16))

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Hold what lies beside the objects (the queue's list) against other processes."""
        with locked(self._root / LOCKS / "queue"):
            yield

    def is_at_work(self, token: str) -> bool:
        """Whether the process whose shelf had this ``token`` still lives."""
        return is_at_work(self._root, token)

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
        part = self._root / INCOMING / f"{self.token}-{uuid.uuid4().hex}.part"
        self._index.refresh()
        try:
            size, digest = self._write(part, chunks, max_bytes)
            return self._shelve(part, size, digest, sop_uid, wanted)
        finally:
            part.unlink(missing_ok=True)
            with self._lock:
                self._arriving.pop(part.name, None)

    def remove(self, study_uid: str) -> None:
        """Take all objects of a study off the shelf, whichever process brought them."""
        study = _short(study_uid, 16)
        with _writing(self._root), self._index.changing():
            for entry in self._index.entries().values():
                if entry.study != study:
                    continue
                (self._root / entry.file).unlink(missing_ok=True)
                folder = (self._root / entry.file).parent
                for empty in (folder, folder.parent):
                    if empty.is_dir() and not any(empty.iterdir()):
                        empty.rmdir()
            self._index.drop(study)

    def damaged(self) -> tuple[Path, ...]:
        """Read every object again and return those that are not what they were when they came."""
        found = []
        for entry in self._index.entries().values():
            path = self._root / entry.file
            try:
                with path.open("rb") as file:
                    digest = hashlib.file_digest(file, "sha256").hexdigest()
            except OSError:
                digest = ""
            if digest != entry.sha256:
                found.append(path)
        return tuple(found)

    @contextmanager
    def staged(self, studies: Sequence[StudyMatch]) -> Iterator[Path]:
        """Lend a scratch folder with these studies only, for an import; what a crash leaves goes at the next start.

        Hard links where the disk has them, so that nothing is copied.
        """
        folder = self._root / INCOMING / f"import-{self.token}-{uuid.uuid4().hex}"
        try:
            with _writing(self._root):
                for study in studies:
                    target = folder / _short(study.study_uid, 16)
                    target.mkdir(parents=True, exist_ok=True)
                    for path in sorted(self._root / file for file in self._files_of(study.study_uid)):
                        try:
                            os.link(path, target / path.name)
                        except OSError:
                            shutil.copyfile(path, target / path.name)
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def _files_of(self, study_uid: str) -> list[str]:
        study = _short(study_uid, 16)
        return [entry.file for entry in self._index.entries().values() if entry.study == study]

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
                    raise self._no_room()
                digest.update(chunk)
                file.write(chunk)
            file.flush()
            os.fsync(file.fileno())
        return size, digest.hexdigest()

    def _reserve(self, part: str, size: int) -> bool:
        """Count what is arriving besides what is here: several transfers share one quota."""
        with self._lock:
            self._arriving[part] = size
            return self._quota is None or self._index.used + sum(self._arriving.values()) <= self._quota

    def _no_room(self) -> ShelfFull:
        words = _tr("{0}: the quota of {1:.1f} GB is used up; remove studies or raise the quota.")
        return ShelfFull(words.format(self._root, (self._quota or 0) / 1e9))

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
        with _writing(self._root), self._index.changing():
            kept = self._index.get(key)
            if kept is not None and self.holds(sop):
                here = self._root / kept.file
                if digest != kept.sha256 and _content(part) != _content(here):
                    raise AnotherHere(_tr(
                        "PACS: another object is here under this object's UID and stays; take its study off the shelf to "
                        "receive it anew."
                    ))  # fmt: skip
                return Shelved(path=here, size=kept.size, sop_uid=sop, study_uid=study,
                               modality=found["Modality"], is_new=False)  # fmt: skip
            if self._quota is not None and self._index.used + size > self._quota:  # another process filled it
                raise self._no_room()
            path.parent.mkdir(parents=True, exist_ok=True)
            part.replace(path)
            for folder in (path.parent, path.parent.parent, self._root):  # its name, and those of new folders
                sync_folder(folder)
            self._index.add(key, Entry(file=file, size=size, sha256=digest, study=exam))
        return Shelved(path=path, size=size, sop_uid=sop, study_uid=study, modality=found["Modality"])


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

"""The folder of a run: which job it is, one record an exam, the journals, and the tables made from the records.

A record is made once and whole; that is the moment at which an exam is done. Each process keeps a journal of its own
(one line an exam, on the disk before the next exam is recorded), so that two machines never write into one file.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import MISSING, asdict, dataclass, fields
from pathlib import Path
from typing import Any

from inference.batch.durable import replace_file, set_aside, write_once
from inference.batch.units import Unit, as_recorded
from inference.batch.work import Product
from inference.exam.dicom import pseudonym
from inference.exam.types import InferenceError
from inference.run_output import RunOutput
from resources.scratch import scratch_folder

_LOG = logging.getLogger(__name__)
JOB_FILE = "job.json"
_OURS = ("exams", "journal", "claims", "heatmaps")
_TABLES = ("scores.csv", "detections.csv", "run.json")
FORMAT = 1
SOURCE_PREFIX = "S"  # of a folder's or zip's pseudonym


class BatchError(InferenceError):
    """The run cannot go on as asked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What makes two runs the same run: the model, what is asked of it, and the source by its name.

    ``source`` carries no folders above the last, for the same share may be mounted elsewhere on another machine; of a
    folder or zip, which may be named after a patient, it is a pseudonym.
    """

    model_id: str
    model_version: str
    weights_sha256: str
    preprocessing: str
    source: str
    floor: float | None = None
    heatmaps: bool = False
    objects: bool = False
    lesions_sha256: str = ""
    search_sha256: str = ""  # of what a PACS was asked for, which may name a patient


_WORDS = {
    "model_id": "model",
    "model_version": "model version",
    "weights_sha256": "weights",
    "preprocessing": "preprocessing",
    "source": "source",
    "floor": "--floor",
    "heatmaps": "--heatmaps",
    "objects": "--sr",
    "lesions_sha256": "--lesions",
    "search_sha256": "PACS search",
}


_DEFAULTS = {part.name: part.default for part in fields(Job) if part.default is not MISSING}


def check_writable(folder: Path) -> None:
    """Make a run's folder; BatchError where nothing can be written, before anything is read."""
    found = ""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        found = "a file" if folder.is_file() else str(error.strerror)
    else:
        found = "" if os.access(folder, os.W_OK | os.X_OK) else "one that is read only"
    if found:
        raise BatchError(
            f"--out {folder}: expected a folder that can be written, found {found}; name another."
        )


class RunFolder:
    """One run's folder on a disk or a share."""

    def __init__(self, root: Path, *, objects: Path | None = None) -> None:
        self.root = root
        self._objects = objects
        self._journal: Path | None = None

    def open(self, job: Job, owner: str) -> None:
        """Begin a run here, or go on with it.

        Raises
        ------
        BatchError
            The folder holds a run of another model, other weights or another source; or it cannot be written.
        """
        try:
            for name in ("exams", "journal"):
                (self.root / name).mkdir(parents=True, exist_ok=True)
            self.begin(job)
        except OSError as error:
            raise BatchError(
                f"{self.root}: expected a folder that can be written, found: {error.strerror}; choose another --out."
            ) from error
        self._journal = self.root / "journal" / f"{owner}.jsonl"

    def begin(self, job: Job) -> None:
        """Write down which job this is, or compare it with the one that is written down."""
        facts = {"format": FORMAT, **asdict(job)}
        text = json.dumps(facts, indent=2, ensure_ascii=False) + "\n"
        if write_once(self.root / JOB_FILE, text.encode("utf-8")):
            return
        try:
            found = json.loads((self.root / JOB_FILE).read_text(encoding="utf-8"))
        except ValueError as error:
            raise BatchError(
                f"{self.root / JOB_FILE}: expected the description of a run, found damage; start again with --fresh."
            ) from error
        for name, wanted in facts.items():
            if name == "source" and pseudonym(str(found.get(name)), SOURCE_PREFIX) == wanted:
                continue  # an older program wrote the folder's own name
            if found.get(name, _DEFAULTS.get(name)) != wanted:
                raise BatchError(
                    f"{self.root}: expected a run with {_WORDS.get(name, name)} {_short(wanted)}, found one with "
                    f"{_short(found.get(name))}; choose another --out, or --fresh to throw that run away."
                )

    def recorded(self) -> set[str]:
        """Keys of the exams that are done or have failed."""
        return {path.stem for path in (self.root / "exams").glob("*/*.json")}

    def has(self, key: str) -> bool:
        """Whether an exam is recorded."""
        return self._record(key).is_file()

    def record(self, product: Product, *, worker: str, attempt: int) -> bool:
        """Make an exam done: its files, then its record, then its line in the journal.

        Returns
        -------
        False where another process had recorded it already; nothing is written then.
        """
        if self.has(product.key):
            return False
        for name, data in product.files.items():
            path = self._target(name)
            path.parent.mkdir(parents=True, exist_ok=True)
            replace_file(path, data)
        record = {"format": FORMAT, "case_id": product.case_id, "key": product.key, **product.record}
        data = (json.dumps(record, ensure_ascii=False) + "\n").encode("utf-8")
        path = self._record(product.key)
        path.parent.mkdir(exist_ok=True)
        if not write_once(path, data):
            return False
        self._note(record, data, worker=worker, attempt=attempt)
        return True

    def adopt(self, keys: Iterable[str]) -> int:
        """Give a journal line to records whose process died between the two; returns how many there were."""
        count = 0
        for key in keys:
            record, data = self._read(key)
            if record is not None:
                self._note(record, data, worker="", attempt=0, adopted=True)
                count += 1
        return count

    def journal(self) -> list[dict[str, Any]]:
        """All journals' lines; a last line that a power cut left torn is passed over."""
        lines = []
        for path in sorted((self.root / "journal").glob("*.jsonl")):
            for text in path.read_text(encoding="utf-8", errors="replace").splitlines():
                try:
                    line = json.loads(text)
                except ValueError:
                    _LOG.warning("a torn journal line was passed over")
                    continue
                if isinstance(line, dict):
                    lines.append(line)
        return lines

    def retry_failed(self) -> int:
        """Set the records of failed exams aside, so that they are tried again; returns how many."""
        count = 0
        for key in sorted(self.recorded()):
            record, _ = self._read(key)
            if record is not None and record.get("failure"):
                set_aside(self._record(key), ".failed")
                shutil.rmtree(self.root / "claims" / key[:2] / key, ignore_errors=True)
                count += 1
        return count

    def throw_away(self, *, keep: str) -> None:
        """Take away what a run left here; other files stay, and the heartbeat of the process ``keep``."""
        for name in _OURS:
            shutil.rmtree(self.root / name, ignore_errors=True)
        for path in (self.root / "processes").glob("*.beat"):
            if path.stem != keep:
                path.unlink(missing_ok=True)
        for name in (JOB_FILE, *_TABLES):
            (self.root / name).unlink(missing_ok=True)

    def write_tables(
        self,
        units: Iterable[Unit],
        refused: Iterable[tuple[str, str]],
        facts: Mapping[str, Any],
        *,
        notes: Sequence[str] = (),
    ) -> None:
        """Make scores.csv, detections.csv and run.json of all records, each replaced whole.

        Exams come in the order of ``units``, then those whose files are gone by case. Of an exam whose files changed
        only the present state counts.
        """
        listed = list(units)
        output = RunOutput(self.root)
        if notes:
            output.warnings["--lesions"] = list(notes)
        devices: list[str] = []
        for key in self._order(listed):
            record, _ = self._read(key)
            if record is not None:
                _gather(output, record)
                devices += [str(record["device"])] if record.get("device") else []
        for path, sentence in refused:
            output.fail(path, sentence)
        with scratch_folder("tables") as scratch:
            output.folder = scratch
            output.write(**facts, device=devices[-1] if devices else "")
            for name in _TABLES:
                replace_file(self.root / name, (scratch / name).read_bytes())

    def run_facts(self) -> dict[str, Any]:
        """What run.json says."""
        facts: dict[str, Any] = json.loads((self.root / "run.json").read_text(encoding="utf-8"))
        return facts

    def _order(self, listed: list[Unit]) -> list[str]:
        recorded = self.recorded()
        current = {unit.case_id: as_recorded(unit, recorded).key for unit in listed}
        gone: dict[str, tuple[float, str]] = {}
        for key in recorded - set(current.values()):
            record, _ = self._read(key)
            if record is not None and record["case_id"] not in current:
                newest = (self._record(key).stat().st_mtime, key)
                case = str(record["case_id"])
                gone[case] = max(newest, gone.get(case, newest))
        listed_keys = [key for key in current.values() if key in recorded]
        return listed_keys + [gone[case][1] for case in sorted(gone)]

    def _read(self, key: str) -> tuple[dict[str, Any] | None, bytes]:
        path = self._record(key)
        try:
            data = path.read_bytes()
            record = json.loads(data)
        except FileNotFoundError:
            return None, b""
        except ValueError:  # a disk's own fault, for records are made whole: the exam is done again
            _LOG.warning("a damaged record was set aside")
            set_aside(path, ".damaged")
            return None, b""
        return (record if isinstance(record, dict) and "case_id" in record else None), data

    def _note(
        self, record: Mapping[str, Any], data: bytes, *, worker: str, attempt: int, adopted: bool = False
    ) -> None:
        assert self._journal is not None
        line = {
            "case_id": record["case_id"],
            "key": record["key"],
            "status": "failed" if record.get("failure") else "done",
            "seconds": record.get("seconds"),
            "record_sha256": hashlib.sha256(data).hexdigest(),
            "worker": worker,
            "attempt": attempt,
            **({"adopted": True} if adopted else {}),
        }
        with self._journal.open("ab") as stream:
            stream.write((json.dumps(line, ensure_ascii=False) + "\n").encode("utf-8"))
            stream.flush()
            os.fsync(stream.fileno())

    def _record(self, key: str) -> Path:
        return self.root / "exams" / key[:2] / f"{key}.json"

    def _target(self, name: str) -> Path:
        kind, _, rest = name.partition("/")
        return self._objects / rest if kind == "sr" and self._objects is not None else self.root / name


def _gather(output: RunOutput, record: Mapping[str, Any]) -> None:
    case = str(record["case_id"])
    if record.get("failure"):
        output.fail(case, str(record["failure"]))
    output.scores += record.get("scores", [])
    output.detections += record.get("detections", [])
    if record.get("seconds") is not None:
        output.seconds[case] = record["seconds"]
    if record.get("unread"):
        output.unread[case] = record["unread"]
    for where, sentences in record.get("warnings", {}).items():
        known = output.warnings.setdefault(where, [])
        known += [text for text in sentences if text not in known]


def _short(value: object) -> str:
    text = "none" if value in {None, ""} else str(value)
    return f"{text[:12]}…" if len(text) == 64 else text

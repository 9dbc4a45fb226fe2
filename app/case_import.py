"""Brings exams into a study: groups files to women, de-identifies them, proves that the images stayed the same.

Joins the image side (reading, de-identification) to the study side (case folder). Reports every file.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path

import imagecodecs

from app.import_checks import copies_of_objects, facts_of, own_files, remarks, unread, whose, without_copies
from inference.exam.archive import Member
from inference.exam.deidentification.burned_in import text_like_lines
from inference.exam.deidentification.dataset import Pseudonym
from inference.exam.deidentification.site_key import SiteKey
from inference.exam.deidentification.whole_file import deidentify
from inference.exam.grouping import Group, Item, group_items
from inference.exam.pictures import decode_picture
from inference.exam.sources import FolderSource, ImportEntry, load_group, read_items
from inference.exam.types import Exam, ExamError, ViewImage
from reader_study.case_import import (
    CaseStore,
    StoredCase,
    StoredExam,
    StoredImage,
    only_import,
    open_store,
    written,
)

_OLDEST_TOLD = 90


@dataclass(frozen=True, slots=True, kw_only=True)
class FileRow:
    """What became of one file. ``source`` may name the woman: rows are kept with the key, not with the cases."""

    source: str
    outcome: str  # imported | already there | left out | refused; noted = said of a whole case
    case_id: str = ""
    file: str = ""
    done: str = ""  # e.g. "removed 12, shifted 5"
    sentence: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkRow:
    """Which woman and exam a case came from; kept with the key, for looking up truth and for follow-up only."""

    case_id: str
    role: str  # current, prior1, ...
    patient_id: str
    study_uid: str
    study_date: str


@dataclass(slots=True)
class ImportOutcome:
    """All rows of one import; ``cases`` are those that were added by it."""

    rows: list[FileRow] = field(default_factory=list)
    cases: list[StoredCase] = field(default_factory=list)

    def count(self, outcome: str) -> int:
        return sum(row.outcome == outcome for row in self.rows)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Woman:
    token: str  # her id, hashed, or her exam where there is none
    groups: tuple[Group, ...]  # newest first


def import_cases(
    source: Path,
    store: CaseStore,
    key: SiteKey,
    *,
    images_only: bool = False,
    linked: Callable[[Sequence[LinkRow]], None] = lambda _: None,
    told: Callable[[str], None] = lambda _: None,
) -> ImportOutcome:
    """Import all exams of a folder, zip or manifest into a case folder, one case a woman.

    The newest exam is the case and the older ones are its priors. A woman that is there already is passed over, so
    that an import can be repeated or go on after an interruption; numbers follow the key, never the source's order.

    Parameters
    ----------
    images_only : leave CAD reports, presentation states and key objects out
    linked : receives who a case is, before it is entered: no case without its link, whatever happens in between
    told : receives a line a case, for a progress display

    Raises
    ------
    ExamError
        The source cannot be opened.
    StudyError
        The case folder cannot be written; cases imported so far stay.
    """
    with only_import(store):
        return _import_all(source, store, key, images_only=images_only, linked=linked, told=told)


def _import_all(
    source: Path,
    store: CaseStore,
    key: SiteKey,
    *,
    images_only: bool,
    linked: Callable[[Sequence[LinkRow]], None],
    told: Callable[[str], None],
) -> ImportOutcome:
    store.cases[:] = open_store(store.root).cases  # another import may have ended since the store was opened
    outcome = ImportOutcome()
    items, entries = _found(source, store, outcome)
    women = sorted(_women(group_items(items)), key=lambda woman: key.fingerprint("woman", woman.token))
    beside, lost = ({}, {}) if images_only else _shared_out(entries, women)
    for number, woman in enumerate(women, start=1):
        told(f"{number}/{len(women)}")
        _import_woman(woman, beside.get(woman.token, []), store, key, outcome, linked)
    used = {entry.path for own in beside.values() for entry in own}
    for entry in entries:
        if not entry.accepted and entry.path not in used:
            why = "" if entry.found is None else lost.get(entry.path, "Objects were not asked for. ")
            outcome.rows.append(FileRow(
                source=entry.path, outcome="left out" if entry.listed else "refused", sentence=why + entry.sentence,
            ))  # fmt: skip
    outcome.rows.sort(key=lambda row: row.source)
    return outcome


def _found(source: Path, store: CaseStore, outcome: ImportOutcome) -> tuple[list[Item], list[ImportEntry]]:
    """List what a source holds beside the study's own files, each image and object once."""
    own = own_files(source, store.root)
    items, entries = read_items(source)
    if own:
        items = [item for item in items if not item.member.name.startswith(own)]
        entries = [entry for entry in entries if not entry.path.startswith(own)]
    items, copies = without_copies(items)
    copies += copies_of_objects(entries)
    outcome.rows += [
        FileRow(source=one.name, outcome="left out" if one.same else "refused", sentence=one.sentence)
        for one in copies
    ]
    gone = {one.name for one in copies}
    return items, [entry for entry in entries if entry.path not in gone or entry.accepted]


def _shared_out(
    entries: Sequence[ImportEntry], women: Sequence[_Woman]
) -> tuple[dict[str, list[ImportEntry]], dict[str, str]]:
    """Give every report and saved display to its woman; the second answer says why some are nobody's."""
    tokens: dict[str, set[str]] = defaultdict(set)
    ids: dict[str, set[str]] = defaultdict(set)
    for woman in women:
        for item in (item for group in woman.groups for item in group.items if item.study_uid):
            tokens[item.study_uid].add(woman.token)
            ids[item.study_uid] |= {item.patient_id} - {""}
    beside: dict[str, list[ImportEntry]] = defaultdict(list)
    lost: dict[str, str] = {}
    for entry in entries:
        if entry.found is not None:
            token, why = whose(entry, tokens, ids)
            if token is None:
                lost[entry.path] = why
            else:
                beside[token].append(entry)
    return beside, lost


def _women(groups: Sequence[Group]) -> list[_Woman]:
    by_token: dict[str, list[Group]] = defaultdict(list)
    for group in groups:
        by_token[group.patient_key or f"exam {group.exam_id}"].append(group)
    return [
        _Woman(
            token=token,
            groups=tuple(sorted(own, key=lambda g: (g.study_date or date.min, g.exam_id), reverse=True)),
        )
        for token, own in by_token.items()
    ]


def _studies(groups: Sequence[Group]) -> set[str]:
    return {item.study_uid for group in groups for item in group.items if item.study_uid}


def _import_woman(
    woman: _Woman,
    beside: Sequence[ImportEntry],
    store: CaseStore,
    key: SiteKey,
    outcome: ImportOutcome,
    linked: Callable[[Sequence[LinkRow]], None],
) -> None:
    fingerprint = key.fingerprint("woman", woman.token)
    known = store.of_woman(fingerprint)
    files = [item.member.name for group in woman.groups for item in group.items] + [e.path for e in beside]
    if known is not None:
        word, why = ("already there", "") if _is_whole(known, woman, key) else ("refused", _CHANGED)
        outcome.rows += [
            FileRow(source=name, outcome=word, case_id=known.case_id, sentence=why) for name in files
        ]
        return
    case_id = store.next_id()
    who = Pseudonym(subject_id=case_id, shift_days=key.shift_days(woman.token))
    work = _CaseWork(case_id=case_id, who=who, key=key, folder=store.stage(case_id))
    try:
        exams = [work.write(number, group, beside) for number, group in enumerate(woman.groups)]
        said = remarks(woman.groups, work.originals)
        case = StoredCase(
            case_id=case_id, woman=fingerprint, exam=exams[0], priors=tuple(exams[1:]), age_years=work.age,
            manufacturer=work.manufacturer, density=work.density,
        )  # fmt: skip
        linked(_links(case_id, woman))
        store.publish(case)
    except ExamError as error:
        store.discard()
        outcome.rows += [
            FileRow(source=name, outcome="refused", sentence=_with(name, error)) for name in files
        ]
        return
    except BaseException:
        store.discard()
        raise
    outcome.cases.append(case)
    outcome.rows += work.rows
    outcome.rows += [
        FileRow(source=case_id, outcome="noted", case_id=case_id, sentence=words) for words in said
    ]


def _is_whole(known: StoredCase, woman: _Woman, key: SiteKey) -> bool:
    """Tell whether a case holds all exams of a source with all their images (a file may have been mended since)."""
    stored = {exam.source: len(exam.images) for exam in (known.exam, *known.priors)}
    return all(
        len(group.items) <= stored.get(key.fingerprint("exam", group.exam_id), 0) for group in woman.groups
    )


def _with(name: str, error: ExamError) -> str:
    words = str(error)
    return words if words.startswith(name) else f"{name}: left out with the rest of the case. {words}"


_CHANGED = (
    "The woman's case is frozen with the exams and images it had at its import, and this source has others; "
    "import into a new case folder."
)


@dataclass(slots=True)
class _CaseWork:
    case_id: str
    who: Pseudonym
    key: SiteKey
    folder: Path
    rows: list[FileRow] = field(default_factory=list)
    originals: list[Exam] = field(default_factory=list)
    number: int = 0
    age: int | None = None  # at the current exam, as the files tell it now
    manufacturer: str = ""  # PS3.15 leaves it (table E.1-1 does not name it)
    density: str = ""

    def write(self, order: int, group: Group, beside: Sequence[ImportEntry]) -> StoredExam:
        """Write one exam's files and prove by the digest that its views and pixels are what they were."""
        folder = self.folder / ("current" if order == 0 else f"prior{order}")
        original = load_group(group)
        if why := unread(group, original):
            raise ExamError(why)
        self.originals.append(original)
        marks = {image.path: text_like_lines(image) for image in original.images}
        names = [self._image(item, folder, marks.get(item.member.name, 0)) for item in group.items]
        for entry in beside:
            if entry.found is not None and entry.study_uid in _studies([group]):
                self._object(entry.found.member, folder)
        declared = any(item.row is not None for item in group.items)  # a manifest may say more than a header
        exam = None if declared else self._same(folder, original)
        if exam is None:  # what told view or kind was a name that is gone now: say it in a case file
            self._declare(group, names, folder)
            exam = self._same(folder, original)
        if exam is None:
            raise ExamError(
                f"Case {self.case_id}: expected the same views and pixels after de-identification, found others; left out."
            )
        if order == 0:
            self.age = exam.age
            self.manufacturer, self.density = facts_of(group, exam)
        return StoredExam(
            exam_id=exam.exam_id,
            digest=exam.digest,
            images={image.key: _stored(image) for image in exam.images},
            source=self.key.fingerprint("exam", group.exam_id),
        )

    def _image(self, item: Item, folder: Path, lines: int) -> str:
        if not item.member.is_picture:
            return self._object(item.member, folder, lines)
        name = self._name("png")
        png = imagecodecs.png_encode(decode_picture(item.member.read()))
        self._keep(folder / name, bytes(png))
        self._tell(item.member, name, "pixels only", () if not lines else (_TEXT.format(lines),))
        return name

    def _object(self, member: Member, folder: Path, lines: int = 0) -> str:
        clean = deidentify(member.read(), member.name, key=self.key, who=self.who)
        name = self._name("dcm")
        self._keep(folder / name, clean.data)
        done = ", ".join(f"{word} {count}" for word, count in sorted(clean.counts.items()) if count)
        told = (*clean.warnings, _TEXT.format(lines)) if lines else clean.warnings
        self._tell(member, name, done, told)
        return name

    def _name(self, suffix: str) -> str:
        self.number += 1
        return f"{self.case_id}_{self.number:03d}.{suffix}"

    def _keep(self, path: Path, data: bytes) -> None:
        with written(self.folder.parent.parent):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)

    def _tell(self, member: Member, name: str, done: str, told: Sequence[str]) -> None:
        self.rows.append(FileRow(
            source=member.name, outcome="imported", case_id=self.case_id, file=name, done=done,
            sentence=" ".join(f"{text[0].upper()}{text[1:]}." for text in told),
        ))  # fmt: skip

    def _same(self, folder: Path, original: Exam) -> Exam | None:
        """Read an exam back as the readers' program will; None unless digest and views are the original's."""
        # From the folder above all cases: an exam's id may depend on its path below it.
        source = FolderSource(self.folder.parent)
        own = f"{folder.relative_to(self.folder.parent).as_posix()}/"
        for summary in source.list():
            try:
                exam = source.load(summary.exam_id)
            except ExamError:
                continue
            if exam.digest == original.digest and all(image.path.startswith(own) for image in exam.images):
                return exam
        return None

    def _declare(self, group: Group, names: Sequence[str], folder: Path) -> None:
        images = []
        for item, name in zip(group.items, names, strict=True):
            row = item.row
            images.append({
                "path": name, "laterality": item.view.laterality.value, "view": item.view.projection.value,
                "kind": item.kind.value, "spacing_mm": row.spacing_mm if row else None, "bits": row.bits if row else None,
            })  # fmt: skip
        ages = [item.age for item in group.items if item.age is not None]
        shown = {
            "case_id": self.case_id,
            "patient_id": self.case_id,
            "age": min(ages[0], _OLDEST_TOLD) if ages else None,
            "study_date": _moved(group.study_date, self.who.shift_days),
            "images": images,
        }
        self._keep(folder / "case.json", json.dumps(shown, indent=1).encode())


_TEXT = (
    "may contain text: {} lines of letter-like shapes outside the breast; look at the image before readers do"
)


def _stored(image: ViewImage) -> StoredImage:
    rows, cols = image.pixels.shape
    at = image.spacing
    return StoredImage(rows=rows, cols=cols, spacing_mm=None if at is None else (at.row_mm, at.col_mm))


def _moved(day: date | None, days: int) -> str | None:
    return None if day is None else (day + timedelta(days=days)).strftime("%Y%m%d")


def _links(case_id: str, woman: _Woman) -> list[LinkRow]:
    rows = []
    for order, group in enumerate(woman.groups):
        first = group.items[0]
        rows.append(LinkRow(
            case_id=case_id, role="current" if order == 0 else f"prior{order}",
            patient_id=first.patient_id or (first.row.patient_id if first.row else "") or first.case,
            study_uid=first.study_uid, study_date=group.study_date.strftime("%Y%m%d") if group.study_date else "",
        ))  # fmt: skip
    return rows

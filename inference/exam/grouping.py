"""Which files make one exam: by study, or by declared fallbacks for sets whose study ids differ per image.

Works on names and header facts only. Every fallback leaves a note that the user sees.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from datetime import date

from inference.exam import views
from inference.exam.archive import Member
from inference.exam.dicom import pseudonym
from inference.exam.manifest import ManifestImage
from resources.vocabulary import ImageKind, Laterality, Projection, ViewName

_NAMED_PATIENT = re.compile(r"(?P<stem>(?:.*_)?P_\d+)_(?:LEFT|RIGHT)_(?:CC|MLO)", re.IGNORECASE)
_CDD = re.compile(r"^P(?P<woman>\d+)_(?P<side>[LR])_(?P<kind>DM|CM)_(?P<view>CC|MLO)$", re.IGNORECASE)
_MIAS = re.compile(r"^mdb(?P<number>\d{3})$", re.IGNORECASE)
_MASK_FOLDERS = frozenset({"mask", "masks", "segmentation", "segmentations"})
_MIAS_MM = 0.2  # the set is published at 200 um a pixel


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One file that can hang, and what is known for grouping it."""

    member: Member
    view: ViewName
    kind: ImageKind
    study_uid: str = ""
    sop_uid: str = ""
    patient_id: str = ""
    age: int | None = None
    shape: tuple[int, int] = (0, 0)
    case: str = ""  # declared or derived from the name; decides the group when set
    rule: str = ""
    row: ManifestImage | None = None
    patient_key: str = ""
    birth_date: str = field(default="", repr=False)
    study_date: date | None = None
    warnings: tuple[str, ...] = ()  # conflicts of the header, one sentence each

    @property
    def key(self) -> str:
        return f"{self.view.key}/{self.kind.value}" if self.kind.is_contrast else self.view.key


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """The files of one exam, before decoding."""

    exam_id: str
    title: str
    items: tuple[Item, ...]
    notes: tuple[str, ...] = ()
    patient_key: str = ""
    study_date: date | None = None


def item_from_name(member: Member) -> tuple[Item | None, str]:
    """Read side, view, kind and case of a picture from its name; the sentence names the rule that fired."""
    folder, _, file = member.name.rpartition("/")
    stem = file.rpartition(".")[0]
    if _MASK_FOLDERS & {part.lower() for part in folder.split("/")}:
        return None, f"{member.name}: a lesion mask by its folder; not an image to hang."
    if match := _CDD.match(stem):
        kind = ImageKind.CESM_LOW if match["kind"].upper() == "DM" else ImageKind.CESM_RECOMBINED
        view = ViewName(Laterality(match["side"].upper()), Projection(match["view"].upper()))
        return _picture(
            member, view, kind, f"P{match['woman']}", "CDD-CESM file name (DM low energy, CM recombined)"
        )
    if match := _MIAS.match(stem):
        number = int(match["number"])
        side = Laterality.RIGHT if number % 2 else Laterality.LEFT
        first = number if number % 2 else number - 1
        case = f"mdb{first:03d}-{first + 1:03d}"
        item, said = _picture(member, ViewName(side, Projection.MLO), ImageKind.FILM, case,
                              "MIAS file name (odd right, even left, all MLO, 0.2 mm)")  # fmt: skip
        if item is not None and item.row is not None:
            item = replace(item, row=replace(item.row, spacing_mm=_MIAS_MM))
        return item, said
    named = views.view_from_name(stem)
    if named is None:
        return (
            None,
            f"{member.name}: expected side and view in the name (e.g. 1_R-MLO), found none; add a manifest.",
        )
    case = re.split(r"[\s_\-]*" + re.escape(named[2]), stem)[0] or (folder.rpartition("/")[2] or stem)
    return _picture(member, ViewName(named[0], named[1]), ImageKind.FFDM, case, f"file name ({named[2]})")


def group_items(items: list[Item]) -> list[Group]:
    """Group files to exams: declared cases, names of research film sets, film folders, and else studies."""
    groups: dict[str, list[Item]] = {}
    for item in _by_film_folder([_by_patient_name(item) for item in items]):
        key = f"case|{item.case}" if item.case else f"study|{item.study_uid or item.member.name}"
        groups.setdefault(key, []).append(item)
    parted = [part for key, members in groups.items() for part in _by_woman(key, members)]
    return _told_apart([_group(*part) for part in parted])


def _by_woman(key: str, items: list[Item]) -> list[tuple[str, list[Item], str]]:
    """Part a study that holds several patient ids: breasts of two women never hang side by side as one exam."""
    women = sorted({item.patient_key for item in items})
    count = sum(bool(woman) for woman in women)
    if count < 2 or items[0].case:
        return [(key, items, "")]
    said = f"Conflict: {count} patient ids in one study; parted, one exam each, not linked to prior exams."
    return [(f"{key}|{woman}", [i for i in items if i.patient_key == woman], said) for woman in women]


def _told_apart(groups: list[Group]) -> list[Group]:
    """Unlink exams of one patient id with different birth dates: hospitals give out the same numbers."""
    born: dict[str, set[str]] = {}
    for group in groups:
        found = {item.birth_date for item in group.items if item.birth_date}
        born.setdefault(group.patient_key, set()).update(found)
    said = "Conflict: the same patient id with different birth dates; not linked to prior exams."
    return [
        replace(group, patient_key="", notes=(*group.notes, said))
        if group.patient_key and len(born[group.patient_key]) > 1
        else group
        for group in groups
    ]


def _group(key: str, items: list[Item], conflict: str = "") -> Group:
    ordered = tuple(
        sorted(
            items, key=lambda i: (i.view.projection, i.view.laterality.value != "R", i.kind, i.member.name)
        )
    )
    exam_id = pseudonym(key)
    case = ordered[0].case
    notes = tuple(dict.fromkeys(f"Fallback: {item.rule}." for item in ordered if item.rule))
    keys = [item.key for item in ordered]
    repeated = sorted({k for k in keys if keys.count(k) > 1})
    if repeated:
        notes += (f"More than one image of {', '.join(repeated)}.",)
    title = case.rpartition("/")[2] if case else f"Exam {exam_id[1:7]}"
    women = {item.patient_key for item in ordered if item.patient_key}
    notes += (conflict,) if conflict else ()
    notes += tuple(dict.fromkeys(text for item in ordered for text in item.warnings))
    dates = sorted(item.study_date for item in ordered if item.study_date is not None)
    return Group(
        exam_id=exam_id,
        title=title,
        items=ordered,
        notes=notes,
        patient_key=women.pop() if len(women) == 1 and not conflict else "",
        study_date=dates[0] if dates else None,
    )


def _by_patient_name(item: Item) -> Item:
    """CBIS-DDSM gives every image its own patient and study; the name before side and view is the woman's."""
    if item.case:
        return item
    for text in (item.patient_id, *reversed(item.member.name.split("/"))):
        match = _NAMED_PATIENT.search(text)
        if match:
            number = re.search(r"P_\d+", match["stem"], re.IGNORECASE)
            assert number is not None  # part of the pattern above
            where = "patient id" if text == item.patient_id else "file or folder name"
            return replace(item, case=number.group(0).upper(), rule=f"grouped by the number in the {where}")
    return item


def _by_film_folder(items: list[Item]) -> list[Item]:
    """Films of one folder that all have their own study and show different views are one exam."""
    folders: dict[str, list[Item]] = {}
    for item in items:
        if not item.case and item.kind is ImageKind.FILM:
            folders.setdefault(item.member.name.rpartition("/")[0], []).append(item)
    joined: dict[str, Item] = {}
    for folder, films in folders.items():
        keys, studies = {film.key for film in films}, {film.study_uid for film in films}
        women = {film.patient_key for film in films if film.patient_key}
        if 1 < len(films) == len(keys) == len(studies) and len(women) < 2:
            for film in films:
                joined[film.member.name] = replace(
                    film, case=folder or "films", rule="films with one study each grouped by their folder"
                )
    return [joined.get(item.member.name, item) for item in items]


def _picture(
    member: Member, view: ViewName, kind: ImageKind, case: str, rule: str
) -> tuple[Item | None, str]:
    folder = member.name.rpartition("/")[0]
    row = ManifestImage(case_id=case, view=view, kind=kind, path=member.name, row=0)
    full = f"{folder}/{case}" if folder else case
    item = Item(
        member=member, view=view, kind=kind, case=full, rule=f"view and case from the {rule}", row=row
    )
    return item, f"{member.name}: accepted as {view.label}, {kind.value}, by the {rule}."

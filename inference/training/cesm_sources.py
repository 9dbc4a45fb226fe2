"""Real contrast pairs to learn from: a manifest and its lesions, checked, cut into folds by woman, and prepared.

Owns what of the tables is learnt from and why something is not (docs/training.md); training and the model folder
are ``cesm_manifest``'s.
"""

from __future__ import annotations

import hashlib
import logging
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import StratifiedGroupKFold

from inference.cesm_engine import read_pairs
from inference.exam.manifest import (
    Manifest,
    ManifestImage,
    ManifestLesion,
    exams_of,
    load_case,
    read_manifest,
    resolve_inside,
)
from inference.exam.types import InferenceError
from inference.lesions import GivenLesion, given_lesions
from inference.model_card import file_sha256
from inference.preprocessing.cesm import (
    WORK_MM,
    PreparedPair,
    box_on_grid,
    crop_box,
    mask_on_grid,
    prepare_pair,
)
from inference.training.cesm_data import (
    CesmExam,
    LesionSample,
    MarkedView,
    cesm_cache,
    cut_exam,
    fold_of,
    load_exam,
    plain_enhancement,
    save_exam,
)
from inference.training.four_view_cases import LeftOut, women_of
from inference.training.four_view_sources import TrainedOn
from resources.files import UserFacingError
from resources.vocabulary import FOUR_VIEWS, ImageKind, Laterality, Pathology, ViewName

_LOG = logging.getLogger(__name__)
_LEARNT = {"", "train", "training"}  # words of the column split that do not keep a woman out
_ENERGIES = (ImageKind.CESM_LOW, ImageKind.CESM_RECOMBINED)
_SEED = 97


@dataclass(frozen=True, slots=True, kw_only=True)
class CesmSourceCase:
    """One exam to learn from; ``truth`` by side and lesion: malignant, or None where it is not known."""

    case_id: str
    woman: str
    rows: tuple[ManifestImage, ...]
    marks: tuple[ManifestLesion, ...]
    truth: Mapping[tuple[Laterality, str], bool | None]

    def cancer(self) -> dict[str, bool]:
        """Cancer or not by side, R and L; a side of which it is not known is missing."""
        out = {}
        for side in Laterality:
            said = {row.pathology for row in self.rows if row.view.laterality is side} - {None}
            lesions = {known for (at, _), known in self.truth.items() if at is side}
            if Pathology.MALIGNANT in said or True in lesions:
                out[side.value] = True
            elif said or (lesions and None not in lesions):
                out[side.value] = False
        return out

    def looked_at(self, side: Laterality) -> bool:
        """Whether all that is in a breast is marked: it has a marked lesion, or is normal."""
        said = {row.pathology for row in self.rows if row.view.laterality is side}
        return any(at is side for at, _ in self.truth) or said == {Pathology.NORMAL}


@dataclass(frozen=True, slots=True, kw_only=True)
class CesmSource:
    """The exams of two tables that can be learnt from, prepared, with the fold of each."""

    cases: tuple[CesmSourceCase, ...]
    exams: tuple[CesmExam, ...]
    folds: Mapping[str, int]  # by case
    count: int  # of folds
    folder: Path
    lesion_folder: Path
    identity: str  # of what is learnt from
    trained_on: TrainedOn
    left_out: tuple[LeftOut, ...]


def cesm_source(
    manifest: Path,
    lesions: Path,
    cache: Path,
    preprocessing: str,
    *,
    folds: int,
    seed: int,
    most_left_out: float,
) -> CesmSource:
    """Read both tables, check them, and prepare every exam that is not in the cache.

    Parameters
    ----------
    folds
        At most so many parts of the cross-validation; fewer where one kind of lesion has fewer women.
    most_left_out
        Largest share of the exams that may be unreadable, 0 .. 1.

    Raises
    ------
    InferenceError
        One kind of lesion is missing or has one woman only, an image of a pair is missing, or too many exams
        cannot be read.
    """
    table = read_manifest(manifest, lesions)
    listed, left_out, held_out = _cases(table)
    _check_classes(manifest.name, lesions.name, listed)
    _check_pairs(manifest.name, table.folder, listed)
    count, by_case = _parts(listed, folds, seed)
    kept = cesm_cache(cache, preprocessing)
    exams, cases = [], []
    for number, case in enumerate(listed, start=1):
        try:
            exams.append(_prepared(case, table.folder, lesions.parent, preprocessing, kept))
            cases.append(case)
        except UserFacingError as error:
            left_out.append(LeftOut(case_id=case.case_id, what="exam", why=str(error)))
        if number % 50 == 0:
            _LOG.info("prepared %d of %d exams", number, len(listed))
    lost = len(listed) - len(cases)
    if lost > most_left_out * len(listed):
        raise InferenceError(
            f"{manifest.name}: expected at most {most_left_out:.0%} of the exams to learn from to be unreadable, found "
            f"{lost} of {len(listed)}; mend them or raise --most-left-out. The first: {left_out[-1].why}"
        )
    _check_classes(manifest.name, lesions.name, cases)
    digests = [file_sha256(path)[:12] for path in (manifest, lesions)]
    rule = f"split by woman into {count} folds (StratifiedGroupKFold over lesions, seed {seed})"
    return CesmSource(
        cases=tuple(cases),
        exams=tuple(exams),
        folds=by_case,
        count=count,
        folder=table.folder,
        lesion_folder=lesions.parent,
        identity=f"{manifest.name} {digests[0]}, {lesions.name} {digests[1]}, {count} folds, {preprocessing}",
        trained_on=TrainedOn(
            kind="manifest",
            tables=tuple(f"{p.name} ({d})" for p, d in zip((manifest, lesions), digests, strict=True)),
            rule=rule,
            exams=len(cases),
            women=len({case.woman for case in cases}),
            normal=sum(not case.truth for case in cases),
            malignant=sum(True in case.cancer().values() for case in cases),
            lesions=_lesion_counts(cases),
            kinds=tuple(kind.value for kind in _ENERGIES),
            held_out=held_out,
            left_out=len(left_out),
        ),
        left_out=(*(LeftOut(case_id="", what=manifest.name, why=p) for p in table.problems), *left_out),
    )


def marked_views(
    case: CesmSourceCase, pairs: Iterable[PreparedPair], given: Sequence[GivenLesion]
) -> list[MarkedView]:
    """The views of a case whose breast was looked at whole, with the masks of their lesions."""
    views = {}
    for pair in pairs:
        view = next(v for v in FOUR_VIEWS if pair.low_key.startswith(v.key))
        if case.looked_at(view.laterality):
            views[view] = pair
    return [
        MarkedView(
            pair=pair, view=view, marks=tuple((s, mask) for s, mask, _ in marks_of(case, view, pair, given))
        )
        for view, pair in views.items()
    ]


def marks_of(
    case: CesmSourceCase, view: ViewName, pair: PreparedPair, given: Sequence[GivenLesion]
) -> list[tuple[LesionSample | None, NDArray[np.bool_], GivenLesion]]:
    """Each lesion of a view once, by its row of the recombined image where it has one: sample, mask, the lesion.

    A lesion known by its box only is the ellipse in it. None = its truth is not known.
    """
    chosen: dict[str, GivenLesion] = {}
    for key in (pair.recombined_key, pair.low_key):
        for lesion in given:
            if lesion.image_key == key:
                chosen.setdefault(lesion.lesion_id, lesion)
    categories = {m.lesion_id: m.extra["birads"] for m in case.marks if m.extra.get("birads")}
    of_breast = {row.birads for row in case.rows if row.view.laterality is view.laterality and row.birads}
    out: list[tuple[LesionSample | None, NDArray[np.bool_], GivenLesion]] = []
    for name, lesion in chosen.items():
        mask = (
            box_on_grid(pair, lesion.box) if lesion.mask is None else mask_on_grid(pair, lesion.mask)
        ) & pair.breast
        malignant = case.truth.get((view.laterality, name))
        if not mask.any():
            continue
        sample = LesionSample(
            case_id=case.case_id,
            laterality=view.laterality,
            projection=view.projection,
            lesion_id=name,
            finding=lesion.finding.value,
            malignant=bool(malignant),
            diameter_mm=crop_box(mask, 0.0)[2] * WORK_MM,
            enhancement=plain_enhancement(pair, mask),
            birads=categories.get(name) or "/".join(sorted(of_breast)),
        )
        out.append((sample if malignant is not None else None, mask, lesion))
    return out


def _cases(table: Manifest) -> tuple[list[CesmSourceCase], list[LeftOut], int]:
    """Exams to learn from with the truth of their lesions, what is left out, and how many are held out."""
    women = women_of((row.case_id, row.patient_id or "") for row in table.images)
    rows: Iterable[ManifestImage | ManifestLesion] = (*table.images, *table.lesions)
    held = {
        women[row.case_id]
        for row in rows
        if row.case_id in women and row.extra.get("split", "").strip().lower() not in _LEARNT
    }
    marks: dict[str, list[ManifestLesion]] = {}
    for mark in table.lesions:
        marks.setdefault(mark.case_id, []).append(mark)
    out, left_out, kept = [], [], 0
    for case_id, images in exams_of(table):
        if women[case_id] in held:
            kept += 1
            continue
        mine = tuple(marks.get(case_id, ()))
        truth = _truth(images, mine)
        for (side, name), known in truth.items():
            if known is None:
                why = "malignant is empty and the breast's pathology does not say it; not judged, not background"
                left_out.append(
                    LeftOut(case_id=case_id, what=f"lesion {name}, {side.name.lower()} breast", why=why)
                )
        case = CesmSourceCase(case_id=case_id, woman=women[case_id], rows=images, marks=mine, truth=truth)
        if any(case.looked_at(side) for side in Laterality):
            out.append(case)
        else:
            why = "no lesion row places a finding and no breast is normal"
            left_out.append(LeftOut(case_id=case_id, what="exam", why=why))
    return out, left_out, kept


def _truth(
    images: Sequence[ManifestImage], marks: Sequence[ManifestLesion]
) -> dict[tuple[Laterality, str], bool | None]:
    """A lesion's own word in any of its rows; without one benign in a breast that is benign, else not known."""
    out: dict[tuple[Laterality, str], bool | None] = {}
    for mark in marks:
        key = (mark.view.laterality, mark.lesion_id)
        said = {out.get(key), mark.malignant} - {None}
        out[key] = (True in said) if said else None
    for (side, name), known in out.items():
        pathology = {row.pathology for row in images if row.view.laterality is side}
        if known is None and pathology == {Pathology.BENIGN}:
            out[side, name] = False
    return out


def _women(cases: Sequence[CesmSourceCase], malignant: bool) -> set[str]:
    return {case.woman for case in cases if malignant in case.truth.values()}


def _lesion_counts(cases: Sequence[CesmSourceCase]) -> dict[str, int]:
    known = Counter(known for case in cases for known in case.truth.values())
    return {"malignant": known[True], "benign": known[False], "of unknown truth": known[None]}


def _check_classes(images: str, lesions: str, cases: Sequence[CesmSourceCase]) -> None:
    counts = _lesion_counts(cases)
    if min(len(_women(cases, True)), len(_women(cases, False))) < 2:
        raise InferenceError(
            f"{lesions}: expected malignant and benign lesions (column malignant 1 and 0), each of two women or more "
            f"among those to learn from of {images}, found {counts['malignant']} malignant of "
            f"{len(_women(cases, True))} women and {counts['benign']} benign of {len(_women(cases, False))}; add "
            "cases of the other kind, for a classifier cannot be learnt from one."
        )


def _check_pairs(images: str, folder: Path, cases: Sequence[CesmSourceCase]) -> None:
    """Refuse where a view with a lesion lacks one of its two images, as a row or as a file."""
    missing: list[str] = []
    for case in cases:
        for view in dict.fromkeys(mark.view for mark in case.marks if mark.view in FOUR_VIEWS):
            rows = [row for row in case.rows if row.view == view]
            there = {row.kind for row in rows if resolve_inside(folder, row.path).is_file()}
            absent = [row.path for row in rows if not resolve_inside(folder, row.path).is_file()]
            if not set(_ENERGIES) <= there:
                found = " and ".join(sorted(kind.value for kind in there)) or "neither"
                lost = f" (no file {absent[0]})" if absent else ""
                missing.append(f"{case.case_id}, {view.label}, found {found}{lost}")
    if missing:
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        raise InferenceError(
            f"{images}: expected a cesm_low and a cesm_recombined image of every view with a lesion, but of "
            f"{missing[0]}{more}; add the rows and files that are missing, or take the rows of these cases out of the "
            "tables."
        )


def _parts(cases: Sequence[CesmSourceCase], most: int, seed: int) -> tuple[int, dict[str, int]]:
    """Number of folds and the fold of each case: a woman in one, malignant and benign lesions alike in each."""
    count = min(most, len(_women(cases, True)), len(_women(cases, False)))
    entries = [(case.woman, known) for case in cases for known in case.truth.values() if known is not None]
    women, states = [w for w, _ in entries], [bool(k) for _, k in entries]
    cut = StratifiedGroupKFold(n_splits=count, shuffle=True, random_state=seed)
    of_woman: dict[str, int] = {}
    for fold, (_, held) in enumerate(cut.split(np.zeros(len(entries)), states, women)):
        of_woman |= {women[int(n)]: fold for n in held}
    return count, {case.case_id: of_woman.get(case.woman, fold_of(case.woman, count)) for case in cases}


def _prepared(
    case: CesmSourceCase, folder: Path, lesion_folder: Path, preprocessing: str, kept: Path
) -> CesmExam:
    """Crops and canvases of a case, from the cache while rows and files are the same."""
    files = [resolve_inside(folder, row.path) for row in case.rows]
    files += [resolve_inside(lesion_folder, m.mask_path) for m in case.marks if m.mask_path]
    stats = [(path.stat().st_size, path.stat().st_mtime_ns) if path.is_file() else () for path in files]
    rows = [*(replace(r, row=0) for r in case.rows), *(replace(m, row=0) for m in case.marks)]
    told = repr((case.case_id, str(folder.resolve()), str(lesion_folder.resolve()), rows, stats))
    path = kept / f"manifest-{hashlib.sha256(told.encode()).hexdigest()[:20]}.npz"
    if path.is_file():
        return load_exam(path)
    exam = load_case(case.case_id, case.rows, folder)
    given, notes = given_lesions(exam, case.case_id, case.marks, lesion_folder)
    if notes:
        raise InferenceError(notes[0])
    pairs = [prepare_pair(pair, preprocessing) for pair in read_pairs(exam)]
    rng = np.random.default_rng([_SEED, int(hashlib.sha256(case.case_id.encode()).hexdigest()[:8], 16)])
    made = cut_exam(case.case_id, marked_views(case, pairs, given), rng)
    save_exam(made, path)
    return made

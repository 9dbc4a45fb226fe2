"""Phantom views for training and judging places: small pictures with the true frame, and detections as a
detector would give them, with jitter, misses and false ones.

Made once at 0.3 mm, kept as one file an exam. Coordinates are those of the small picture's own pixels.
"""

from __future__ import annotations

import hashlib
import logging
import multiprocessing
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inference.exam.phantom import PhantomExam, phantom_exam
from inference.exam.phantom_spec import PhantomLesion, PhantomSpec
from inference.exam.types import Box, Orientation
from inference.exam.view_frame import CHEST_WALL_EDGE, ViewFrame, straight_line
from inference.preprocessing.landmarks import SmallView, small_view
from inference.preprocessing.layout import Placement, box_to_canvas, point_to_canvas
from inference.results import Attribute, Detection
from resources.vocabulary import FindingType, Laterality, Pathology, Projection

_LOG = logging.getLogger(__name__)
PHANTOM_MM = 0.3
TRAIN_SEEDS, TEST_SEEDS = 5_000_000, 6_000_000
_FILE_VERSION = 1
_TYPES = (FindingType.MASS, FindingType.CALCIFICATION, FindingType.ASYMMETRY, FindingType.DISTORTION)
_FALSE_PER_VIEW = 0.8
_MISSED = 0.12  # of the lesions of a view
_WRONG_TYPE, _WRONG_TERM = 0.12, 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class TrueLesion:
    """One lesion in one view's small picture."""

    lesion_id: str
    finding: FindingType
    malignant: bool
    box: Box
    attributes: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class TrueView:
    """One view with its true frame; ``view.placement`` is the identity."""

    laterality: Laterality
    view: SmallView = field(repr=False)
    frame: ViewFrame
    lesions: tuple[TrueLesion, ...]


def places_spec(seed: int) -> PhantomSpec:
    """The phantom of a seed: one to three lesions beside those of the other breast, two in three malignant."""
    pathology = Pathology.BENIGN if seed % 3 == 2 else Pathology.MALIGNANT
    lesions = (None, 2, 3)[seed // 3 % 3]
    return PhantomSpec(seed=seed, pixel_mm=PHANTOM_MM, pathology=pathology, lesions=lesions)


def true_views(phantom: PhantomExam) -> tuple[TrueView, ...]:
    """Draw a phantom's views small and bring its truth to their pixels."""
    out = []
    for image in phantom.exam.images:
        small = small_view(image)
        nipple = _point(small.placement, phantom.nipples[image.key])
        edge = [_point(small.placement, (float(r), float(c))) for r, c in phantom.pectoral_edges[image.key]]
        frame = ViewFrame(
            projection=small.projection,
            nipple=nipple,
            wall=straight_line(np.array(edge)) if edge else CHEST_WALL_EDGE,
            pixel_mm=small.pixel_mm,
        )
        lesions = tuple(
            _true_lesion(lesion, box_to_canvas(small.placement, lesion.views[image.key].box))
            for lesion in phantom.lesions
            if image.key in lesion.views
        )
        view = replace(small, placement=_identity(small.grey.shape))
        out.append(TrueView(laterality=image.view.laterality, view=view, frame=frame, lesions=lesions))
    return tuple(out)


def _point(placement: Placement, centre: tuple[float, float]) -> tuple[float, float]:
    """A phantom's point (whole numbers at pixel centres) on the small picture (edges)."""
    return point_to_canvas(placement, centre[0] + 0.5, centre[1] + 0.5)


def _true_lesion(lesion: PhantomLesion, box: Box) -> TrueLesion:
    terms = {
        "shape": lesion.shape,
        "margin": lesion.margin,
        "morphology": lesion.morphology,
        "distribution": lesion.distribution,
    }
    return TrueLesion(
        lesion_id=lesion.lesion_id,
        finding=lesion.finding,
        malignant=lesion.malignant,
        box=box,
        attributes={name: term for name, term in terms.items() if term},
    )


def _identity(shape: tuple[int, ...]) -> Placement:
    rows, cols = shape[0], shape[1]
    return Placement(
        stored_shape=(rows, cols),
        orientation=Orientation(),
        mirror=False,
        origin=(0.0, 0.0),
        extent=(float(rows), float(cols)),
        scale=(1.0, 1.0),
        offset=(0.0, 0.0),
        canvas_shape=(rows, cols),
    )


def load_views(seeds: Sequence[int], cache: Path, *, workers: int = 1) -> list[tuple[TrueView, ...]]:
    """Make the exams of these seeds, or find them in the cache.

    Parameters
    ----------
    cache
        A changed generator or a changed way to draw the small picture gets a folder of its own.
    workers
        Processes that make phantoms.
    """
    folder = cache / f"places-{_source_digest()}"
    folder.mkdir(parents=True, exist_ok=True)
    jobs = [(seed, str(folder)) for seed in seeds]
    paths: list[str] = []
    if workers > 1:
        with multiprocessing.get_context("spawn").Pool(workers) as pool:
            for path in pool.imap(_kept, jobs, chunksize=4):
                paths.append(path)
                if len(paths) % 100 == 0:
                    _LOG.info("prepared %d of %d exams", len(paths), len(jobs))
    else:
        paths = [_kept(job) for job in jobs]
    return [_read(Path(path)) for path in paths]


def _source_digest() -> str:
    from inference.exam import phantom
    from inference.preprocessing import breast, intensity, landmarks, layout

    files = sorted(Path(str(phantom.__file__)).parent.glob("phantom*.py"))
    files += [Path(str(m.__file__)) for m in (breast, intensity, landmarks, layout)]
    parts = [path.read_bytes() for path in files] + [str((_FILE_VERSION, PHANTOM_MM)).encode()]
    return hashlib.sha256(b"".join(parts)).hexdigest()[:12]


def _kept(job: tuple[int, str]) -> str:
    seed, folder = job
    path = Path(folder) / f"{seed}.npz"
    if not path.exists():
        partial = path.with_suffix(".tmp")
        with partial.open("wb") as stream:
            np.savez_compressed(
                stream, allow_pickle=False, **_arrays(true_views(phantom_exam(places_spec(seed))))
            )
        partial.replace(path)
    return str(path)


def _arrays(views: tuple[TrueView, ...]) -> dict[str, Any]:
    out: dict[str, Any] = {}
    for k, item in enumerate(views):
        out[f"{k}.grey"] = np.rint(item.view.grey * 255).astype(np.uint8)
        out[f"{k}.mask"] = np.packbits(item.view.mask, axis=1)
        frame = item.frame
        out[f"{k}.frame"] = np.array([*frame.nipple, *frame.wall.point, *frame.wall.normal, frame.pixel_mm])
        out[f"{k}.names"] = np.array([item.view.image_key, item.laterality.value, frame.projection.value])
        out[f"{k}.boxes"] = np.array(
            [[x.box.row0, x.box.col0, x.box.row1, x.box.col1] for x in item.lesions]
        ).reshape(-1, 4)
        out[f"{k}.lesions"] = np.array(
            [
                [
                    x.lesion_id,
                    x.finding.value,
                    str(int(x.malignant)),
                    *(x.attributes.get(n, "") for n in _TERMS),
                ]
                for x in item.lesions
            ],
            dtype=np.str_,
        ).reshape(-1, 3 + len(_TERMS))
    return out


_TERMS = ("shape", "margin", "morphology", "distribution")


def _read(path: Path) -> tuple[TrueView, ...]:
    with np.load(path, allow_pickle=False) as stored:
        count = sum(name.endswith(".grey") for name in stored.files)
        return tuple(_view_of({n: stored[f"{k}.{n}"] for n in _PARTS}) for k in range(count))


_PARTS = ("grey", "mask", "frame", "names", "boxes", "lesions")


def _view_of(get: dict[str, NDArray[Any]]) -> TrueView:
    grey = get["grey"].astype(np.float32) / np.float32(255)
    key, side, projection = (str(v) for v in get["names"])
    numbers = [float(v) for v in get["frame"]]
    wall = replace(CHEST_WALL_EDGE, point=(numbers[2], numbers[3]), normal=(numbers[4], numbers[5]))
    frame = ViewFrame(
        projection=Projection(projection), nipple=(numbers[0], numbers[1]), wall=wall, pixel_mm=numbers[6]
    )
    lesions = tuple(
        TrueLesion(
            lesion_id=str(words[0]),
            finding=FindingType(str(words[1])),
            malignant=str(words[2]) == "1",
            box=Box(row0=float(b[0]), col0=float(b[1]), row1=float(b[2]), col1=float(b[3])),
            attributes={n: str(t) for n, t in zip(_TERMS, words[3:], strict=True) if str(t)},
        )
        for words, b in zip(get["lesions"], get["boxes"], strict=True)
    )
    view = SmallView(
        image_key=key,
        projection=frame.projection,
        grey=grey,
        mask=np.unpackbits(get["mask"], axis=1, count=grey.shape[1]).astype(bool),
        placement=_identity(grey.shape),
        pixel_mm=frame.pixel_mm,
        measured=True,
        found=True,
    )
    return TrueView(laterality=Laterality(side), view=view, frame=frame, lesions=lesions)


def jittered(box: Box, shape: tuple[int, ...], pixel_mm: float, rng: np.random.Generator) -> Box:
    """A box as a detector would draw it: centre off by 0.7 mm and 8 % of its size, sides by 15 % (1 SD)."""
    size = np.array([box.row1 - box.row0, box.col1 - box.col0])
    centre = np.array(box.center) + rng.normal(size=2) * (0.7 / pixel_mm + 0.08 * size)
    half = 0.5 * size * np.exp(rng.normal(0.0, 0.15, 2))
    low = np.clip(centre - half, 0, np.array(shape) - 2.0)
    high = np.clip(centre + half, low + 1.0, np.array(shape, np.float64))
    return Box(row0=float(low[0]), col0=float(low[1]), row1=float(high[0]), col1=float(high[1]))


def random_box(view: SmallView, rng: np.random.Generator, *, tries: int = 1) -> Box:
    """A box anywhere in the breast, the brightest of ``tries`` places; median side 12 mm."""
    rows, cols = np.nonzero(view.mask)
    picks = rng.integers(len(rows), size=tries)
    best = picks[int(np.argmax(view.grey[rows[picks], cols[picks]]))]
    half = 0.5 * np.exp(rng.normal(np.log(12.0), 0.4, 2)) / view.pixel_mm
    at = np.array([rows[best], cols[best]], np.float64)
    low = np.clip(at - half, 0, np.array(view.grey.shape) - 2.0)
    high = np.clip(at + half, low + 1.0, np.array(view.grey.shape, np.float64))
    return Box(row0=float(low[0]), col0=float(low[1]), row1=float(high[0]), col1=float(high[1]))


def simulated_detections(item: TrueView, rng: np.random.Generator) -> list[tuple[Detection, str | None]]:
    """Detections of one view with the id of the lesion each is of, None for a false one.

    Lesions are missed, types and terms mistaken, scores of true and false ones overlap; a detector's own
    errors will differ, so no feature may rest on its score alone.
    """
    out: list[tuple[Detection, str | None]] = []
    for lesion in item.lesions:
        if rng.random() < _MISSED:
            continue
        finding = _TYPES[int(rng.integers(4))] if rng.random() < _WRONG_TYPE else lesion.finding
        chance = rng.beta(4.0, 2.0) if lesion.malignant else rng.beta(2.0, 4.0)
        box = jittered(lesion.box, item.view.grey.shape, item.view.pixel_mm, rng)
        terms = {
            n: _term(n, lesion.attributes.get(n, _WORDS[n][0]), rng, wrong=_WRONG_TERM)
            for n in _DESCRIBED.get(finding, ())
        }
        out.append(
            (_detection(item, len(out), box, finding, rng.beta(4, 2), chance, terms), lesion.lesion_id)
        )
    for _ in range(int(rng.poisson(_FALSE_PER_VIEW))):
        box = random_box(item.view, rng, tries=4)
        finding = _TYPES[int(rng.choice(4, p=(0.45, 0.25, 0.2, 0.1)))]
        terms = {n: _term(n, _WORDS[n][0], rng, wrong=1.0) for n in _DESCRIBED.get(finding, ())}
        found = _detection(item, len(out), box, finding, rng.beta(2, 3), rng.beta(2, 4), terms)
        out.append((found, None))
    return out


_WORDS = {
    "shape": ("irregular", "oval", "round"),
    "margin": ("spiculated", "circumscribed"),
    "morphology": ("fine pleomorphic", "round"),
    "distribution": ("linear", "grouped"),
}


_DESCRIBED = {
    FindingType.MASS: ("shape", "margin"),
    FindingType.CALCIFICATION: ("morphology", "distribution"),
}


def _term(name: str, truth: str, rng: np.random.Generator, *, wrong: float) -> Attribute:
    words = _WORDS[name]
    term = words[int(rng.integers(len(words)))] if rng.random() < wrong else truth
    return Attribute(term=term, probability=float(rng.uniform(0.5, 1.0)))


def _detection(
    item: TrueView,
    number: int,
    box: Box,
    finding: FindingType,
    score: float,
    malignancy: float,
    terms: dict[str, Attribute],
) -> Detection:
    return Detection(
        detection_id=f"{item.view.image_key}:{number}",
        image_key=item.view.image_key,
        box=box,
        score=float(score),
        finding=finding,
        malignancy=float(malignancy),
        attributes=terms,
    )

"""What objects beside the images say, in our own words: CAD reports, presentation states, key images.

Plain data without pydicom; coordinates are (row, col) in stored-file pixels, continuous, (0, 0) the outer corner
of the first pixel (PS3.3 C.18.6.1.2).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from inference.exam.types import ExamError, Voi
from resources.vocabulary import FindingType

Point = tuple[float, float]  # row, col


class ObjectError(ExamError):
    """An object beside the images cannot be read or written; one sentence for the user."""


class CadState(StrEnum):
    """How far CAD processing came and whether it found anything: the five codes of DICOM CID 6047, or none."""

    ALL_WITHOUT = "111241"
    ALL_WITH = "111242"
    SOME_WITHOUT = "111243"
    SOME_WITH = "111244"
    NONE_SUCCEEDED = "111245"
    UNSTATED = ""  # the report lacks the item; never the same as "no findings"

    @property
    def has_failed(self) -> bool:
        """True where at least one algorithm failed, or the report does not say."""
        return self not in {CadState.ALL_WITHOUT, CadState.ALL_WITH}


class Status(StrEnum):
    """Status of results, DICOM CID 6042."""

    SUCCEEDED = "111222"
    PARTLY = "111223"
    FAILED = "111224"
    NOT_ATTEMPTED = "111225"
    UNSTATED = ""


class Intent(StrEnum):
    """Rendering intent, DICOM CID 6034, from the most to the least shown."""

    REQUIRED = "111150"
    OPTIONAL = "111151"
    NEVER = "111152"

    @property
    def rank(self) -> int:
        return list(Intent).index(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class CadAlgorithm:
    """One algorithm that ran or failed; ``performed`` is what it looks for, e.g. "Calcification Cluster"."""

    name: str
    version: str
    performed: str = ""
    failed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class CadOutline:
    """A drawn border: a closed or open polyline, or the four end points of an ellipse's axes (major, then minor)."""

    points: tuple[Point, ...]
    is_ellipse: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class CadMark:
    """One Single Image Finding (TID 4006); certainty and probability in [0, 1], None = not stated."""

    mark_id: str
    image_uid: str  # SOP Instance UID of the image it was found in
    finding: FindingType | None
    meaning: str  # code meaning, e.g. "Calcification Cluster"
    center: Point | None
    outlines: tuple[CadOutline, ...] = ()
    intent: Intent = Intent.REQUIRED
    operating_point: float | None = None
    certainty: float | None = None
    probability: float | None = None
    algorithm: str = ""
    version: str = ""
    group: str | None = None  # marks of one composite feature carry the same group
    description: str = ""

    def is_shown_at(self, operating_point: float | None) -> bool:
        """Say whether the mark is drawn (MG-29; PS3.4 O.2.2.1, PS3.17 E.4).

        Parameters
        ----------
        operating_point : the reader's choice; None = required marks only.
        """
        if self.intent is not Intent.OPTIONAL:
            return self.intent is Intent.REQUIRED
        if operating_point is None:
            return False
        return self.operating_point is None or self.operating_point <= operating_point


@dataclass(frozen=True, slots=True, kw_only=True)
class CadReport:
    """One Mammography CAD SR document."""

    uid: str
    state: CadState
    detections: Status = Status.UNSTATED
    analyses: Status = Status.UNSTATED
    manufacturer: str = ""
    model: str = ""
    name: str = ""  # file name, for sentences
    algorithms: tuple[CadAlgorithm, ...] = ()
    marks: tuple[CadMark, ...] = ()
    image_uids: tuple[str, ...] = ()  # Image Library
    study_uid: str = ""
    created: str = ""  # content date and time as written
    impression: str = ""
    problems: tuple[str, ...] = ()  # what could not be read, one sentence each

    @property
    def operating_points(self) -> tuple[float, ...]:
        """CAD Operating Points of the optional marks, rising; 0 stands for optional marks without one."""
        return tuple(sorted({m.operating_point or 0.0 for m in self.marks if m.intent is Intent.OPTIONAL}))


@dataclass(frozen=True, slots=True, kw_only=True)
class Graphic:
    """One drawn figure or text of a presentation state, over one image.

    ``kind`` is POINT, POLYLINE, INTERPOLATED, CIRCLE (centre, point on it), ELLIPSE (four axis ends) or TEXT.
    ``in_display`` = the points are shares (row, col) of the displayed area instead of pixels.
    """

    kind: str
    points: tuple[Point, ...]
    text: str = ""
    in_display: bool = False
    filled: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """Image Rotation (0, 90, 180, 270 degrees clockwise), then Image Horizontal Flip (PS3.3 C.10.6)."""

    degrees: int = 0
    flip: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class DisplayedArea:
    """What part of an image is shown: whole pixels, half-open box before the turn, and how it was sized."""

    row0: int
    col0: int
    row1: int
    col1: int
    mode: str = "SCALE TO FIT"  # or TRUE SIZE, MAGNIFY
    magnification: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Shutter:
    """A display shutter: ``kind`` RECTANGULAR (two corners), CIRCULAR (centre, then (radius, radius)) or POLYGONAL."""

    kind: str
    points: tuple[Point, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageState:
    """How one presentation state shows one image."""

    image_uid: str
    voi: Voi | None = None
    area: DisplayedArea | None = None
    graphics: tuple[Graphic, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class PresentationState:
    """One Grayscale Softcopy Presentation State."""

    uid: str
    label: str
    images: tuple[ImageState, ...]
    description: str = ""
    turn: Turn = Turn()
    inverse: bool = False
    shutters: tuple[Shutter, ...] = ()
    name: str = ""
    created: str = ""
    study_uid: str = ""
    problems: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyObjects:
    """One Key Object Selection document: why (title) and which instances."""

    uid: str
    title: str
    image_uids: tuple[str, ...]
    description: str = ""
    name: str = ""
    study_uid: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExamObjects:
    """All that was found beside the images of one exam; ``problems`` name files that could not be read."""

    cad: tuple[CadReport, ...] = ()
    states: tuple[PresentationState, ...] = ()
    keys: tuple[KeyObjects, ...] = ()
    problems: tuple[str, ...] = ()

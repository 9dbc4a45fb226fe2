"""The AI's findings as the reader meets them: one entry a lesion, numbered, with its views, place and words.

Groups detections that a model matched between views. What may be shown at all is decided before this is asked;
drawing belongs to ``app.views``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from app.state.ai_view import ModelWords, point_title
from app.state.hanging_fill import partner_of
from app.state.lesion_place import LesionPlace, lesion_place
from app.state.terms import attribute_term, finding_term
from inference.exam.types import ViewImage
from inference.model_card import OperatingPoint
from inference.results import ATTRIBUTES, ENERGIES, Detection, ExamResult
from resources.translation import translate
from resources.vocabulary import FindingType, ImageKind, Laterality


def _tr(text: str) -> str:
    return translate("ai_findings", text)


@dataclass(frozen=True, slots=True, kw_only=True)
class AiFinding:
    """One lesion: its detections, surest first, and its number in the exam's list (1 = the highest score)."""

    number: int
    laterality: Laterality
    detections: tuple[Detection, ...]
    views: tuple[str, ...]  # "CC", "MLO", in the order of the detections
    place: LesionPlace
    # Where several models answered: the model's letter and name, its threshold, and which others mark the lesion.
    letter: str = ""
    model: str = ""
    cut: float | None = None
    agreement: str = ""
    silent: str = ""  # which models looked and do not mark it
    judged: bool = False  # its model is one that judges lesions: the malignancy belongs with the score

    @property
    def tag(self) -> str:
        """What names it on the pictures and in the list: "3", or "B3" where several models answered."""
        return f"{self.letter}{self.number}"

    @property
    def key(self) -> str:
        """Id of its surest detection: what is chosen in the list."""
        return self.detections[0].detection_id

    @property
    def score(self) -> float:
        """The highest score of its detections, 0..1."""
        return self.detections[0].score

    @property
    def finding(self) -> FindingType | None:
        return self.detections[0].finding

    @property
    def malignancy(self) -> float | None:
        """The highest malignancy of its detections, 0..1; None = the model does not say."""
        return max((d.malignancy for d in self.detections if d.malignancy is not None), default=None)

    @property
    def match(self) -> float | None:
        """Probability that its views show one lesion; None = seen in one view, or not said."""
        if len(set(self.views)) < 2:
            return None
        return max(
            (d.match_probability for d in self.detections if d.match_probability is not None), default=None
        )

    def has(self, detection_id: str | None) -> bool:
        """True where a detection is one of its own."""
        return any(one.detection_id == detection_id for one in self.detections)


def ai_findings(result: ExamResult, images: Sequence[ViewImage]) -> tuple[AiFinding, ...]:
    """Return the lesions of an exam, the highest score first; a detection on an unknown image is left out.

    Detections of one group and breast are one lesion, and so are two of one box on the low-energy and the recombined
    image of one exposure. Numbers do not depend on a threshold, so they stay when it moves: the findings at a threshold
    are always 1 to n.
    """
    known = {image.key: image for image in images}
    grid = picture_of(images)
    groups: dict[tuple[Laterality, str], list[Detection]] = {}
    for one in result.detections:
        image = known.get(one.image_key)
        if image is None:
            continue
        name = f"one {one.detection_id}"
        if one.group is not None:
            name = f"group {one.group}"
        elif image.kind.is_contrast:
            name = f"box {grid[image.key]} {one.box}"
        groups.setdefault((image.view.laterality, name), []).append(one)
    ordered = [
        (side, sorted(members, key=lambda d: (-d.score, d.detection_id)))
        for (side, _), members in groups.items()
    ]
    ordered.sort(key=lambda entry: (-entry[1][0].score, entry[1][0].detection_id))
    return tuple(_finding(n, side, members, known) for n, (side, members) in enumerate(ordered, 1))


def picture_of(images: Sequence[ViewImage]) -> dict[str, str]:
    """Which picture an image is: its own key, or that of the low-energy image of its exposure, which has the same pixels."""
    grid = {image.key: image.key for image in images}
    for low in (image for image in images if image.kind is ImageKind.CESM_LOW):
        partner = partner_of(low, images)
        if partner is not None:
            grid[partner.key] = low.key
    return grid


def _finding(
    number: int, side: Laterality, members: Sequence[Detection], known: Mapping[str, ViewImage]
) -> AiFinding:
    projections = [known[one.image_key].view.projection for one in members]
    return AiFinding(
        number=number,
        laterality=side,
        detections=tuple(members),
        views=tuple(projection.value for projection in projections),
        place=lesion_place(side, list(zip(projections, members, strict=True))),
    )


def listed(findings: Sequence[AiFinding], threshold: float) -> tuple[AiFinding, ...]:
    """Return the findings whose surest detection reaches a threshold; one that has its model's own is held to that."""
    return tuple(one for one in findings if one.score >= (threshold if one.cut is None else one.cut))


# ---------------------------------------------------------------- words


def kind_words(finding: AiFinding) -> str:
    """Type of the finding, within a line."""
    return finding_term(finding.finding) if finding.finding is not None else _tr("finding")


def side_words(side: Laterality) -> str:
    """The breast."""
    return _tr("right breast") if side is Laterality.RIGHT else _tr("left breast")


def views_words(finding: AiFinding) -> tuple[str, str]:
    """In which views it was found, and how surely they show one lesion ("" for one view): for a narrow line."""
    views = sorted(dict.fromkeys(finding.views))
    if len(views) == 1:
        return _tr("{0} only").format(views[0]), ""
    match = (
        _tr("match {0:.0f} %").format(100 * finding.match) if finding.match is not None else _tr("matched")
    )
    return " + ".join(views), match


def seen_words(finding: AiFinding, threshold: float) -> str:
    """Say in which views it was found, how surely they are one lesion, and which of them is below the threshold."""
    views = list(dict.fromkeys(finding.views))
    if len(views) == 1:
        return _tr("{0} only, one view").format(views[0])
    both = _tr(" and ").join(sorted(views))
    words = _tr("seen in {0}").format(both)
    if finding.match is not None:
        words += _tr(", match {0:.0f} %").format(100 * finding.match)
    best: dict[str, float] = {}
    for view, one in zip(finding.views, finding.detections, strict=True):
        best[view] = max(one.score, best.get(view, 0.0))
    below = [view for view, score in best.items() if score < threshold]
    return words + (_tr(" ({0} below threshold)").format(", ".join(below)) if below else "")


def attribute_words(finding: AiFinding) -> str:
    """Descriptors with how sure the model is of each, the surest detection's where views differ; empty = none."""
    said: dict[str, str] = {}
    for one in finding.detections:
        for name in ATTRIBUTES:
            found = one.attributes.get(name)
            if found is not None and name not in said:
                said[name] = f"{attribute_term(name, found.term)} ({100 * found.probability:.0f} %)"
    return ", ".join(said[name] for name in ATTRIBUTES if name in said)


def detail_lines(finding: AiFinding, words: ModelWords, threshold: float) -> tuple[str, ...]:
    """Everything about the chosen finding, one sentence a line: place, views, descriptors, and what each number means."""
    threshold = threshold if finding.cut is None else finding.cut
    agreed = "; ".join(filter(None, (finding.agreement, finding.silent)))
    lines = [finding.model, agreed] if finding.letter else []
    lines = [line for line in lines if line]
    lines.append(f"{side_words(finding.laterality)}: {finding.place.long}".rstrip(": "))
    lines.append(seen_words(finding, threshold))
    if said := attribute_words(finding):
        lines.append(said)
    meaning = words.finding_meaning or _tr("the model's score that there is a finding here")
    lines.append(_tr("Score {0:.0f} %: {1}").format(100 * finding.score, translate("model", meaning)))
    if finding.malignancy is not None:
        meaning = words.malignancy_meaning or _tr("the model's score that this finding is malignant")
        lines.append(
            _tr("Malignancy {0:.0f} %: {1}").format(100 * finding.malignancy, translate("model", meaning))
        )
        if words.malignancy_points:
            lines.append(point_words(finding.malignancy, words.malignancy_points))
    if said := energy_words(finding):
        lines.append(said)
    return tuple(lines)


def point_words(value: float, points: Sequence[OperatingPoint]) -> str:
    """Say on which side of each named point of the card a malignancy lies, the lowest point first."""
    return ", ".join(
        f"{'≥' if value >= point.threshold else '<'} {point_title(point.name)} ({point.threshold:.2f})"
        for point in points
    )


def energy_scores_of(finding: AiFinding) -> Mapping[str, float] | None:
    """Malignancy from each image of a contrast pair and from both, of the view whose malignancy the finding has."""
    told = [one for one in finding.detections if one.energy_scores]
    return max(told, key=lambda one: one.malignancy or 0.0).energy_scores if told else None


def energy_words(finding: AiFinding) -> str:
    """Malignancy from each image of a contrast pair alone and from both; empty where the model does not say."""
    scores = energy_scores_of(finding)
    if scores is None:
        return ""
    names = {
        "low": _tr("low energy alone {0:.0f} %"),
        "recombined": _tr("recombined alone {0:.0f} %"),
        "both": _tr("both {0:.0f} %"),
    }
    said = ", ".join(names[one].format(100 * scores[one]) for one in ENERGIES if one in scores)
    return _tr("Malignancy by image: {0}").format(said)


def malignancy_words(finding: AiFinding) -> str:
    """Malignancy in a narrow line, of models that judge lesions; empty otherwise."""
    return (
        ""
        if finding.malignancy is None or not finding.judged
        else _tr("malignancy {0:.0f} %").format(100 * finding.malignancy)
    )


def line_words(finding: AiFinding, threshold: float) -> str:
    """The whole entry of the list as text, for search, copying and screen readers."""
    head = f"{finding.tag} {finding.laterality.value} {kind_words(finding)} {100 * finding.score:.0f} %"
    cut = threshold if finding.cut is None else finding.cut
    said = (head, finding.model, finding.place.short, seen_words(finding, cut), finding.agreement)
    return "\n".join(filter(None, said))


def count_words(findings: Sequence[AiFinding], threshold: float) -> str:
    """Say what the threshold does: how many findings it leaves, and how many it hides."""
    shown = len(listed(findings, threshold))
    hidden = len(findings) - shown
    if not shown:
        words = _tr("Read, no finding at {0:.2f} or above").format(threshold)
    elif shown == 1:
        words = _tr("1 finding at {0:.2f}").format(threshold)
    else:
        words = _tr("{0} findings at {1:.2f}").format(shown, threshold)
    return words + below_words(hidden)


def below_words(hidden: int) -> str:
    """How many findings a threshold hides; empty for none."""
    return _tr(" ({0} below)").format(hidden) if hidden else ""

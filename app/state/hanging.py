"""Which image hangs where, in which steps, for one exam and its priors; a match says why each image is where
it is.

Protocols are data (``app.state.hanging_rules``); which image fills a place is ``app.state.hanging_fill``. Sizes
and scales belong to ``app.state.sizing``, widgets to ``app.views.viewport_grid``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from app.state.display import ZoomMode
from app.state.hanging_fill import (
    Filled,
    fill,
    is_hangable,
    is_special,
    kinds_words,
    mosaics,
    name_of,
    partner_of,
    prior_of,
    whole_breast_of,
)
from app.state.hanging_rules import Protocol, Requirement, StageRule, load_protocols, parse_protocol
from app.state.terms import kind_term
from inference.exam.types import Exam, ViewImage
from resources.files import ResourceError
from resources.translation import translate
from resources.vocabulary import ImageKind, ViewModifier

__all__ = [
    "Cell",
    "Choice",
    "Match",
    "Protocol",
    "Stage",
    "choices",
    "load_protocols",
    "match",
    "parse_protocol",
    "partner_of",
]


def _tr(text: str) -> str:
    return translate("hanging", text)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One place of a stage; ``image_key`` None = nothing to hang here, ``why`` says so or which rule
    placed it.

    ``partner`` is the image that the in-place toggle of low energy and recombined shows (CEM-03), ``prior`` the
    one that the toggle of current and prior shows (MG-41). ``stack`` lists all images of the place, the one on
    top first, where there are several (MG-36, MG-39). ``considered`` says what became of those that lost.
    """

    row: int
    col: int
    image_key: str | None
    why: str
    label: str = ""  # what belongs here, shown when the place stays empty
    partner: str | None = None
    prior: str | None = None
    stack: tuple[str, ...] = ()
    considered: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """One step of the hanging: a grid of places and the size mode it opens in.

    ``title`` is the same in every language: logs and the user's own protocols keep it.
    """

    title: str
    rows: int
    cols: int
    cells: tuple[Cell, ...]
    zoom: ZoomMode = ZoomMode.SAME
    words: str = ""  # the title in the reader's language

    @property
    def shown_title(self) -> str:
        """What the screen calls this step."""
        return self.words or self.title


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """A protocol laid out for one exam, and the reasons for all that is unusual."""

    protocol: Protocol
    stages: tuple[Stage, ...]
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """One protocol that could hang an exam, and in a sentence why it fits or not."""

    protocol: Protocol
    fits: bool
    hung: int
    why: str


# ---------------------------------------------------------------- choosing


def _wanting(protocol: Protocol, exam: Exam, priors: Sequence[Exam]) -> str:
    """Say what the exam lacks for the protocol, "" when it fits."""
    if not {image.kind for image in exam.images} & set(protocol.requires_any_kind):
        return _tr("needs an image of kind {0}").format(kinds_words(protocol.requires_any_kind))
    if Requirement.PRIOR in protocol.requires and not priors:
        return _tr("needs a prior exam")
    displaced = any(ViewModifier.IMPLANT_DISPLACED in image.modifiers for image in exam.images)
    if Requirement.IMPLANT_DISPLACED in protocol.requires and not displaced:
        return _tr("needs an implant-displaced view")
    return ""


def choices(protocols: Sequence[Protocol], exam: Exam, priors: Sequence[Exam] = ()) -> tuple[Choice, ...]:
    """Judge every protocol for an exam, the best first (MG-40).

    A protocol that fits goes before one that does not; then what hangs more images; then the higher priority;
    then the order given.
    """
    judged = []
    for order, protocol in enumerate(protocols):
        hung = sum(image.kind in protocol.hangs_kinds for image in exam.images)
        wanting = _wanting(protocol, exam, priors)
        why = _tr("{0} of {1} images are of kinds it hangs").format(hung, len(exam.images))
        if wanting:
            why = _tr("does not fit: {0}").format(wanting)
        elif protocol.requires:
            needs = {
                Requirement.PRIOR: _tr("prior"),
                Requirement.IMPLANT_DISPLACED: _tr("implant displaced"),
            }
            why += _tr("; made for {0}").format(", ".join(needs[need] for need in protocol.requires))
        choice = Choice(protocol=protocol, fits=not wanting, hung=hung, why=why)
        judged.append(((not wanting, hung, protocol.priority, -order), choice))
    judged.sort(key=lambda pair: pair[0], reverse=True)
    return tuple(choice for _, choice in judged)


# ---------------------------------------------------------------- laying out


def _cell(row: int, col: int, filled: Filled, exam: Exam, priors: Sequence[Exam], label: str = "") -> Cell:
    image = filled.image
    if image is None:
        return Cell(
            row=row, col=col, image_key=None, why=filled.why, label=label, considered=filled.considered
        )
    partner = partner_of(image, [other for one in (exam, *priors) for other in one.images])
    prior = prior_of(image, exam, priors)
    return Cell(
        row=row,
        col=col,
        image_key=image.key,
        why=filled.why,
        label=image.view.label,
        partner=partner.key if partner is not None else None,
        prior=prior.key if prior is not None else None,
        stack=tuple(member.key for member in filled.stack) if len(filled.stack) > 1 else (),
        considered=filled.considered,
    )


def _by_rule(
    rule: StageRule, exam: Exam, priors: Sequence[Exam], placed: dict[str, Filled]
) -> tuple[Stage | None, list[str]]:
    """Fill one stage of the protocol; None with the reason where a whole group of its places stays empty."""
    cells, reasons = [], []
    groups: dict[tuple[object, ...], list[bool]] = {}
    found: list[Filled] = []
    for slot in rule.slots:
        filled = fill(slot, exam, priors)
        groups.setdefault(slot.group, []).append(filled.image is not None)
        cells.append(_cell(slot.row, slot.col, filled, exam, priors, label=slot.view_words))
        if filled.image is None:
            reasons.append(filled.why)
        elif slot.prior == 0:
            found.append(filled)
    if not all(any(one) for one in groups.values()):
        empty = next(slot for slot in rule.slots if not any(groups[slot.group]))
        if len(groups) == 1:
            words = _tr("stage '{0}' left out: none of its views is in this exam")
        else:
            words = _tr("stage '{0}' left out: nothing like {1} is in this exam")
        return None, [words.format(title_words(rule.title), empty.view_words)]
    for filled in found:
        if filled.image is not None:
            placed.setdefault(filled.image.key, filled)
    stage = Stage(title=rule.title, rows=rule.rows, cols=rule.cols, zoom=rule.zoom, cells=tuple(cells))
    return replace(stage, words=title_words(rule.title)), reasons


def title_words(title: str) -> str:
    """The title of a protocol or step in the reader's language; the user's own titles stay as they are."""
    return _tr(title)


def _single(rule: tuple[str, ZoomMode], filled: Filled, exam: Exam, priors: Sequence[Exam]) -> Stage:
    image = filled.image
    assert image is not None
    name = shown = name_of(image)
    if image.kind is ImageKind.CESM_RECOMBINED:
        name += " recombined"
        shown += f" {kind_term(image.kind)}"
    cell = _cell(0, 0, filled, exam, priors)
    title, words = rule[0].format(view=name), title_words(rule[0]).format(view=shown)
    return Stage(title=title, words=words, rows=1, cols=1, zoom=rule[1], cells=(cell,))


def _special(rule: tuple[str, ZoomMode], image: ViewImage, exam: Exam, priors: Sequence[Exam]) -> Stage:
    """A spot or magnified view beside the whole breast, each at a scale of its own (MG-37)."""
    why = _tr("{0} is a spot or magnification view: hung in a step of its own, never at same size").format(
        name_of(image)
    )
    stage = _single(rule, Filled(image=image, why=why), exam, priors)
    whole = whole_breast_of(image, exam.images)
    if whole is None:
        return stage
    words = _tr("{0} of the whole breast beside its {1}").format(whole.view.label, name_of(image))
    beside = Filled(image=whole, why=words)
    return replace(stage, cols=2, cells=(*stage.cells, _cell(0, 1, beside, exam, priors)))


def _mosaic(parts: Sequence[ViewImage], exam: Exam, priors: Sequence[Exam]) -> Stage:
    """All parts of one view in one step at the same size (MG-36)."""
    count = len(parts)
    rows = 1 if count <= 3 else 2
    cols = -(-count // rows)
    cells = []
    for number, image in enumerate(parts):
        where = ", ".join(image.flags.partial_region)
        name = f"{name_of(image)} ({where})" if where else name_of(image)
        why = _tr("part {0} of {1} of {2}: Partial View").format(number + 1, count, name)
        cells.append(_cell(number // cols, number % cols, Filled(image=image, why=why), exam, priors))
    title = f"{name_of(parts[0])} mosaic, {count} parts"
    words = _tr("{0} mosaic, {1} parts").format(name_of(parts[0]), count)
    return Stage(title=title, words=words, rows=rows, cols=cols, cells=tuple(cells), zoom=ZoomMode.SAME)


def _compact(stage: Stage) -> Stage:
    """Take out rows and columns without any image: one breast alone gets the whole screen (MG-40)."""
    rows = sorted({cell.row for cell in stage.cells if cell.image_key is not None})
    cols = sorted({cell.col for cell in stage.cells if cell.image_key is not None})
    cells = tuple(
        replace(cell, row=rows.index(cell.row), col=cols.index(cell.col))
        for cell in stage.cells
        if cell.row in rows and cell.col in cols
    )
    return replace(stage, rows=len(rows), cols=len(cols), cells=cells)


def _same_picture(one: Stage, other: Stage) -> bool:
    places = [
        (stage.rows, stage.cols, stage.zoom, {(c.row, c.col): c.image_key for c in stage.cells})
        for stage in (one, other)
    ]
    return places[0] == places[1]


def _lay_out(
    protocol: Protocol, exam: Exam, priors: Sequence[Exam]
) -> tuple[tuple[Stage, ...], tuple[str, ...]]:
    stages: list[Stage] = []
    reasons: list[str] = []
    placed: dict[str, Filled] = {}
    for rule in protocol.stages:
        stage, said = _by_rule(rule, exam, priors, placed)
        reasons += said
        if stage is None:
            continue
        stage = _compact(stage)
        twin = next((earlier for earlier in stages if _same_picture(earlier, stage)), None)
        if twin is None:
            stages.append(stage)
        else:
            words = _tr("stage '{0}' left out: it would look like '{1}'")
            reasons.append(words.format(stage.shown_title, twin.shown_title))
    grouped = [parts for parts in mosaics(exam.images) if parts[0].kind in protocol.hangs_kinds]
    stages += [_mosaic(parts, exam, priors) for parts in grouped]
    shown = {member.key for filled in placed.values() for member in filled.stack}
    shown |= {image.key for parts in grouped for image in parts}
    for filled in placed.values():
        image = filled.image
        assert image is not None
        if len(filled.stack) > 1:
            words = _tr("{0}: {1} images in one place, {2} on top")
            reasons.append(words.format(name_of(image), len(filled.stack), image.key))
        # One single-view step a pair of energies: the toggle shows the other one in place.
        pair = image.kind is ImageKind.CESM_RECOMBINED and partner_of(image, exam.images) is not None
        if protocol.each_view is not None and not pair:
            alone = replace(filled, why=_tr("{0} on its own").format(name_of(image)))
            stages.append(_single(protocol.each_view, alone, exam, priors))
    others, said = _others(protocol, exam, priors, shown)
    return (*stages, *others), tuple(dict.fromkeys([*reasons, *said]))


def _others(
    protocol: Protocol, exam: Exam, priors: Sequence[Exam], shown: set[str]
) -> tuple[list[Stage], list[str]]:
    stages, reasons = [], []
    for image in exam.images:
        partner = partner_of(image, exam.images)
        if image.key in shown or (partner is not None and partner.key in shown):
            continue  # the toggle of the energies reaches it
        if image.kind not in protocol.hangs_kinds or not is_hangable(image):
            hangable = is_hangable(image)
            what = kind_term(image.kind) if hangable else _tr("quality control or for processing")
            reasons.append(_tr("{0} ({1}) is listed, not hung").format(name_of(image), what))
            continue
        if is_special(image):
            words = _tr("{0} is a spot or magnification view: hung in a later step")
            reasons.append(words.format(name_of(image)))
            stages.append(_special(protocol.others, image, exam, priors))
            continue
        why = _tr("{0} ({1}) has no place in '{2}': hung on its own").format(
            name_of(image), kind_term(image.kind), title_words(protocol.title)
        )
        reasons.append(why)
        stages.append(_single(protocol.others, Filled(image=image, why=why), exam, priors))
    return stages, reasons


def match(
    protocols: Sequence[Protocol], exam: Exam, priors: Sequence[Exam] = (), *, chosen: str | None = None
) -> Match:
    """Choose and lay out the protocol that hangs most of the exam (MG-40).

    Parameters
    ----------
    protocols : candidates, in order of preference for ties.
    priors : earlier exams of the same woman as ``app.state.priors.as_prior`` makes them, newest first.
    chosen : id of the protocol that the user picked; None or unknown = the best.

    Returns
    -------
    The stages, none of them empty, and a sentence for every missing, extra or unhung view.

    Raises
    ------
    ResourceError : no protocol was given.
    """
    if not protocols:
        raise ResourceError(_tr("Hanging protocols: expected at least one, found none; install again."))
    judged = choices(protocols, exam, priors)
    picked = next((choice for choice in judged if choice.protocol.protocol_id == chosen), None)
    choice = picked or judged[0]
    best = choice.protocol
    stages, reasons = _lay_out(best, exam, priors)
    head = f"{title_words(best.title)}: {choice.why}"
    if picked is not None:
        head += _tr(" (picked by the user)")
    elif not choice.fits:
        kinds = ", ".join(sorted({kind_term(image.kind) for image in exam.images}))
        head = _tr("{0}: no protocol is made for {1}").format(title_words(best.title), kinds)
    # Nothing but images that never hang by default (CEM-04): show them rather than a black screen
    if not stages:
        alone = [Filled(image=image, why=_tr("the exam holds nothing else")) for image in exam.images]
        stages = tuple(_single(best.others, filled, exam, priors) for filled in alone)
    return Match(protocol=best, stages=stages, reasons=(head, *reasons))

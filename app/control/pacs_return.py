"""Sends what was made of an exam back to the PACS: the AI's report, the images as shown, the key images.

Written by the same writers as files on disk, into a scratch folder that is gone afterwards.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from app.state.ai_view import AiView
from inference.exam.objects.cad_sr_write import CadRun
from inference.exam.objects.document import read_headers, save
from inference.exam.objects.export import file_stem, write_run
from inference.exam.objects.key_object import key_object_documents
from inference.exam.objects.presentation_state import ShownImage, gsps
from inference.exam.types import Exam, ViewImage
from resources.files import UserFacingError
from resources.scratch import scratch_folder
from resources.translation import translate


def _tr(text: str) -> str:
    return translate("pacs_screen", text)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What is sent of one exam; an empty part is left out.

    Attributes
    ----------
    root : the folder, zip or manifest that the exam was read from.
    ai : the AI's answer or failure; None = not sent.
    threshold : what the report calls a finding, 0..1.
    created : when the objects are made, no time zone.
    """

    exam: Exam
    root: Path
    ai: AiView | None = None
    threshold: float = 0.5
    shown: tuple[ShownImage, ...] = ()
    keys: tuple[ViewImage, ...] = ()
    created: datetime
    version: str


def write_outcome(outcome: Outcome, folder: Path) -> tuple[Path, ...]:
    """Write all objects; UserFacingError when there is nothing to write, or the exam is no DICOM."""
    paths: list[Path] = []
    headers = read_headers(outcome.root, outcome.exam)
    if outcome.ai is not None:
        paths += write_run(
            _run(outcome), outcome.root, folder, created=outcome.created, version=outcome.version
        )
    for shown in outcome.shown:
        state = gsps(_within_image(shown), headers, created=outcome.created, version=outcome.version)
        paths.append(save(state, folder, f"display_{file_stem(shown.image.key)}.dcm"))
    if outcome.keys:
        made = key_object_documents(outcome.keys, headers, created=outcome.created, version=outcome.version)
        paths += [save(document, folder, f"key_{number}.dcm") for number, document in enumerate(made)]
    if not paths:
        raise UserFacingError(
            _tr("Nothing to send: wait for the AI, mark key images, or show an exam first.")
        )
    return tuple(paths)


def _within_image(shown: ShownImage) -> ShownImage:
    """The displayed area without the black around the image: other viewers and checkers stumble over negative corners.

    Scaled to fit, the same part of the breast is shown.
    """
    rows, cols = shown.image.pixels.shape
    first, last = ((min(max(row, 0), rows - 1), min(max(col, 0), cols - 1)) for row, col in shown.corners)
    if first[0] == last[0] or first[1] == last[1]:
        return shown  # nothing of the image is on screen
    return replace(shown, corners=(first, last))


def _run(outcome: Outcome) -> CadRun:
    ai = outcome.ai
    result = ai.result if ai is not None else None
    if ai is None or (result is None and ai.failure is None):
        raise UserFacingError(_tr("The AI has not answered yet; send its result when it has."))
    return CadRun(
        exam=outcome.exam,
        model_id=result.model_id if result is not None else "AI",
        model_version=result.model_version if result is not None else "unknown",
        weights_digest=result.weights_digest if result is not None else "unknown",
        result=result,
        failure=ai.failure or "" if result is None else "",
        threshold=outcome.threshold,
    )


def send_outcome(
    outcome: Outcome,
    send: Callable[[Sequence[Path], Callable[[], bool]], str],
    cancelled: Callable[[], bool],
) -> str:
    """Write all objects and send them; returns the sentence of ``send``."""
    with scratch_folder("send") as scratch:
        return send(write_outcome(outcome, scratch), cancelled)

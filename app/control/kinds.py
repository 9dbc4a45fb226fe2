"""What kind of image the reader says a picture shows, where the rules are wrong or silent; kept for the session.

Outside of studies only: in a study the frozen cases decide (CEM-01).
"""

from __future__ import annotations

from app.control.reading import LoadedExam
from inference.exam.contrast import with_kind
from resources.vocabulary import ImageKind


class KindOverrides:
    """The reader's word on kinds by ``ViewImage.source_id``; exams themselves stay as the rules read them."""

    def __init__(self) -> None:
        self._kinds: dict[str, ImageKind] = {}

    def set(self, source_id: str, kind: ImageKind | None) -> None:
        """Remember a kind; None = as the rules say."""
        if kind is None:
            self._kinds.pop(source_id, None)
        else:
            self._kinds[source_id] = kind

    def applied(self, loaded: LoadedExam) -> LoadedExam:
        """Return the exam with the remembered kinds; the halved copies follow their images to the new keys."""
        exam = loaded.exam
        for image in loaded.exam.images:
            if image.source_id in self._kinds:
                exam = with_kind(exam, image.source_id, self._kinds[image.source_id])
        if exam is loaded.exam:
            return loaded
        # By pixels and not by source: two images of one file name would share it.
        of_pixels = {id(image.pixels): loaded.pyramids[image.key] for image in loaded.exam.images}
        return LoadedExam(
            exam=exam, pyramids={image.key: of_pixels[id(image.pixels)] for image in exam.images}
        )

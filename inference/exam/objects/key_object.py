"""Key Object Selection documents: which images someone marked and why; read and written (MG-35)."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from pydicom.dataset import Dataset

from inference.exam.objects.content import read_object, read_tree, told
from inference.exam.objects.document import MANUFACTURER, Headers, completed, make_uid
from inference.exam.objects.model import KeyObjects, ObjectError
from inference.exam.types import ViewImage

KEY_OBJECTS = "1.2.840.10008.5.1.4.1.1.88.59"
SERIES_NUMBER = 9003
_DESCRIPTION = "113012"  # Key Object Description


def read_key_objects(source: Path | bytes, name: str = "") -> KeyObjects:
    """Read one selection; ObjectError when it is none or damaged."""
    label = name or (source.name if isinstance(source, Path) else "key objects")
    return key_objects(read_object(source, label), label)


def key_objects(ds: Dataset, name: str) -> KeyObjects:
    """Read a parsed selection; see :func:`read_key_objects`."""
    with told(name):
        return _read(ds, name)


def _read(ds: Dataset, name: str) -> KeyObjects:
    if str(ds.get("SOPClassUID", "")) != KEY_OBJECTS:
        raise ObjectError(f"{name}: expected key objects, found SOP class {ds.get('SOPClassUID', 'none')}.")
    tree = read_tree(ds, name)
    said = tree.child(tree.root, _DESCRIPTION)
    uids = [node.image_uid for node in tree.children(tree.root) if node.image_uid]
    return KeyObjects(
        uid=str(ds.get("SOPInstanceUID", "") or ""),
        title=tree.root.concept.meaning or "Of Interest",
        image_uids=tuple(dict.fromkeys(uids)),
        description=said.text if said is not None else "",
        name=name,
        study_uid=str(ds.get("StudyInstanceUID", "") or ""),
    )


def key_object_documents(
    images: Sequence[ViewImage], headers: Headers, *, created: datetime, version: str, description: str = ""
) -> list[Dataset]:
    """Make selections titled "Of Interest", by highdicom: one for each study the images are of.

    Raises
    ------
    ObjectError
        No image, or one that is no DICOM.
    """
    by_study: dict[str, list[Dataset]] = {}
    for image in images:
        uid = image.reference.sop_instance_uid if image.reference is not None else ""
        if uid not in headers:
            raise ObjectError(
                f"Key images: expected DICOM images to refer to, found {image.key} to be a picture; nothing was saved."
            )
        by_study.setdefault(str(headers[uid].StudyInstanceUID), []).append(completed(headers[uid]))
    if not by_study:
        raise ObjectError("Key images: expected at least one marked image, found none; nothing was saved.")
    return [_document(chosen, created, version, description) for chosen in by_study.values()]


def _document(chosen: list[Dataset], created: datetime, version: str, description: str) -> Dataset:
    from highdicom.ko import KeyObjectSelection, KeyObjectSelectionDocument
    from pydicom.sr.codedict import codes

    key = "|".join(["ko", *sorted(str(ds.SOPInstanceUID) for ds in chosen), created.isoformat()])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # odd names of research sets, copied as they are
        made: Dataset = KeyObjectSelectionDocument(
            evidence=chosen,
            content=KeyObjectSelection(
                document_title=codes.DCM.OfInterest,
                referenced_objects=chosen,
                description=description or None,
            ),
            series_instance_uid=make_uid(key, "series"),
            series_number=SERIES_NUMBER,
            sop_instance_uid=make_uid(key, "instance"),
            instance_number=1,
            manufacturer=MANUFACTURER,
        )
    made.SoftwareVersions = version[:64]
    made.ContentDate = made.InstanceCreationDate = created.strftime("%Y%m%d")
    made.ContentTime = made.InstanceCreationTime = created.strftime("%H%M%S")
    return made

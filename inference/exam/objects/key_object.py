"""Key Object Selection documents: which images someone marked and why; read and written (MG-35)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from pydicom.dataset import Dataset

from inference.exam.objects.content import read_object, read_tree
from inference.exam.objects.document import MANUFACTURER, Headers, make_uid
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


def key_object_document(
    images: Sequence[ViewImage], headers: Headers, *, created: datetime, version: str, description: str = ""
) -> Dataset:
    """Make a selection titled "Of Interest", by highdicom.

    Raises
    ------
    ObjectError
        No image, or one that is no DICOM.
    """
    from highdicom.ko import KeyObjectSelection, KeyObjectSelectionDocument
    from pydicom.sr.codedict import codes

    uids = [image.reference.sop_instance_uid if image.reference else "" for image in images]
    if not uids or any(uid not in headers for uid in uids):
        raise ObjectError(
            "Key images: expected DICOM images to refer to, found none or pictures; nothing was saved."
        )
    chosen = [headers[uid] for uid in uids]
    key = "|".join(["ko", *sorted(uids), created.isoformat()])
    ds: Dataset = KeyObjectSelectionDocument(
        evidence=chosen,
        content=KeyObjectSelection(
            document_title=codes.DCM.OfInterest, referenced_objects=chosen, description=description or None
        ),
        series_instance_uid=make_uid(key, "series"),
        series_number=SERIES_NUMBER,
        sop_instance_uid=make_uid(key, "instance"),
        instance_number=1,
        manufacturer=MANUFACTURER,
    )
    ds.SoftwareVersions = version[:64]
    ds.ContentDate = ds.InstanceCreationDate = created.strftime("%Y%m%d")
    ds.ContentTime = ds.InstanceCreationTime = created.strftime("%H%M%S")
    return ds

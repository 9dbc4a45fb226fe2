"""CAD reports built item by item from the tables of PS3.16 TID 4000, and an exam on disk to refer to."""

from __future__ import annotations

import io
from pathlib import Path
from types import SimpleNamespace

import pytest
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian

from inference.exam.phantom import PhantomSpec, phantom_exam
from inference.exam.phantom_dicom import write_phantom_dicom
from inference.exam.sources import FolderSource
from inference.exam.types import Exam

CAD_SR = "1.2.840.10008.5.1.4.1.1.88.50"
MG = "1.2.840.10008.5.1.4.1.1.1.2"


def code(value: str, meaning: str, scheme: str = "DCM") -> Dataset:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, scheme, meaning
    return item


def item(
    kind: str, concept: tuple[str, str] | None, relation: str, *children: Dataset, **more: object
) -> Dataset:
    ds = Dataset()
    ds.RelationshipType, ds.ValueType = relation, kind
    if concept is not None:
        ds.ConceptNameCodeSequence = [code(*concept)]
    if kind == "CONTAINER":
        ds.ContinuityOfContent = "SEPARATE"
    for keyword, value in more.items():
        setattr(ds, keyword, value)
    if children:
        ds.ContentSequence = list(children)
    return ds


def coded(concept: tuple[str, str], value: Dataset, relation: str, *children: Dataset) -> Dataset:
    return item("CODE", concept, relation, *children, ConceptCodeSequence=[value])


def text(concept: tuple[str, str], words: str) -> Dataset:
    return item("TEXT", concept, "HAS PROPERTIES", TextValue=words)


def number(concept: tuple[str, str], value: str, unit: str) -> Dataset:
    measured = Dataset()
    measured.NumericValue, measured.MeasurementUnitsCodeSequence = value, [code(unit, unit, "UCUM")]
    return item("NUM", concept, "HAS PROPERTIES", MeasuredValueSequence=[measured])


def by_reference(relation: str, *place: int) -> Dataset:
    ds = Dataset()
    ds.RelationshipType, ds.ReferencedContentItemIdentifier = relation, list(place)
    return ds


def image(uid: str, relation: str = "CONTAINS") -> Dataset:
    at = Dataset()
    at.ReferencedSOPClassUID, at.ReferencedSOPInstanceUID = MG, uid
    return item("IMAGE", None, relation, ReferencedSOPSequence=[at])


def scoord(concept: tuple[str, str], graphic: str, data: list[float], *selected_from: Dataset) -> Dataset:
    return item("SCOORD", concept, "HAS PROPERTIES", *selected_from, GraphicType=graphic, GraphicData=data)


INTENT = {
    "111150": "Presentation Required: Rendering device is expected to present",
    "111151": "Presentation Optional: Rendering device may present",
    "111152": "Not for Presentation: Rendering device expected not to present",
}


def intent(value: str, point: str | None = None) -> Dataset:
    below = [number(("111071", "CAD Operating Point"), point, "1")] if point is not None else []
    return coded(("111056", "Rendering Intent"), code(value, INTENT[value]), "HAS CONCEPT MOD", *below)


CENTER, OUTLINE = ("111010", "Center"), ("111041", "Outline")
CLUSTER = code("129769006", "Calcification Cluster", "SCT")
DENSITY = code("129793001", "Mammography breast density", "SCT")


def finding(value: Dataset, relation: str, *children: Dataset) -> Dataset:
    return coded(("111059", "Single Image Finding"), value, relation, *children)


def impression(*children: Dataset) -> Dataset:
    return item("CONTAINER", ("111034", "Individual Impression/Recommendation"), "INFERRED FROM", *children)


def report(
    state: str | None,
    images: list[str],
    *impressions: Dataset,
    detections: str = "111222",
    more: tuple[Dataset, ...] = (),
) -> FileDataset:
    """A TID 4000 document: 1.1 image library, 1.2 findings, 1.3 and 1.4 the summaries."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = CAD_SR, "1.2.3.4.5"
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    ds.SOPClassUID, ds.SOPInstanceUID, ds.Modality, ds.StudyInstanceUID = CAD_SR, "1.2.3.4.5", "SR", "1.2.3"
    ds.Manufacturer, ds.ManufacturerModelName = "Example CAD", "Second Look"
    ds.update(item("CONTAINER", ("111036", "Mammography CAD Report"), "CONTAINS"))
    del ds.RelationshipType
    ds.ContentSequence = [
        item("CONTAINER", ("111028", "Image Library"), "CONTAINS", *(image(uid) for uid in images)),
        *(
            [
                coded(
                    ("111017", "CAD Processing and Findings Summary"),
                    code(state, "state"),
                    "CONTAINS",
                    *impressions,
                )
            ]
            if state is not None
            else []
        ),
        coded(("111064", "Summary of Detections"), code(detections, "status"), "CONTAINS", *more),
        coded(("111065", "Summary of Analyses"), code("111225", "Not Attempted"), "CONTAINS"),
    ]
    return ds


def as_bytes(ds: Dataset) -> bytes:
    stream = io.BytesIO()
    ds.save_as(stream, enforce_file_format=True)
    return stream.getvalue()


@pytest.fixture(scope="session")
def phantom_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("phantom")
    write_phantom_dicom(phantom_exam(PhantomSpec(seed=3, pixel_mm=0.8)), folder)
    return folder


@pytest.fixture(scope="session")
def dicom_exam(phantom_folder: Path) -> Exam:
    source = FolderSource(phantom_folder)
    return source.load(source.list()[0].exam_id)


@pytest.fixture(scope="session")
def sr() -> SimpleNamespace:
    """The functions above, for the tests beside this file."""
    made = {name: value for name, value in globals().items() if not name.startswith("_")}
    return SimpleNamespace(**made)

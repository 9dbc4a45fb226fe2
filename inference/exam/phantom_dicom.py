"""Phantoms as files: valid digital mammography DICOM, and the images and lesions manifests.

Owns headers and tables only. UIDs and names follow from the seed: a phantom is the same file every time.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import UID as Uid
from pydicom.uid import (
    DigitalMammographyXRayImageStorageForPresentation,
    DigitalMammographyXRayImageStorageForProcessing,
    ExplicitVRLittleEndian,
)

from inference.exam.phantom import phantom_uid
from inference.exam.phantom_spec import PhantomError, PhantomExam
from inference.exam.types import ViewImage
from resources.vocabulary import ImageKind, Laterality, Projection

VIEW_CODES = {  # CID 4014
    Projection.CC: ("399162004", "cranio-caudal"),
    Projection.MLO: ("399368009", "medio-lateral oblique"),
}
IMAGE_COLUMNS = (
    "case_id", "patient_id", "laterality", "view", "kind", "path", "spacing_mm", "bits", "age", "density",
    "manufacturer", "birads", "pathology", "study_date",
)  # fmt: skip
LESION_COLUMNS = (
    "case_id", "laterality", "view", "kind", "lesion_id", "type", "malignant", "x0", "y0", "x1", "y1",
    "shape", "margin", "morphology", "distribution", "quadrant", "clock", "depth", "nipple_distance_mm",
    "region", "view_depth",
)  # fmt: skip
STUDY_DATE = "20260101"


def write_phantom_dicom(exam: PhantomExam, folder: Path, *, processing: bool = False) -> tuple[Path, ...]:
    """Write a phantom as mammography DICOM files, one per image.

    Parameters
    ----------
    folder : Path
        Made when absent; files of the same name are overwritten.
    processing : bool
        Also write the For Processing image of each view, 14-bit, linear in exposure.

    Returns
    -------
    Paths of the files, the images of ``exam.exam.images`` in order, then the For Processing ones.

    Raises
    ------
    PhantomError
        When the folder cannot be written.
    """
    paths: list[Path] = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for number, image in enumerate(exam.exam.images, start=1):
            path = folder / f"{image.key.replace('/', '_')}.dcm"
            _dataset(exam, image, number).save_as(path, enforce_file_format=True)
            paths.append(path)
        if processing:
            firsts = {image.view.key: image for image in reversed(exam.exam.images)}
            for number, (key, line) in enumerate(exam.line_integrals.items(), start=101):
                path = folder / f"{key}_processing.dcm"
                _raw_dataset(exam, firsts[key], line, number).save_as(path, enforce_file_format=True)
                paths.append(path)
    except OSError as error:
        raise PhantomError(
            f"{folder}: expected a writable folder, found {error.strerror}; choose another."
        ) from error
    return tuple(paths)


def write_manifest(exams: Iterable[PhantomExam], folder: Path) -> Path:
    """Write phantoms as DICOM in one folder per case, with ``images.csv`` and ``lesions.csv``.

    Boxes in the lesions table are stored-file pixels, column then row, x1 and y1 exclusive.

    Returns
    -------
    The path of ``images.csv``; ``lesions.csv`` lies beside it.
    """
    images: list[dict[str, object]] = []
    lesions: list[dict[str, object]] = []
    for exam in exams:
        paths = write_phantom_dicom(exam, folder / exam.exam.exam_id)
        images += [
            _image_row(exam, image, path, folder) for image, path in zip(exam.exam.images, paths, strict=True)
        ]
        lesions += _lesion_rows(exam)
    _write_csv(folder / "lesions.csv", LESION_COLUMNS, lesions)
    return _write_csv(folder / "images.csv", IMAGE_COLUMNS, images)


def _image_row(exam: PhantomExam, image: ViewImage, path: Path, folder: Path) -> dict[str, object]:
    return {
        "case_id": exam.exam.exam_id,
        "patient_id": exam.exam.exam_id,
        "laterality": image.view.laterality.value,
        "view": image.view.projection.value,
        "kind": image.kind.value,
        "path": path.relative_to(folder).as_posix(),
        "spacing_mm": exam.spec.pixel_mm,
        "bits": 12,
        "age": exam.age,
        "density": exam.density.value,
        "manufacturer": "Negatoscope",
        "birads": "",
        "pathology": exam.pathology[image.view.laterality].value,
        "study_date": STUDY_DATE,
    }


def _lesion_rows(exam: PhantomExam) -> list[dict[str, object]]:
    kinds = {image.key: image for image in exam.exam.images}
    return [
        {
            "case_id": exam.exam.exam_id,
            "laterality": lesion.laterality.value,
            "view": kinds[key].view.projection.value,
            "kind": kinds[key].kind.value,
            "lesion_id": lesion.lesion_id,
            "type": lesion.finding.value,
            "malignant": int(lesion.malignant),
            "x0": round(view.box.col0, 2),
            "y0": round(view.box.row0, 2),
            "x1": round(view.box.col1, 2),
            "y1": round(view.box.row1, 2),
            "shape": lesion.shape,
            "margin": lesion.margin,
            "morphology": lesion.morphology,
            "distribution": lesion.distribution,
            "quadrant": lesion.quadrant,
            "clock": lesion.clock,
            "depth": round(lesion.depth, 4),
            "nipple_distance_mm": round(lesion.nipple_distance_mm, 2),
            "region": view.region,
            "view_depth": round(view.depth, 4),
        }
        for lesion in exam.lesions
        for key, view in lesion.views.items()
    ]


def _write_csv(path: Path, columns: tuple[str, ...], rows: list[dict[str, object]]) -> Path:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, columns, lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)
    except OSError as error:
        raise PhantomError(
            f"{path}: expected a writable file, found {error.strerror}; choose another folder."
        ) from error
    return path


def _dataset(exam: PhantomExam, image: ViewImage, number: int) -> FileDataset:
    """A For Presentation image with its windows."""
    ds = _frame(exam, image, number, image.source_id, str(DigitalMammographyXRayImageStorageForPresentation))
    ds.PresentationIntentType = "FOR PRESENTATION"
    ds.PixelIntensityRelationship, ds.PixelIntensityRelationshipSign = "LOG", -1
    ds.ImageType = ["ORIGINAL", "PRIMARY"]
    if image.kind is ImageKind.CESM_LOW:
        ds.ImageType = ["ORIGINAL", "PRIMARY", "", "LOW_ENERGY"]
    elif image.kind is ImageKind.CESM_RECOMBINED:
        ds.ImageType = ["DERIVED", "PRIMARY", "", "RECOMBINED"]
        ds.DerivationDescription = "Dual-energy recombination"
    vois = image.presentation.vois
    ds.WindowCenter = [f"{v.center:g}" for v in vois]
    ds.WindowWidth = [f"{v.width:g}" for v in vois]
    ds.WindowCenterWidthExplanation = [v.label for v in vois]
    ds.VOILUTFunction = vois[0].function.value
    ds.PixelPaddingValue, ds.PixelPaddingRangeLimit = 0, 30
    _set_pixels(ds, image.pixels, 12)
    return ds


def _raw_dataset(exam: PhantomExam, image: ViewImage, line: NDArray[np.float32], number: int) -> FileDataset:
    """The For Processing image: detector counts, open field 16000."""
    uid = phantom_uid(exam.spec.seed, 4, number)
    ds = _frame(exam, image, number, uid, str(DigitalMammographyXRayImageStorageForProcessing))
    ds.PresentationIntentType = "FOR PROCESSING"
    ds.ImageType = ["ORIGINAL", "PRIMARY"]
    ds.PixelIntensityRelationship, ds.PixelIntensityRelationshipSign = "LIN", 1
    _set_pixels(ds, np.clip(np.rint(16000 * np.exp(-line)), 0, 16383).astype(np.uint16), 14)
    return ds


def _frame(exam: PhantomExam, image: ViewImage, number: int, uid: str, sop_class: str) -> FileDataset:
    """Everything the two intents share: identity, equipment, acquisition, view."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = Uid(sop_class)
    meta.MediaStorageSOPInstanceUID = Uid(uid)
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.ImplementationClassUID = Uid(phantom_uid(0, 9))
    ds = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    ds.SOPClassUID, ds.SOPInstanceUID = sop_class, uid
    _identity(ds, exam, image, number)
    _technique(ds, exam, image)
    _view(ds, image)
    return ds


def _identity(ds: Dataset, exam: PhantomExam, image: ViewImage, number: int) -> None:
    seed, contrast = exam.spec.seed, image.kind.is_contrast
    ds.SpecificCharacterSet = "ISO_IR 192"
    ds.PatientName, ds.PatientID = f"PHANTOM^{seed}", exam.exam.exam_id
    ds.PatientBirthDate, ds.PatientSex, ds.PatientAge = "", "F", f"{exam.age:03d}Y"
    ds.StudyInstanceUID = phantom_uid(seed, 1, int(contrast))
    ds.SeriesInstanceUID = phantom_uid(seed, 2, int(contrast), int(number > 100))
    ds.StudyID, ds.AccessionNumber, ds.ReferringPhysicianName = str(seed % 10**9), "", ""
    ds.StudyDate = ds.SeriesDate = ds.AcquisitionDate = ds.ContentDate = STUDY_DATE
    ds.StudyTime = ds.SeriesTime = ds.AcquisitionTime = ds.ContentTime = f"1200{number % 60:02d}"
    ds.StudyTime = ds.SeriesTime = "120000"
    ds.StudyDescription = "Synthetic mammography (phantom)"
    ds.SeriesNumber, ds.InstanceNumber, ds.AcquisitionNumber = 2 if number > 100 else 1, number, number
    ds.Modality, ds.BodyPartExamined = "MG", "BREAST"
    ds.Manufacturer, ds.ManufacturerModelName = "Negatoscope", "Phantom"
    ds.DeviceSerialNumber, ds.SoftwareVersions = "0", "1"
    ds.InstitutionName = ""
    ds.AcquisitionContextSequence = []
    ds.BurnedInAnnotation, ds.LossyImageCompression, ds.QualityControlImage = "NO", "00", "NO"


def _technique(ds: Dataset, exam: PhantomExam, image: ViewImage) -> None:
    """Acquisition values in the manner of a Senographe Essential."""
    high = image.kind is ImageKind.CESM_RECOMBINED
    thickness = exam.thickness_mm[image.view.key]
    ds.KVP, ds.XRayTubeCurrent, ds.ExposureTime = ("49", 62, 1289) if high else ("28", 62, 1289)
    ds.Exposure, ds.ExposureInuAs = 80, 80000
    ds.DistanceSourceToDetector, ds.DistanceSourceToPatient = "660", "660"
    ds.DistanceSourceToEntrance = f"{660 - thickness:.0f}"
    ds.EstimatedRadiographicMagnificationFactor = "1"
    ds.FocalSpots, ds.AnodeTargetMaterial = "0.3", "TUNGSTEN"
    ds.FilterType, ds.FilterMaterial = "STRIP", "COPPER" if high else "RHODIUM"
    ds.Grid = ["RECIPROCATING", "FOCUSED"]
    ds.ExposureControlMode, ds.ExposureStatus = "AUTOMATIC", "NORMAL"
    ds.BodyPartThickness, ds.CompressionForce = f"{thickness:.0f}", "110"
    ds.RelativeXRayExposure = 634
    ds.EntranceDoseInmGy, ds.OrganDose, ds.OrganExposed = "5.2", "0.0132", "BREAST"
    ds.PositionerType = "MAMMOGRAPHIC"
    angle = 0 if image.view.projection is Projection.CC else 45
    ds.PositionerPrimaryAngle = str(angle)
    ds.DetectorType, ds.DetectorConfiguration = "SCINTILLATOR", "AREA"
    ds.DetectorConditionsNominalFlag, ds.DetectorTemperature = "YES", "30"
    ds.FieldOfViewShape, ds.FieldOfViewRotation = "RECTANGLE", "0"
    ds.FieldOfViewHorizontalFlip = "YES" if image.orientation.flip_cols else "NO"
    rows, cols = image.pixels.shape
    ds.FieldOfViewOrigin = ["1", "1"]
    ds.FieldOfViewDimensions = [round(rows * exam.spec.pixel_mm), round(cols * exam.spec.pixel_mm)]
    pixel = f"{exam.spec.pixel_mm:g}"
    ds.ImagerPixelSpacing = [pixel, pixel]
    ds.BreastImplantPresent = "NO"
    if image.kind.is_contrast:
        ds.ContrastBolusAgent, ds.ContrastBolusRoute = "Iodinated contrast", "IV"
        ds.ContrastBolusVolume = "100"


def _view(ds: Dataset, image: ViewImage) -> None:
    value, meaning = VIEW_CODES[image.view.projection]
    view = _code(value, "SCT", meaning)
    view.ViewModifierCodeSequence = []
    ds.ViewCodeSequence = [view]
    ds.ViewPosition = image.view.projection.value
    ds.AnatomicRegionSequence = [_code("76752008", "SCT", "Breast")]
    ds.ImageLaterality = image.view.laterality.value
    ds.OrganExposed = "BREAST"
    ds.PatientOrientation = list(patient_orientation(image))


def patient_orientation(image: ViewImage) -> tuple[str, str]:
    """Patient Orientation of the stored pixels: where rows and columns point (PS3.3 C.7.6.1.1.1)."""
    right = image.view.laterality is Laterality.RIGHT
    along = "P" if right != image.orientation.flip_cols else "A"
    medial = "L" if right else "R"
    return along, medial if image.view.projection.is_axial else f"F{medial}"


def _code(value: str, scheme: str, meaning: str) -> Dataset:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, scheme, meaning
    return item


def _set_pixels(ds: Dataset, pixels: NDArray[np.uint16], bits: int) -> None:
    ds.Rows, ds.Columns = pixels.shape
    ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 16, bits, bits - 1, 0
    ds.PresentationLUTShape = "IDENTITY"
    ds.RescaleIntercept, ds.RescaleSlope, ds.RescaleType = "0", "1", "US"
    ds.PixelData = np.ascontiguousarray(pixels, dtype="<u2").tobytes()

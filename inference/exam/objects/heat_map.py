"""A heat map as a DICOM object of its own (MG-34): a Secondary Capture image over its source, pixel by pixel.

Not a Parametric Map: that object needs a patient frame of reference and plane positions, which a projection
mammogram does not have. 0..255 stand for 0..1 (Real World Value Mapping).
"""

from __future__ import annotations

from datetime import datetime

import cv2
import imagecodecs
import numpy as np
from pydicom.dataset import Dataset, FileDataset
from pydicom.encaps import encapsulate
from pydicom.uid import JPEGLSLossless

from inference.exam.objects.codes import NO_UNITS
from inference.exam.objects.document import (
    Headers,
    code_item,
    new_object,
    patient_orientation,
    reference_item,
)
from inference.exam.objects.model import ObjectError
from inference.exam.types import ViewImage
from inference.results import ExamResult, Heatmap

SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
SERIES_NUMBER = 9004


def heat_map_image(
    heat: Heatmap, image: ViewImage, result: ExamResult, headers: Headers, *, created: datetime, version: str
) -> FileDataset:
    """Make the heat map of one image, (rows, cols) as the image's, 8 bits, JPEG-LS lossless.

    Raises
    ------
    ObjectError
        The image is no DICOM.
    """
    at = image.reference
    if at is None or at.sop_instance_uid not in headers:
        raise ObjectError(
            f"{image.key}: expected a DICOM image to refer to, found a picture; its heat map is saved as PNG only."
        )
    header = headers[at.sop_instance_uid]
    ds = new_object(
        sop_class=SECONDARY_CAPTURE,
        modality="OT",
        source=header,
        key=f"heat|{at.sop_instance_uid}|{result.weights_digest}|{created.isoformat()}",
        created=created,
        description=f"AI heat map {result.model_id} (research use only)",
        series_number=SERIES_NUMBER,
        version=version,
    )
    ds.ConversionType, ds.ImageType = "WSD", ["DERIVED", "SECONDARY"]
    ds.BurnedInAnnotation = "NO"
    ds.DerivationDescription = (
        f"{heat.label}: model {result.model_id} {result.model_version}, weights SHA-256 {result.weights_digest}. "
        f"{result.score_meaning}"
    )[:1024]
    ds.PatientOrientation = list(patient_orientation(header) or ())
    ds.Laterality = image.view.laterality.value
    source = reference_item(at.sop_class_uid, at.sop_instance_uid)
    source.SpatialLocationsPreserved = "YES"
    ds.SourceImageSequence = [source]
    _set_pixels(ds, heat, image)
    return ds


def _set_pixels(ds: FileDataset, heat: Heatmap, image: ViewImage) -> None:
    rows, cols = image.pixels.shape
    full = cv2.resize(heat.values, (cols, rows), interpolation=cv2.INTER_LINEAR)
    eight = np.rint(np.clip(full, 0, 1) * 255).astype(np.uint8)
    ds.Rows, ds.Columns, ds.SamplesPerPixel = rows, cols, 1
    ds.PhotometricInterpretation = "MONOCHROME2"
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 8, 8, 7, 0
    ds.WindowCenter, ds.WindowWidth = "128", "256"
    mapping = Dataset()
    mapping.LUTExplanation, mapping.LUTLabel = heat.label[:64], "HEAT"
    mapping.MeasurementUnitsCodeSequence = [code_item(NO_UNITS)]
    mapping.RealWorldValueFirstValueMapped, mapping.RealWorldValueLastValueMapped = 0, 255
    mapping.RealWorldValueIntercept, mapping.RealWorldValueSlope = 0.0, 1 / 255
    ds.RealWorldValueMappingSequence = [mapping]
    ds.LossyImageCompression = "00"
    ds.file_meta.TransferSyntaxUID = JPEGLSLossless
    ds.PixelData = encapsulate([bytes(imagecodecs.jpegls_encode(eight))])
    ds["PixelData"].VR = "OB"

"""Grayscale Softcopy Presentation States, read and written (MG-35).

Says how an image was shown: window, polarity, turn, part of the image, drawings. Turning that into a viewport is
``app.state.presentation``; one file is written per image, because turn and polarity hold for a whole file.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from pydicom.dataset import Dataset

from inference.exam.grayscale import tables_of, windows_of
from inference.exam.objects.content import read_object, told
from inference.exam.objects.document import MANUFACTURER, MODEL, SERIAL, Headers, completed, make_uid
from inference.exam.objects.model import (
    DisplayedArea,
    Graphic,
    ImageState,
    ObjectError,
    Point,
    PresentationState,
    Shutter,
    Turn,
)
from inference.exam.types import ViewImage, Voi, VoiFunction

if TYPE_CHECKING:  # slow to import; only writing needs it
    from highdicom.pr import GraphicAnnotation, GraphicLayer, SoftcopyVOILUTTransformation

GSPS = "1.2.840.10008.5.1.4.1.1.11.1"
SERIES_NUMBER = 9002
_FIGURES = ("POINT", "POLYLINE", "INTERPOLATED", "CIRCLE", "ELLIPSE")


def read_presentation_state(source: Path | bytes, name: str = "") -> PresentationState:
    """Read one presentation state.

    Raises
    ------
    ObjectError
        It is no Grayscale Softcopy Presentation State, refers to no image, or is damaged.
    """
    label = name or (source.name if isinstance(source, Path) else "presentation state")
    return presentation_state(read_object(source, label), label)


def presentation_state(ds: Dataset, name: str) -> PresentationState:
    """Read a parsed presentation state; see :func:`read_presentation_state`."""
    with told(name):
        if str(ds.get("SOPClassUID", "")) != GSPS:
            found = ds.get("SOPClassUID", "none")
            raise ObjectError(
                f"{name}: expected a Grayscale Softcopy Presentation State, found SOP class {found}."
            )
        return _read(ds, name)


def _read(ds: Dataset, name: str) -> PresentationState:
    listed = [
        str(at.get("ReferencedSOPInstanceUID", ""))
        for series in ds.get("ReferencedSeriesSequence") or ()
        for at in series.get("ReferencedImageSequence") or ()
    ]
    if not listed:
        raise ObjectError(
            f"{name}: expected a presentation state that names its images, found none; leave it out."
        )
    problems = []
    if ds.get("PresentationLUTSequence"):
        problems.append("Its Presentation LUT is a table, which is not applied; greys differ.")
    if ds.get("ModalityLUTSequence"):
        problems.append("Its Modality LUT is a table, which is not applied; greys differ.")
    if ds.get("MaskSubtractionSequence"):
        problems.append("Its mask subtraction is not applied.")
    return PresentationState(
        uid=str(ds.get("SOPInstanceUID", "") or ""),
        label=str(ds.get("ContentLabel", "") or "UNNAMED"),
        description=str(ds.get("ContentDescription", "") or ""),
        images=tuple(_image_state(ds, uid) for uid in dict.fromkeys(listed)),
        turn=Turn(
            degrees=int(ds.get("ImageRotation", 0) or 0) % 360,
            flip=str(ds.get("ImageHorizontalFlip", "N") or "N").upper() == "Y",
        ),
        inverse=str(ds.get("PresentationLUTShape", "") or "").upper() == "INVERSE",
        shutters=_shutters(ds),
        name=name,
        created=f"{ds.get('PresentationCreationDate', '') or ''} {ds.get('PresentationCreationTime', '') or ''}".strip(),
        study_uid=str(ds.get("StudyInstanceUID", "") or ""),
        problems=tuple(problems),
    )


def _for_image(items: object, uid: str) -> list[Dataset]:
    """The items of a sequence that hold for an image: those that name it, and those that name none."""
    found = []
    for item in items or ():  # type: ignore[attr-defined]
        named = [
            str(at.get("ReferencedSOPInstanceUID", "")) for at in item.get("ReferencedImageSequence") or ()
        ]
        if not named or uid in named:
            found.append(item)
    return found


def _image_state(ds: Dataset, uid: str) -> ImageState:
    vois = [
        voi
        for item in _for_image(ds.get("SoftcopyVOILUTSequence"), uid)
        for voi in (*tables_of(item), *windows_of(item))
    ]
    areas = [_area(item) for item in _for_image(ds.get("DisplayedAreaSelectionSequence"), uid)]
    graphics = [g for item in _for_image(ds.get("GraphicAnnotationSequence"), uid) for g in _graphics(item)]
    return ImageState(
        image_uid=uid,
        voi=vois[0] if vois else None,
        area=next((area for area in areas if area is not None), None),
        graphics=tuple(graphics),
    )


def _area(item: Dataset) -> DisplayedArea | None:
    first, last = item.get("DisplayedAreaTopLeftHandCorner"), item.get("DisplayedAreaBottomRightHandCorner")
    if not first or not last or len(first) != 2 or len(last) != 2:
        return None
    cols, rows = sorted((int(first[0]), int(last[0]))), sorted((int(first[1]), int(last[1])))
    ratio = item.get("PresentationPixelMagnificationRatio")
    return DisplayedArea(
        row0=rows[0] - 1, col0=cols[0] - 1, row1=rows[1], col1=cols[1],
        mode=str(item.get("PresentationSizeMode", "") or "SCALE TO FIT").upper(),
        magnification=float(ratio) if ratio else None,
    )  # fmt: skip


def _graphics(item: Dataset) -> list[Graphic]:
    found = []
    for figure in item.get("GraphicObjectSequence") or ():
        kind = str(figure.get("GraphicType", "") or "").upper()
        points = _pairs(figure.get("GraphicData"))
        if kind in _FIGURES and points and np.isfinite(points).all():
            share = str(figure.get("GraphicAnnotationUnits", "PIXEL") or "PIXEL").upper() != "PIXEL"
            filled = str(figure.get("GraphicFilled", "N") or "N").upper() == "Y"
            found.append(Graphic(kind=kind, points=points, in_display=share, filled=filled))
    for words in item.get("TextObjectSequence") or ():
        box, anchor = words.get("BoundingBoxTopLeftHandCorner"), words.get("AnchorPoint")
        place = _pairs(anchor if anchor is not None else box)
        keyword = "AnchorPointAnnotationUnits" if anchor is not None else "BoundingBoxAnnotationUnits"
        share = str(words.get(keyword, "PIXEL") or "PIXEL").upper() != "PIXEL"
        if place and np.isfinite(place).all():
            said = str(words.get("UnformattedTextValue", "") or "")
            found.append(Graphic(kind="TEXT", points=place[:1], text=said, in_display=share))
    return found


def _pairs(data: object) -> tuple[Point, ...]:
    values = [float(v) for v in data] if data is not None else []  # type: ignore[attr-defined]
    return tuple((row, col) for col, row in zip(values[::2], values[1::2], strict=False))


def _shutters(ds: Dataset) -> tuple[Shutter, ...]:
    shape = ds.get("ShutterShape")
    shapes = [shape] if isinstance(shape, str) else list(shape or ())
    found = []
    if "RECTANGULAR" in shapes:
        low = (float(ds.ShutterUpperHorizontalEdge) - 1, float(ds.ShutterLeftVerticalEdge) - 1)
        high = (float(ds.ShutterLowerHorizontalEdge), float(ds.ShutterRightVerticalEdge))
        found.append(Shutter(kind="RECTANGULAR", points=(low, high)))
    if "CIRCULAR" in shapes:
        row, col = (float(v) for v in ds.CenterOfCircularShutter)
        reach = float(ds.RadiusOfCircularShutter)
        found.append(Shutter(kind="CIRCULAR", points=((row - 0.5, col - 0.5), (reach, reach))))
    if "POLYGONAL" in shapes:
        flat = [float(v) for v in ds.VerticesOfThePolygonalShutter]
        corners = tuple((row - 0.5, col - 0.5) for row, col in zip(flat[::2], flat[1::2], strict=False))
        found.append(Shutter(kind="POLYGONAL", points=corners))
    return tuple(found)


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownImage:
    """How one image is on screen, to be kept: ``corners`` are the stored (row, col) pixels shown top left and bottom right."""

    image: ViewImage
    voi: Voi
    inverse: bool
    turn: Turn
    corners: tuple[tuple[int, int], tuple[int, int]]
    magnification: float | None = None  # screen pixels an image pixel; None = scale to fit
    graphics: tuple[Graphic, ...] = ()


def gsps(
    shown: ShownImage, headers: Headers, *, created: datetime, version: str, label: str = "NEGATOSCOPE"
) -> Dataset:
    """Make the presentation state of one image, by highdicom.

    Raises
    ------
    ObjectError
        The image is no DICOM.
    """
    from highdicom.pr import GrayscaleSoftcopyPresentationState

    at = shown.image.reference
    if at is None or at.sop_instance_uid not in headers:
        raise ObjectError(
            f"{shown.image.key}: expected a DICOM image to refer to, found a picture without identifiers; "
            "its display cannot be saved as a presentation state."
        )
    header = completed(headers[at.sop_instance_uid])
    notes, layers = _annotations(shown, header)
    key = f"gsps|{at.sop_instance_uid}|{created.isoformat()}|{label}"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # odd names of research sets, copied as they are
        ds: Dataset = GrayscaleSoftcopyPresentationState(
            referenced_images=[header],
            series_instance_uid=make_uid(
                "gsps-series", at.study_uid, created.isoformat(), shown.image.view.laterality.value
            ),
            series_number=SERIES_NUMBER,
            sop_instance_uid=make_uid(key),
            instance_number=1,
            manufacturer=MANUFACTURER,
            manufacturer_model_name=MODEL,
            software_versions=version,
            device_serial_number=SERIAL,
            content_label=label,
            content_description="as shown",
            voi_lut_transformations=[_voi(shown.voi)],
            graphic_annotations=notes or None,
            graphic_layers=layers or None,
        )
    _overwrite(ds, shown, created)
    return ds


def _overwrite(ds: Dataset, shown: ShownImage, created: datetime) -> None:
    """Set what the library fixes for itself: polarity, turn, area, times."""
    ds.PresentationLUTShape = "INVERSE" if shown.inverse else "IDENTITY"
    ds.ImageRotation, ds.ImageHorizontalFlip = shown.turn.degrees, "Y" if shown.turn.flip else "N"
    (row0, col0), (row1, col1) = shown.corners
    area = ds.DisplayedAreaSelectionSequence[0]
    area.DisplayedAreaTopLeftHandCorner = [col0 + 1, row0 + 1]
    area.DisplayedAreaBottomRightHandCorner = [col1 + 1, row1 + 1]
    spacing = shown.image.spacing
    for keyword in ("PresentationPixelSpacing", "PresentationPixelAspectRatio"):
        if keyword in area:
            del area[keyword]
    if spacing is not None:
        area.PresentationPixelSpacing = [f"{spacing.row_mm:.8g}", f"{spacing.col_mm:.8g}"]
    else:
        area.PresentationPixelAspectRatio = [1, 1]
    area.PresentationSizeMode = "SCALE TO FIT" if shown.magnification is None else "MAGNIFY"
    if shown.magnification is not None:
        area.PresentationPixelMagnificationRatio = shown.magnification
    ds.PresentationCreationDate = ds.InstanceCreationDate = created.strftime("%Y%m%d")
    ds.PresentationCreationTime = ds.InstanceCreationTime = created.strftime("%H%M%S")
    ds.Laterality = shown.image.view.laterality.value
    for keyword in ("ContentDate", "ContentTime", "SeriesDate", "SeriesTime"):
        if keyword in ds:
            setattr(ds, keyword, created.strftime("%Y%m%d" if keyword.endswith("Date") else "%H%M%S"))


def _voi(voi: Voi) -> SoftcopyVOILUTTransformation:
    from highdicom import VOILUT
    from highdicom.pr import SoftcopyVOILUTTransformation

    if voi.function is VoiFunction.TABLE:
        assert voi.table is not None
        depth = np.uint8 if voi.table_bits <= 8 else np.uint16
        table = VOILUT(
            first_mapped_value=voi.first_value,
            lut_data=voi.table.astype(depth),
            lut_explanation=voi.label[:64],
        )
        return SoftcopyVOILUTTransformation(voi_luts=[table])
    return SoftcopyVOILUTTransformation(
        window_center=[float(f"{voi.center:.8g}")],
        window_width=[float(f"{voi.width:.8g}")],
        window_explanation=[voi.label[:64]] if voi.label else None,
        voi_lut_function=voi.function.value,
    )


def _annotations(shown: ShownImage, header: Dataset) -> tuple[list[GraphicAnnotation], list[GraphicLayer]]:
    from highdicom.pr import GraphicAnnotation, GraphicLayer, GraphicObject, TextObject

    if not shown.graphics:
        return [], []
    layer = GraphicLayer(layer_name="MEASUREMENTS", order=1, description="Measurements and text")
    figures: list[GraphicObject] = []
    words: list[TextObject] = []
    for graphic in shown.graphics:
        points = np.array([(col, row) for row, col in graphic.points], dtype=np.float64)
        if graphic.kind != "TEXT":
            figures.append(GraphicObject(graphic.kind, points, "PIXEL", is_filled=graphic.filled))
        if graphic.text:
            anchor = (float(points[-1, 0]), float(points[-1, 1]))
            words.append(
                TextObject(graphic.text[:1024], "PIXEL", anchor_point=anchor, anchor_point_visible=False)
            )
    note = GraphicAnnotation(
        referenced_images=[header],
        graphic_layer=layer,
        graphic_objects=figures or None,
        text_objects=words or None,
    )
    return [note], [layer]

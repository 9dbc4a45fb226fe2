"""Good files of the image side, made by our own writers: what the mutations spoil.

DICOM in every transfer syntax, reports and saved displays, zips, manifests, model folders, kept results.
"""

from __future__ import annotations

import hashlib
import io
import json
import shutil
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset, dcmwrite, uid
from pydicom.dataset import FileMetaDataset
from pydicom.encaps import encapsulate

from inference.cache import ModelIdentity, ResultCache
from inference.engine import FakeEngine
from inference.exam.objects.cad_sr_write import CadRun
from inference.exam.objects.document import read_headers, save
from inference.exam.objects.export import write_run
from inference.exam.objects.key_object import key_object_documents
from inference.exam.objects.model import Graphic, Turn
from inference.exam.objects.presentation_state import ShownImage, gsps
from inference.exam.phantom import PhantomSpec, phantom_exam
from inference.exam.phantom_dicom import write_manifest
from inference.exam.sources import FolderSource
from inference.exam.types import Exam
from inference.run_output import RunOutput
from resources.files import resource_path
from resources.vocabulary import Pathology

CREATED = datetime(2026, 11, 21, 12, 30, 5)
MODEL = ModelIdentity(model_id="fake", model_version="1", weights_digest="0" * 64, preprocessing="none")


@dataclass(frozen=True, slots=True, kw_only=True)
class Seed:
    """One good file, and those that must lie beside it."""

    name: str
    data: bytes
    beside: Mapping[str, bytes] = field(default_factory=dict)


Seeds = dict[str, tuple[Seed, ...]]


def _breast(rows: int = 120, cols: int = 90) -> NDArray[np.uint16]:
    y, x = np.mgrid[0:rows, 0:cols].astype(np.float64)
    inside = ((y - rows / 2) / (0.42 * rows)) ** 2 + (x / (0.7 * cols)) ** 2 < 1
    texture = np.random.default_rng(7).integers(0, 512, (rows, cols))
    return np.where(inside, 2048 + texture, 0).astype(np.uint16)


def _header(number: int, *, bits: int = 12) -> Dataset:
    ds = Dataset()
    ds.SOPClassUID, ds.SOPInstanceUID = "1.2.840.10008.5.1.4.1.1.1.2", f"1.2.3.4.6.{number}"
    ds.StudyInstanceUID, ds.SeriesInstanceUID = "1.2.3.4", "1.2.3.4.5"
    ds.Modality, ds.PresentationIntentType = "MG", "FOR PRESENTATION"
    ds.PatientName, ds.PatientID, ds.PatientAge, ds.StudyDate = "Doe^Jane", "P-17", "052Y", "20260101"
    ds.ImageLaterality, ds.ViewPosition, ds.PatientOrientation = "L", "MLO", ["A", "F"]
    ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
    ds.BitsAllocated, ds.BitsStored, ds.HighBit = (8 if bits == 8 else 16), bits, bits - 1
    ds.PixelRepresentation, ds.ImagerPixelSpacing = 0, [0.1, 0.1]
    ds.WindowCenter, ds.WindowWidth, ds.VOILUTFunction = ["2000", "1800"], ["4000", "900"], "SIGMOID"
    ds.EstimatedRadiographicMagnificationFactor, ds.KVP, ds.BodyPartThickness = "1.05", "29", "55"
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = (
        "399368009",
        "SCT",
        "medio-lateral oblique",
    )
    item.ViewModifierCodeSequence = []
    ds.ViewCodeSequence = [item]
    return ds


def dicom_file(ds: Dataset, pixels: NDArray[Any], syntax: str, stream: bytes | None = None) -> bytes:
    """Write a header and its pixels; ``stream`` is the encoded frame of a compressed syntax."""
    ds.Rows, ds.Columns = pixels.shape
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = syntax
    ds.file_meta.MediaStorageSOPClassUID, ds.file_meta.MediaStorageSOPInstanceUID = (
        ds.SOPClassUID,
        ds.SOPInstanceUID,
    )
    if stream is None:
        order = ">" if syntax == uid.ExplicitVRBigEndian else "<"
        data = pixels.astype(pixels.dtype.newbyteorder(order)).tobytes()
        ds.add_new("PixelData", "OW", data + b"\0" * (len(data) % 2))
    else:
        ds.add_new("PixelData", "OB", encapsulate([stream]))
    out = io.BytesIO()
    dcmwrite(out, ds, enforce_file_format=True)
    return out.getvalue()


ENCODERS: Mapping[str, Callable[[NDArray[np.uint16]], bytes]] = {
    uid.JPEGLSLossless: lambda p: bytes(imagecodecs.jpegls_encode(p)),
    uid.JPEG2000Lossless: lambda p: bytes(imagecodecs.jpeg2k_encode(p, reversible=True, codecformat="j2k")),
    uid.HTJ2KLossless: lambda p: bytes(imagecodecs.htj2k_encode(p, reversible=True)),
    uid.HTJ2K: lambda p: bytes(imagecodecs.htj2k_encode(p, reversible=True)),
    uid.JPEGLossless: lambda p: bytes(
        imagecodecs.jpeg8_encode(p, lossless=True, predictor=6, bitspersample=12)
    ),
    uid.JPEGLosslessSV1: lambda p: bytes(
        imagecodecs.jpeg8_encode(p, lossless=True, predictor=1, bitspersample=12)
    ),
    uid.JPEGExtended12Bit: lambda p: bytes(imagecodecs.jpeg8_encode(p, level=95, bitspersample=12)),
}


def images() -> tuple[Seed, ...]:
    """One view in every transfer syntax, one of several frames, one with look-up tables."""
    pixels = _breast()
    made = []
    for number, syntax in enumerate((uid.ImplicitVRLittleEndian, uid.ExplicitVRLittleEndian, uid.ExplicitVRBigEndian,
                                     uid.DeflatedExplicitVRLittleEndian)):  # fmt: skip
        made.append(Seed(name=f"raw{number}.dcm", data=dicom_file(_header(number), pixels, syntax)))
    for number, (syntax, encode) in enumerate(ENCODERS.items(), start=10):
        made.append(
            Seed(name=f"packed{number}.dcm", data=dicom_file(_header(number), pixels, syntax, encode(pixels)))
        )
    small = (pixels >> 4).astype(np.uint8)
    stream = bytes(imagecodecs.jpeg8_encode(small, level=90))
    made.append(
        Seed(name="baseline.dcm", data=dicom_file(_header(30, bits=8), small, uid.JPEGBaseline8Bit, stream))
    )
    packed = _header(31)
    packed.file_meta = FileMetaDataset()
    packed.file_meta.TransferSyntaxUID = uid.ExplicitVRLittleEndian
    packed.Rows, packed.Columns = pixels.shape
    packed.PixelData = pixels.tobytes()
    packed["PixelData"].VR = "OW"
    packed.compress(uid.RLELossless)
    packed.file_meta.MediaStorageSOPClassUID = packed.SOPClassUID
    packed.file_meta.MediaStorageSOPInstanceUID = packed.SOPInstanceUID
    out = io.BytesIO()
    dcmwrite(out, packed, enforce_file_format=True)
    made.append(Seed(name="rle.dcm", data=out.getvalue()))
    frames = _header(32)
    frames.NumberOfFrames = 2
    made.append(
        Seed(
            name="frames.dcm",
            data=dicom_file(frames, np.concatenate([pixels, pixels]), uid.ExplicitVRLittleEndian),
        )
    )
    tables = _header(33)
    item = Dataset()
    item.LUTDescriptor, item.LUTExplanation = [4096, 0, 12], "NORMAL"
    item.add_new("LUTData", "OW", np.arange(4096, dtype="<u2").tobytes())
    del tables.WindowCenter, tables.WindowWidth
    tables.VOILUTSequence = [item]
    made.append(Seed(name="luts.dcm", data=dicom_file(tables, pixels, uid.ExplicitVRLittleEndian)))
    return tuple(made)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Phantoms:
    root: Path  # of the first exam
    exam: Exam
    files: Mapping[str, bytes]


def _phantoms(work: Path) -> _Phantoms:
    drawn = [
        phantom_exam(PhantomSpec(seed=3, pixel_mm=1.0, lesions=2, pathology=Pathology.MALIGNANT)),
        phantom_exam(PhantomSpec(seed=4, pixel_mm=1.0, cesm=True)),
    ]
    folder = work / "phantoms"
    write_manifest(drawn, folder)
    source = FolderSource(folder / drawn[0].exam.exam_id)
    files = {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
    return _Phantoms(
        root=folder / drawn[0].exam.exam_id, exam=source.load(source.list()[0].exam_id), files=files
    )


def _objects(made: _Phantoms, work: Path) -> Seeds:
    """The report, heat maps, a saved display and key images of one exam."""
    headers = read_headers(made.root, made.exam)
    result = FakeEngine().analyse(made.exam, lambda _f, _t: None, lambda: False)
    run = CadRun(
        exam=made.exam,
        model_id="fake",
        model_version="1",
        weights_digest="0" * 64,
        result=result,
        threshold=0.5,
    )
    written = write_run(run, made.root, work / "objects", created=CREATED, version="1")
    image = made.exam.images[0]
    marks = (Graphic(kind="POLYLINE", points=((5.0, 5.0), (9.0, 9.0), (5.0, 5.0)), text="see here"),)
    shown = ShownImage(
        image=image,
        voi=image.presentation.vois[0],
        inverse=True,
        turn=Turn(),
        corners=((0, 0), (90, 90)),
        graphics=marks,
    )
    state = save(gsps(shown, headers, created=CREATED, version="1"), work / "objects", "state.dcm")
    (document,) = key_object_documents(
        made.exam.images[:2], headers, created=CREATED, version="1", description="discuss"
    )
    keys = save(document, work / "objects", "keys.dcm")

    def seed(path: Path) -> Seed:
        return Seed(name=path.name, data=path.read_bytes())

    heats = tuple(seed(path) for path in written[1:3])
    return {
        "cad sr": (seed(written[0]),),
        "gsps": (seed(state),),
        "key objects": (seed(keys),),
        "heat map": heats,
    }


def _zips(made: _Phantoms, more: Seeds) -> tuple[Seed, ...]:
    """A zip of an exam with its objects, and one of a manifest with its exams."""
    out = []
    exam = {name: data for name, data in made.files.items() if name.count("/") == 1}
    first = sorted(exam)[0].split("/")[0]
    choices = (
        {name: data for name, data in exam.items() if name.startswith(first)}
        | {seed.name: seed.data for name in ("cad sr", "gsps", "key objects") for seed in more[name]},
        dict(made.files),
    )
    for number, files in enumerate(choices):
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as bundle:
            for name, data in files.items():
                bundle.writestr(name, data)
        out.append(Seed(name=f"exams{number}.zip", data=packed.getvalue()))
    return tuple(out)


def _model_files(work: Path) -> Seeds:
    """The shipped model's card, and small weights whose digest the card names."""
    folder = resource_path("models", "dib-mg")  # the small one
    card = (folder / "card.json").read_bytes()
    raw = json.loads(card)
    weights = (folder / raw["weights"]["file"]).read_bytes()
    work.mkdir(parents=True, exist_ok=True)
    assert hashlib.sha256(weights).hexdigest() == raw["weights"]["sha256"]
    name = raw["weights"]["file"]
    return {
        "model card": (Seed(name="card.json", data=card, beside={name: weights[:512]}),),
        "model weights": (Seed(name=name, data=weights, beside={"card.json": card}),),
    }


def image_seeds(work: Path) -> Seeds:
    """Make every good file of the image side; ``work`` is an empty folder."""
    made = _phantoms(work)
    objects = _objects(made, work)
    plain = images()
    views = [
        Seed(name=name.replace("/", "_"), data=data)
        for name, data in made.files.items()
        if name.endswith(".dcm")
    ]
    beside = {name: data for name, data in made.files.items() if name.endswith(".dcm")}
    tables = [Seed(name=name, data=made.files[name], beside=beside | {other: made.files[other]})
              for name, other in (("images.csv", "lesions.csv"), ("lesions.csv", "images.csv"))]  # fmt: skip
    case = {"case_id": "c1", "age": 50, "images": [
        {"path": name, "laterality": "L", "view": "CC", "kind": "ffdm"} for name in sorted(beside)[:2]]}  # fmt: skip
    result = FakeEngine().analyse(made.exam, lambda _f, _t: None, lambda: False)
    kept = ResultCache(work / "kept").put(result)
    run = RunOutput(work / "run")
    run.add("c1", made.exam, result)
    run.write(model="fake")
    run_files = {path.name: path.read_bytes() for path in (work / "run").iterdir() if path.is_file()}
    shutil.rmtree(work / "run")
    return {
        "dicom": (*plain, *views[:6]),
        **objects,
        "deidentify": (*plain, *(seed for one in objects.values() for seed in one)),
        "folder": (*plain, *views[:4], *(seed for one in objects.values() for seed in one)),
        "zip": _zips(made, objects),
        "images csv": (tables[0],),
        "lesions csv": (tables[1],),
        "case json": (Seed(name="case.json", data=json.dumps(case).encode(), beside=beside),),
        "case import": (*plain[:6], *views[:2], *_zips(made, objects)),
        "result cache": (Seed(name=kept.name, data=kept.read_bytes(), beside={"digest": result.exam_digest.encode()}),),
        "run tables": tuple(
            Seed(name=name, data=data, beside={k: v for k, v in run_files.items() if k != name})
            for name, data in run_files.items() if name in {"scores.csv", "detections.csv", "run.json"}),
        **_model_files(work / "model"),
    }  # fmt: skip

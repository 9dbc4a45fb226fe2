"""Decoding of one 4096 x 3328 12-bit frame in each transfer syntax, and what the UI thread feels of it."""

from __future__ import annotations

import io
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import imagecodecs
import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset, dcmread, dcmwrite, uid
from pydicom.dataset import FileMetaDataset
from pydicom.encaps import encapsulate
from PySide6.QtCore import QTimer
from PySide6.QtWidgets import QApplication

from inference.exam.codecs import decode_frame
from tests.benchmarks.measure import Row, frame, frame_copy_ms, judged, median_ms, not_run

Pixels = NDArray[np.uint16]


def _rle(pixels: Pixels) -> bytes:
    """Encode as DICOM RLE (PS3.5 Annex G): one segment a byte plane, most significant first, PackBits by
    row."""
    planes = [(pixels >> 8).astype(np.uint8), (pixels & 0xFF).astype(np.uint8)]
    segments = []
    for plane in planes:
        packed = b"".join(imagecodecs.packbits_encode(row.tobytes()) for row in plane)
        segments.append(packed + b"\0" * (len(packed) % 2))
    offsets = [64, 64 + len(segments[0])]
    head = np.zeros(16, "<u4")
    head[0], head[1:3] = len(segments), offsets
    return head.tobytes() + b"".join(segments)


SYNTAXES: tuple[tuple[str, uid.UID, Callable[[Pixels], bytes] | None, float, float | None], ...] = (
    ("explicit little endian", uid.ExplicitVRLittleEndian, None, 3, None),
    ("implicit little endian", uid.ImplicitVRLittleEndian, None, 3, None),
    ("RLE", uid.RLELossless, _rle, 10, None),
    ("deflated (file read included)", uid.DeflatedExplicitVRLittleEndian, None, 15, None),
    ("HTJ2K", uid.HTJ2KLossless, lambda p: imagecodecs.htj2k_encode(p, reversible=True), 25, 15),
    (
        "JPEG lossless (predictor 1)",
        uid.JPEGLosslessSV1,
        lambda p: imagecodecs.jpeg8_encode(p, lossless=True, predictor=1, bitspersample=12),
        35,
        22,
    ),
    ("JPEG-LS", uid.JPEGLSLossless, imagecodecs.jpegls_encode, 55, 35),
    (
        "JPEG 2000",
        uid.JPEG2000Lossless,
        lambda p: imagecodecs.jpeg2k_encode(p, reversible=True, codecformat="j2k"),
        200,
        100,
    ),
)


def _file(pixels: Pixels, syntax: uid.UID, encode: Callable[[Pixels], bytes] | None) -> bytes:
    ds = Dataset()
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = syntax
    ds.SOPClassUID, ds.SOPInstanceUID = "1.2.840.10008.5.1.4.1.1.1.2", uid.generate_uid()
    ds.Rows, ds.Columns = pixels.shape
    ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 16, 12, 11, 0
    if encode is None:
        ds.PixelData = pixels.tobytes()
    else:
        ds.PixelData = encapsulate([bytes(encode(pixels))])
    ds["PixelData"].VR = "OW" if encode is None else "OB"
    memory = io.BytesIO()
    dcmwrite(memory, ds, enforce_file_format=True)
    return memory.getvalue()


def run(_f_ms: float) -> list[Row]:
    """Time every syntax, check that it is bit-exact, then the longest gap of the UI thread."""
    pixels = frame()
    rows, files = [], {}
    for name, syntax, encode, target, stretch in SYNTAXES:
        try:
            files[name] = _file(pixels, syntax, encode)
        except Exception as error:
            rows.append(not_run(f"decode {name}", f"{type(error).__name__}: {error}"))
            continue
        data = files[name]
        whole = syntax == uid.DeflatedExplicitVRLittleEndian
        ds = dcmread(io.BytesIO(data))
        exact = np.array_equal(decode_frame(ds), pixels)
        work = (
            (lambda d=data: decode_frame(dcmread(io.BytesIO(d)))) if whole else (lambda d=ds: decode_frame(d))
        )
        before = frame_copy_ms()
        ms = median_ms(work, n=3 if "2000" in name else 5, warm=1)
        f_ms = (before + frame_copy_ms()) / 2  # beside the work: other programs come and go
        label = f"decode {name}" if exact else f"decode {name} (NOT EXACT)"
        rows.append(judged(label, ms, ms / f_ms, "F", target, stretch))
    rows.extend(_gap(name, files[name]) for name in ("RLE", "JPEG-LS") if name in files)
    return rows


def _gap(name: str, data: bytes) -> Row:
    """Longest time between two ticks of a timer while four frames decode in a thread pool."""
    ticks: list[float] = []
    timer = QTimer()
    timer.setInterval(0)
    timer.timeout.connect(lambda: ticks.append(time.perf_counter()))
    timer.start()
    with ThreadPoolExecutor(2) as pool:
        jobs = [pool.submit(lambda: decode_frame(dcmread(io.BytesIO(data)))) for _ in range(4)]
        while not all(job.done() for job in jobs):
            QApplication.processEvents()
    timer.stop()
    longest = max(np.diff(ticks), default=0.0) * 1e3
    return judged(f"longest UI gap while a {name} case decodes", longest, longest, "ms", 16.7)

"""Decoding of one 4096 x 3328 12-bit frame in each transfer syntax, and what the UI thread feels of it."""

from __future__ import annotations

import io
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import imagecodecs
import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset, dcmread, dcmwrite, uid
from pydicom.dataset import FileMetaDataset
from pydicom.encaps import encapsulate, generate_frames
from PySide6.QtCore import QTimer
from PySide6.QtWidgets import QApplication

from app.__main__ import SWITCH_S
from inference.exam.codecs import decode_bytes, decode_frame, frame_format
from inference.exam.container import locate_frame, opened, parse, read_pieces
from inference.exam.preview import decode_preview
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
        deflated = syntax == uid.DeflatedExplicitVRLittleEndian
        ds = dcmread(io.BytesIO(data))
        work = (lambda d=data: _from_file(d)) if deflated else (lambda d=ds: decode_frame(d))
        exact = np.array_equal(work(), pixels)
        before = frame_copy_ms()
        ms = median_ms(work, n=3 if "2000" in name else 5, warm=1)
        f_ms = (before + frame_copy_ms()) / 2  # beside the work: other programs come and go
        label = f"decode {name}" if exact else f"decode {name} (NOT EXACT)"
        rows.append(judged(label, ms, ms / f_ms, "F", target, stretch))
        if (codec := _codec_alone(name, ds)) is not None:
            # What is ours to mend: a codec has its own speed, whatever a copy costs on the machine.
            alone = median_ms(codec, n=3, warm=0)
            rows.append(judged(f"  of it the codec alone, {name}", alone, ms / alone, "codec", 1.25, 1.1))
        if name in {"HTJ2K", "JPEG 2000"}:
            part, fmt = _frame_of(ds), frame_format(ds, str(syntax))
            look = median_ms(lambda p=part, f=fmt: decode_preview(p, f), n=3)
            rows.append(judged(f"  first look, {name}", look, look / ms, "full decode", 0.6, 0.25))
    for name in ("RLE", "JPEG-LS"):
        if name in files:
            rows += _gap(name, files[name])
    return rows


def _frame_of(ds: Dataset) -> bytes:
    return next(generate_frames(ds.PixelData, number_of_frames=1))


def _from_file(data: bytes) -> NDArray[np.generic]:
    """Decode a file as the program does, from its bytes: header, deflate, frame."""
    with opened(data) as stream:
        ds, syntax, body, size = parse(stream, whole=True)
        return decode_bytes(read_pieces(body, locate_frame(body, size, syntax)), frame_format(ds, syntax))


def _codec_alone(name: str, ds: Dataset) -> Callable[[], object] | None:
    decoders = {
        "HTJ2K": imagecodecs.htj2k_decode,
        "JPEG lossless (predictor 1)": imagecodecs.jpeg8_decode,
        "JPEG-LS": imagecodecs.jpegls_decode,
        "JPEG 2000": lambda data: imagecodecs.jpeg2k_decode(data, numthreads=2),
    }
    if name not in decoders:
        return None
    data = _frame_of(ds)
    return lambda: decoders[name](data)


def _gap(name: str, data: bytes) -> list[Row]:
    """Longest gap of the UI thread while four frames decode, beside that of as many plain copies in two threads.

    The second figure is what the machine itself does to the thread: other programs take its core.
    """
    target = np.empty((2, 4096, 3328), np.uint16)

    def copies(until: float, number: int) -> None:
        while time.perf_counter() < until:
            np.copyto(target[number % 2], 1)

    seconds, longest = _longest(lambda _: decode_frame(dcmread(io.BytesIO(data))), 4)
    end = time.perf_counter() + seconds
    _, noise = _longest(lambda number: copies(end, number), 2)
    return [
        judged(f"longest UI gap while a {name} case decodes", longest, longest, "ms", 16.7),
        Row(operation="  the same while memory is copied instead", ms=noise, ratio=noise, unit="ms"),
    ]


def _longest(work: Callable[[int], object], jobs: int) -> tuple[float, float]:
    """Seconds that ``jobs`` calls of ``work`` take in two threads, and the longest gap between two ticks, ms."""
    ticks: list[float] = []
    timer = QTimer()
    timer.setInterval(0)
    timer.timeout.connect(lambda: ticks.append(time.perf_counter()))
    timer.start()
    before = sys.getswitchinterval()
    sys.setswitchinterval(SWITCH_S)  # as in the running program
    start = time.perf_counter()
    with ThreadPoolExecutor(2) as pool:
        running = [pool.submit(work, number) for number in range(jobs)]
        while not all(job.done() for job in running):
            QApplication.processEvents()
    seconds = time.perf_counter() - start
    sys.setswitchinterval(before)
    timer.stop()
    return seconds, float(max(np.diff(ticks), default=0.0) * 1e3)

"""Decodes one tiny packaged image in every transfer syntax and says which came out wrong; no file of a user is read."""

from __future__ import annotations

import base64
import io
import zlib
from dataclasses import dataclass
from typing import Any

import numpy as np
import pydicom
from pydicom import uid

from inference.exam import codecs
from inference.exam.types import ExamError
from resources.files import read_json, resource_path

_SHAPE = (32, 24)


@dataclass(frozen=True, slots=True, kw_only=True)
class CodecTrial:
    """What became of one sample: its transfer syntax, its name, and what was wrong ('' = decoded as it should)."""

    transfer_syntax: str
    name: str
    problem: str


def try_codecs() -> tuple[CodecTrial, ...]:
    """Decode every packaged sample; one trial for each transfer syntax that the program reads."""
    content: Any = read_json(resource_path("dicom", "codec_samples.json"))
    tried = [_trial(sample, content["pixels"]) for sample in content["samples"]]
    missing = codecs.SUPPORTED - {one.transfer_syntax for one in tried}
    tried += [
        CodecTrial(transfer_syntax=s, name=uid.UID(s).name, problem="no sample") for s in sorted(missing)
    ]
    return tuple(tried)


def _trial(sample: dict[str, Any], pixels: str) -> CodecTrial:
    syntax = str(sample["transfer_syntax"])
    expected = np.frombuffer(zlib.decompress(base64.b64decode(sample["pixels"] or pixels)), "<u2").reshape(
        _SHAPE
    )
    ds = pydicom.dcmread(io.BytesIO(base64.b64decode(sample["file"])))
    problem = ""
    try:
        found = codecs.decode_frame(ds)
        error = int(np.abs(found.astype(np.int64) - expected).max()) if found.shape == _SHAPE else -1
        if not 0 <= error <= int(sample["tolerance"]):
            problem = (
                f"expected {_SHAPE} pixels within {sample['tolerance']}, found {found.shape} off by {error}"
            )
    except ExamError as error:
        problem = str(error)
    return CodecTrial(transfer_syntax=syntax, name=uid.UID(syntax).name, problem=problem)

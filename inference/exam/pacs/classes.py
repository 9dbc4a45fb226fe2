"""Which objects and encodings are negotiated with a DIMSE peer: mammography, its objects, and the syntaxes we decode.

Lists only. One context a syntax where images are fetched, so that the peer can send each as it is stored.
"""

from __future__ import annotations

from collections.abc import Sequence

from pynetdicom.presentation import PresentationContext, build_context

MAMMOGRAPHY_CLASSES = (
    "1.2.840.10008.5.1.4.1.1.1.2",  # Digital Mammography X-Ray Image, for presentation
    "1.2.840.10008.5.1.4.1.1.1.2.1",  # the same, for processing
)
TOMOSYNTHESIS_CLASSES = (
    "1.2.840.10008.5.1.4.1.1.13.1.3",  # Breast Tomosynthesis Image
    "1.2.840.10008.5.1.4.1.1.13.1.4",  # Breast Projection X-Ray Image, for presentation
    "1.2.840.10008.5.1.4.1.1.13.1.5",  # the same, for processing
)
OBJECT_CLASSES = (
    "1.2.840.10008.5.1.4.1.1.88.50",  # Mammography CAD SR
    "1.2.840.10008.5.1.4.1.1.88.11",  # Basic Text SR
    "1.2.840.10008.5.1.4.1.1.88.22",  # Enhanced SR
    "1.2.840.10008.5.1.4.1.1.88.33",  # Comprehensive SR
    "1.2.840.10008.5.1.4.1.1.88.59",  # Key Object Selection
    "1.2.840.10008.5.1.4.1.1.11.1",  # Grayscale Softcopy Presentation State
)
OTHER_IMAGE_CLASSES = (
    "1.2.840.10008.5.1.4.1.1.7",  # Secondary Capture
    "1.2.840.10008.5.1.4.1.1.1",  # Computed Radiography
    "1.2.840.10008.5.1.4.1.1.1.1",  # Digital X-Ray, for presentation
    "1.2.840.10008.5.1.4.1.1.7.2",  # Multi-frame Grayscale Byte SC
    "1.2.840.10008.5.1.4.1.1.7.3",  # Multi-frame Grayscale Word SC
    "1.2.840.10008.5.1.4.1.1.30",  # Parametric Map: our heat maps
)
PLAIN_SYNTAXES = ("1.2.840.10008.1.2.1", "1.2.840.10008.1.2", "1.2.840.10008.1.2.2", "1.2.840.10008.1.2.1.99")
PACKED_SYNTAXES = (
    "1.2.840.10008.1.2.4.70",  # JPEG Lossless SV1
    "1.2.840.10008.1.2.4.57",  # JPEG Lossless
    "1.2.840.10008.1.2.4.80",  # JPEG-LS
    "1.2.840.10008.1.2.4.81",
    "1.2.840.10008.1.2.4.90",  # JPEG 2000
    "1.2.840.10008.1.2.4.91",
    "1.2.840.10008.1.2.4.201",  # HTJ2K
    "1.2.840.10008.1.2.4.202",
    "1.2.840.10008.1.2.4.203",
    "1.2.840.10008.1.2.5",  # RLE
    "1.2.840.10008.1.2.4.50",  # JPEG baseline
    "1.2.840.10008.1.2.4.51",
)
ALL_SYNTAXES = (*PACKED_SYNTAXES, *PLAIN_SYNTAXES)
_MOST_CONTEXTS = 128  # PS3.8 9.3.2.2: odd ids 1..255


def offered_to_listener(*, mammography_only: bool) -> list[PresentationContext]:
    """Return what our storage service takes: one context a class with every syntax."""
    images = (*MAMMOGRAPHY_CLASSES, *TOMOSYNTHESIS_CLASSES)
    classes = (*images, *OBJECT_CLASSES, *(() if mammography_only else OTHER_IMAGE_CLASSES))
    return [build_context(one, list(ALL_SYNTAXES)) for one in classes]


def asked_of_getter(classes: Sequence[str]) -> list[PresentationContext]:
    """Return the storage contexts for a C-GET of these classes ('' = unknown), one a class and syntax.

    The first hundred-odd are kept: mammography in every syntax comes first.
    """
    known = set(classes) - {""}
    wanted = [*MAMMOGRAPHY_CLASSES] if "" in classes else []
    wanted += sorted(known - set(wanted))
    wanted += [one for one in OBJECT_CLASSES if "" in classes and one not in wanted]
    made: list[PresentationContext] = []
    for one in wanted:
        syntaxes = PLAIN_SYNTAXES if one in OBJECT_CLASSES else ALL_SYNTAXES
        made += [build_context(one, syntax) for syntax in syntaxes]
    return made[: _MOST_CONTEXTS - 2]

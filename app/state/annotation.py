"""The words written on an image, in PixelMed's layout: who, which view, how it was taken, on what, what to beware of.

Makes texts from ``ViewImage``'s mappings; where they are drawn is ``app.views.edge_text``. In a blinded context no
identity leaves this module, whatever is asked for (MG-27).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

from app.state.overlays import AnnotationText
from app.state.priors import prior_number
from app.state.sizing import is_oblong
from app.state.terms import energy_flag, kind_term
from inference.exam.contrast import SET_BY_READER, ContrastTiming, contrast_timings
from inference.exam.types import Exam, ViewImage
from resources.translation import translate
from resources.vocabulary import ViewModifier

_ELEMENTS = {
    "MOLYBDENUM": "Mo",
    "RHODIUM": "Rh",
    "TUNGSTEN": "W",
    "SILVER": "Ag",
    "ALUMINUM": "Al",
    "COPPER": "Cu",
    "NIOBIUM": "Nb",
    "EUROPIUM": "Eu",
    "LEAD": "Pb",
    "TIN": "Sn",
}
_SIDE_CONFLICT, _ORIENTATION_CONFLICT = "Side conflict", "Orientation conflict"


def _tr(text: str) -> str:
    return translate("annotation", text)


def annotation(
    image: ViewImage,
    exam: Exam,
    *,
    blinded: bool,
    technique: bool,
    identity: bool = True,
    prior_gap: str = "",
) -> AnnotationText:
    """Write the words of one image (MG-22 to MG-27).

    Parameters
    ----------
    image, exam : the image and the examination it belongs to, which gives the order of contrast images
    blinded : True leaves out all that tells who, when, where, by whom and on which very machine
    technique : show exposure and equipment
    identity : show who and when; without effect when blinded
    prior_gap : time before the current examination in words, e.g. "1 y 11 mo"; marks the image as a prior

    Returns
    -------
    AnnotationText
        Identity and technique are lines; each starts with what matters most, for a narrow place cuts from the end.
    """
    timing = contrast_timings(exam.images).get(image.key) if image.kind.is_contrast else None
    lines = (*technique_lines(image), *equipment_lines(image, blinded=blinded)) if technique else ()
    return AnnotationText(
        view_label=view_label(image),
        identity=identity_lines(image) if identity and not blinded else (),
        technique=lines,
        flags=flags(image, timing, prior_gap=prior_gap),
    )


def view_label(image: ViewImage) -> str:
    """Laterality, view and modifiers in the abbreviations of the ACR (MG-23), e.g. "R MLO M S"."""
    return " ".join([image.view.label, *(modifier.value for modifier in image.modifiers)])


def identity_lines(image: ViewImage) -> tuple[str, ...]:
    """Name, id, birth date, age and sex, acquisition, accession and image number (MG-22); absent parts left out."""
    found = image.identity
    born = [
        _date(found.get("PatientBirthDate", "")),
        _age(found.get("PatientAge", "")),
        found.get("PatientSex", ""),
    ]
    if image.acquired is not None:
        taken = image.acquired.strftime("%Y-%m-%d %H:%M:%S")
    else:
        taken = " ".join(filter(None, [
            _date(found.get("AcquisitionDate", "") or found.get("StudyDate", "")),
            _clock(found.get("AcquisitionTime", "")),
        ]))  # fmt: skip
    return _kept(
        _name(found.get("PatientName", "")),
        _tagged("ID", found, "PatientID"),
        "  ".join(filter(None, born)),
        taken,
        "  ".join(
            filter(
                None,
                [_tagged(_tr("Acc"), found, "AccessionNumber"), _tagged(_tr("Im"), found, "InstanceNumber")],
            )
        ),
    )


def technique_lines(image: ViewImage) -> tuple[str, ...]:
    """Exposure, anode and filter, compression, angle and dose, each with its unit (MG-24); absent parts left out."""
    found = image.header
    charge = _number(found, "Exposure", "mAs")
    if not charge:
        charge = _number(found, "ExposureInuAs", "mAs", factor=1e-3)
    anode, filtered = (
        "+".join(_ELEMENTS.get(word, word.capitalize()) for word in _values(found, keyword))
        for keyword in ("AnodeTargetMaterial", "FilterMaterial")
    )
    target = "/".join(filter(None, [anode, filtered])) if anode else _labelled(_tr("filter"), filtered)
    magnified = _float(found.get("EstimatedRadiographicMagnificationFactor", ""))
    return _kept(
        _joined(_number(found, "KVP", "kVp"), charge, _number(found, "ExposureTime", "ms")),
        _joined(target or _filter_type(found), _number(found, "FocalSpots", _tr("mm focus"))),
        _joined(_number(found, "BodyPartThickness", "mm"), _number(found, "CompressionForce", "N"),
                _number(found, "PositionerPrimaryAngle", "°", join="")),
        _joined(_labelled("REI", _number(found, "RelativeXRayExposure", "")),
                _tr("mag ×{0:.3g}").format(magnified) if magnified is not None and magnified >= 1.2 else ""),
        # Organ Dose is written in dGy (PS3.3 C.8.7.3), Entrance Dose in mGy.
        _joined(_labelled(_tr("organ dose"), _number(found, "OrganDose", "mGy", factor=100.0)),
                _labelled(_tr("entrance"), _number(found, "EntranceDoseInmGy", "mGy"))),
        _joined(_labelled(_tr("contrast"), found.get("ContrastBolusAgent", "")),
                _number(found, "ContrastBolusVolume", "ml")),
    )  # fmt: skip


def equipment_lines(image: ViewImage, *, blinded: bool) -> tuple[str, ...]:
    """Maker and model; unless blinded serial number, detector, institution, address and operator too (MG-25)."""
    found, who = image.header, {} if blinded else image.identity
    maker = found.get("Manufacturer") or found.get("SecondaryCaptureDeviceManufacturer", "")
    model = found.get("ManufacturerModelName") or found.get("SecondaryCaptureDeviceManufacturerModelName", "")
    return _kept(
        " ".join(filter(None, [maker, model])),
        "  ".join(filter(None, [
            _tagged(_tr("SN"), who, "DeviceSerialNumber"), _tagged(_tr("Det"), who, "DetectorID"), who.get("StationName", ""),
        ])),
        who.get("InstitutionName", ""),
        " ".join(who.get("InstitutionAddress", "").split()),
        _labelled(_tr("Op"), _name(who.get("OperatorsName", ""))),
    )  # fmt: skip


def flags(image: ViewImage, timing: ContrastTiming | None = None, *, prior_gap: str = "") -> tuple[str, ...]:
    """What to beware of, most important first (MG-26): conflicts, priors, energies, parts, loss."""
    said = image.flags
    found = [
        _tr("LATERALITY CONFLICT") if any(text.startswith(_SIDE_CONFLICT) for text in image.evidence) else "",
        _tr("ORIENTATION CONFLICT")
        if any(text.startswith(_ORIENTATION_CONFLICT) for text in image.evidence)
        else "",
        _tr("PIXELS NOT SQUARE") if is_oblong(image) else "",
        _tr("NOT FOR READING (For Processing)") if said.for_processing else "",
        _tr("QC") if said.quality_control else "",
        _tr("PRIOR {0}").format(prior_gap).strip() if prior_gap or prior_number(image) else "",
        _kind_flag(image, timing),
        " ".join([_tr("PARTIAL"), *(region.upper() for region in said.partial_region)])
        if said.partial
        else "",
        _tr("IMPLANT") if said.implant or ViewModifier.IMPLANT_DISPLACED in image.modifiers else "",
        _tr("SPOT") if ViewModifier.SPOT in image.modifiers else "",
        _tr("MAGNIFIED") if ViewModifier.MAGNIFICATION in image.modifiers else "",
        _lossy(said.lossy_ratio) if said.lossy else "",
    ]
    return tuple(flag for flag in found if flag)


def _kind_flag(image: ViewImage, timing: ContrastTiming | None) -> str:
    words = [energy_flag(image.kind)]
    if any(SET_BY_READER in text for text in image.evidence):
        kind = _tr("kind") if words[0] else kind_term(image.kind)
        words.append(_tr("({0} set by reader)").format(kind))
    if timing is not None:
        words.append({"early": _tr("EARLY"), "late": _tr("LATE")}.get(timing.phase, timing.phase.upper()))
        if timing.minutes is not None:
            words.append(_tr("{0:.1f} min p.i.").format(timing.minutes))
        words.append(_tr("acq {0}").format(timing.order))
    return " ".join(filter(None, words))


def _lossy(ratio: float | None) -> str:
    return _tr("LOSSY") if ratio is None else _tr("LOSSY {0:.3g}:1").format(ratio)


def _name(text: str) -> str:
    """Family name in capitals, then the others; only the first (alphabetic) group of a person's name."""
    family, *others = [part.strip() for part in text.partition("=")[0].split("^")] if text else [""]
    given = " ".join(part for part in others if part)
    return ", ".join(filter(None, [family.upper(), given]))


def _date(text: str) -> str:
    match = re.fullmatch(r"(\d{4})[.-]?(\d{2})[.-]?(\d{2})", text)
    return "-".join(match.groups()) if match is not None else text


def _clock(text: str) -> str:
    match = re.match(r"(\d{2})(\d{2})(\d{2})?", text)
    return ":".join(part for part in match.groups() if part) if match is not None else text


def _age(text: str) -> str:
    match = re.fullmatch(r"0*(\d+)([YMWD])", text)
    if match is None:
        return text
    words = {"Y": _tr("{0} y"), "M": _tr("{0} m"), "W": _tr("{0} w"), "D": _tr("{0} d")}
    return words[match[2]].format(match[1])


def _tagged(word: str, found: Mapping[str, str], keyword: str) -> str:
    return _labelled(word, found.get(keyword, ""))


def _labelled(word: str, value: str) -> str:
    return f"{word} {value}" if value else ""


def _values(found: Mapping[str, str], keyword: str) -> Sequence[str]:
    return [word.strip() for word in found.get(keyword, "").split("\\") if word.strip()]


def _filter_type(found: Mapping[str, str]) -> str:
    return _labelled(_tr("filter"), found.get("FilterType", "").lower())


def _float(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _number(
    found: Mapping[str, str], keyword: str, unit: str, *, factor: float = 1.0, join: str = " "
) -> str:
    """First value of an attribute with its unit, to four figures; '' when absent or no number."""
    values = _values(found, keyword)
    number = _float(values[0]) if values else None
    return "" if number is None else f"{number * factor:.4g}{join if unit else ''}{unit}"


def _joined(*parts: str) -> str:
    return "  ".join(part for part in parts if part)


def _kept(*lines: str) -> tuple[str, ...]:
    return tuple(_without_repeats(line for line in lines if line))


def _without_repeats(lines: Iterable[str]) -> Iterable[str]:
    return dict.fromkeys(lines)

"""The codes of Mammography CAD SR (PS3.16 TID 4000 and its context groups) and the finding types behind them."""

from __future__ import annotations

from dataclasses import dataclass

from resources.vocabulary import FindingType


@dataclass(frozen=True, slots=True)
class Code:
    """Code value, coding scheme designator, code meaning."""

    value: str
    scheme: str
    meaning: str


def _dcm(value: str, meaning: str) -> Code:
    return Code(value, "DCM", meaning)


LANGUAGE = _dcm("121049", "Language of Content Item and Descendants")
ENGLISH = Code("en-US", "RFC5646", "English (United States)")
REPORT = _dcm("111036", "Mammography CAD Report")
IMAGE_LIBRARY = _dcm("111028", "Image Library")
SUMMARY = _dcm("111017", "CAD Processing and Findings Summary")
IMPRESSION = _dcm("111034", "Individual Impression/Recommendation")
IMPRESSION_DESCRIPTION = _dcm("111033", "Impression Description")
COMPOSITE = _dcm("111015", "Composite Feature")
COMPOSITE_TYPE = _dcm("111016", "Composite type")
SCOPE = _dcm("111057", "Scope of Feature")
RELATED_SPATIALLY = _dcm("111154", "Target content items are related spatially")
ON_ONLY_IMAGE = _dcm("111156", "Feature detected on the only image")
ON_ONE_OF = _dcm("111157", "Feature detected on only one of the images")
ON_SEVERAL = _dcm("111158", "Feature detected on multiple images")
FINDING = _dcm("111059", "Single Image Finding")
INTENT = _dcm("111056", "Rendering Intent")
OPERATING_POINT = _dcm("111071", "CAD Operating Point")
CENTER = _dcm("111010", "Center")
OUTLINE = _dcm("111041", "Outline")
CERTAINTY = _dcm("111012", "Certainty of Finding")
CERTAINTY_OF_FEATURE = _dcm("111011", "Certainty of Feature")
PROBABILITY = _dcm("111047", "Probability of cancer")
ALGORITHM_NAME = _dcm("111001", "Algorithm Name")
ALGORITHM_PARAMETERS = _dcm("111002", "Algorithm Parameters")
ALGORITHM_VERSION = _dcm("111003", "Algorithm Version")
DETECTIONS = _dcm("111064", "Summary of Detections")
ANALYSES = _dcm("111065", "Summary of Analyses")
SUCCESSFUL_DETECTIONS = _dcm("111063", "Successful Detections")
FAILED_DETECTIONS = _dcm("111025", "Failed Detections")
SUCCESSFUL_ANALYSES = _dcm("111062", "Successful Analyses")
FAILED_ANALYSES = _dcm("111024", "Failed Analyses")
DETECTION_PERFORMED = _dcm("111022", "Detection Performed")
ANALYSIS_PERFORMED = _dcm("111004", "Analysis Performed")
LATERALITY = _dcm("111027", "Image Laterality")
IMAGE_VIEW = _dcm("111031", "Image View")
VIEW_MODIFIER = _dcm("111032", "Image View Modifier")
ORIENTATION_ROW = _dcm("111044", "Patient Orientation Row")
ORIENTATION_COLUMN = _dcm("111043", "Patient Orientation Column")
STUDY_DATE = _dcm("111060", "Study Date")
STUDY_TIME = _dcm("111061", "Study Time")
CONTENT_DATE = _dcm("111018", "Content Date")
CONTENT_TIME = _dcm("111019", "Content Time")
HORIZONTAL_SPACING = _dcm("111026", "Horizontal Pixel Spacing")
VERTICAL_SPACING = _dcm("111066", "Vertical Pixel Spacing")
PERCENT = Code("%", "UCUM", "Percent")
MICROMETER = Code("um", "UCUM", "um")
NO_UNITS = Code("1", "UCUM", "no units")
RIGHT_BREAST = Code("73056007", "SCT", "Right breast")
LEFT_BREAST = Code("80248007", "SCT", "Left breast")
SPATIAL_COLLOCATION = Code("133884007", "SCT", "Spatial collocation analysis")
SELECTED_REGION = _dcm("111099", "Selected region")
REGION_DESCRIPTION = _dcm("111058", "Selected Region Description")

CALCIFICATION_CLUSTER = Code("129769006", "SCT", "Calcification Cluster")
DENSITY = Code("129793001", "SCT", "Mammography breast density")
DISTORTION = Code("129792006", "SCT", "Architectural distortion of breast")
MASS = Code("129788004", "SCT", "Mammographic breast mass")
FOCAL_ASYMMETRY = Code("129789007", "SCT", "Focal asymmetric breast tissue")

# A finding of one image is a "density" whether it turns out a mass or an asymmetry (CID 6014); the composite
# feature says which (CID 6016). Nothing in either names enhancement: a selected region with its description.
SINGLE_IMAGE: dict[FindingType | None, Code] = {
    FindingType.MASS: DENSITY,
    FindingType.ASYMMETRY: DENSITY,
    FindingType.CALCIFICATION: CALCIFICATION_CLUSTER,
    FindingType.DISTORTION: DISTORTION,
    FindingType.ENHANCEMENT: SELECTED_REGION,
    None: SELECTED_REGION,
}
COMPOSED: dict[FindingType | None, Code] = {
    FindingType.MASS: MASS,
    FindingType.ASYMMETRY: FOCAL_ASYMMETRY,
    FindingType.CALCIFICATION: CALCIFICATION_CLUSTER,
    FindingType.DISTORTION: DISTORTION,
    FindingType.ENHANCEMENT: SELECTED_REGION,
    None: SELECTED_REGION,
}

# SNOMED CT, then the SNOMED-RT code that older files carry under SRT, SNM3 or 99SDM.
FINDING_TYPES: dict[str, FindingType] = {
    "129769006": FindingType.CALCIFICATION, "F-01775": FindingType.CALCIFICATION,
    "129770007": FindingType.CALCIFICATION, "F-01776": FindingType.CALCIFICATION,
    "129793001": FindingType.MASS, "F-01796": FindingType.MASS,
    "129788004": FindingType.MASS, "F-01791": FindingType.MASS,
    "129792006": FindingType.DISTORTION, "F-01795": FindingType.DISTORTION,
    "129789007": FindingType.ASYMMETRY, "F-01792": FindingType.ASYMMETRY,
    "129790003": FindingType.ASYMMETRY, "F-01793": FindingType.ASYMMETRY,
}  # fmt: skip

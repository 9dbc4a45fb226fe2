"""The columns of every tidy table with type, unit, range and meaning: the data dictionary. Rows are ``tables``."""

from __future__ import annotations

from dataclasses import dataclass, field

from resources.vocabulary import BackgroundEnhancement, Conspicuity, EnhancementSymmetry, EnhancementType

Value = str | int | float | bool | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One column as the data dictionary describes it."""

    name: str
    type: str
    unit: str
    range: str
    meaning: str


@dataclass(slots=True, kw_only=True)
class TidyTable:
    """One table: its name, columns and rows; every row has as many values as there are columns."""

    name: str
    columns: tuple[Column, ...]
    rows: list[tuple[Value, ...]] = field(default_factory=list)

    def add(self, *values: Value) -> None:
        if len(values) != len(self.columns):
            raise ValueError(f"{self.name}: expected {len(self.columns)} values, found {len(values)}")
        self.rows.append(values)


def _c(name: str, type_: str, meaning: str, unit: str = "", range_: str = "") -> Column:
    return Column(name=name, type=type_, unit=unit, range=range_, meaning=meaning)


KEY = (
    _c("study_id", "text", "The study."),
    _c("session_id", "text", "One reader's sitting plan for one period."),
    _c("reader_id", "text", "The reader."),
    _c("period", "integer", "Reading period; washout lies between periods.", range_="1.."),
    _c("position", "integer", "Place of the case in the reader's order.", range_="1.."),
    _c("case_id", "text", "The case."),
    _c("arm_id", "text", "Reading condition."),
)
SECONDS = {"type_": "number", "unit": "s", "range_": "0.."}

SESSIONS = (
    KEY[0],
    KEY[1],
    KEY[2],
    _c("period", "integer", "Reading period; 0 is practice.", range_="0.."),
    _c("n_planned", "integer", "Cases planned.", range_="1.."),
    _c("n_locked", "integer", "Cases submitted and locked.", range_="0.."),
    _c("n_recovered", "integer", "How often the session was taken up after a crash.", range_="0.."),
    _c(
        "washout_overridden",
        "boolean",
        "A coordinator let the session begin before its washout.",
        range_="0, 1",
    ),
    _c("first_event_utc", "text", "Time of the first event; empty = not begun.", unit="ISO 8601 UTC"),
    _c("last_event_utc", "text", "Time of the last event.", unit="ISO 8601 UTC"),
    _c("n_events", "integer", "Events in the session's chain.", range_="0.."),
    _c("n_breaks", "integer", "Breaks that the program suggested.", range_="0.."),
    _c("break_s", "number", "From a suggested break to going on, all together.", unit="s", range_="0.."),
    _c("signed_by", "text", "Account that signed the finished session; empty = not signed."),
    _c("signed_utc", "text", "When it was signed.", unit="ISO 8601 UTC"),
    _c("head_hash", "text", "Hash of the last event.", unit="SHA-256"),
    _c("protocol_hash", "text", "Hash of the frozen protocol.", unit="SHA-256"),
)
STAGE = _c(
    "stage",
    "text",
    "Sequential design: provisional = locked before the AI was revealed, final = after; only elsewhere.",
    range_="only, provisional, final",
)
READINGS = (
    *KEY,
    STAGE,
    _c("exam_digest", "text", "Digest of the exam that was read.", unit="SHA-256"),
    *(
        column
        for side, word in (("R", "right"), ("L", "left"))
        for column in (
            _c(
                f"birads_{side}",
                "text",
                f"BI-RADS category, {word} breast; empty = not assessed.",
                range_="scale",
            ),
            _c(f"suspicion_{side}", "integer", f"Probability of malignancy, {word} breast.", "%", "0..100"),
        )
    ),
    _c("suspicion_max", "integer", "Higher of the two breasts: the case's rating.", "%", "0..100"),
    _c("density", "text", "BI-RADS breast composition; empty = not asked.", range_="a, b, c, d"),
    _c("recall", "boolean", "Recall decision; empty = not asked.", range_="0, 1"),
    _c("call", "boolean", "Call of the case: 1 = malignant, 0 = benign; empty = not asked.", range_="0, 1"),
    *(
        column
        for side, word in (("R", "right"), ("L", "left"))
        for column in (
            _c(
                f"bpe_{side}",
                "text",
                f"Background parenchymal enhancement, {word} breast, contrast exams; empty = not asked.",
                range_=", ".join(BackgroundEnhancement),
            ),
            _c(
                f"bpe_symmetry_{side}",
                "text",
                f"Background enhancement of the {word} breast against the other; empty = not asked.",
                range_=", ".join(EnhancementSymmetry),
            ),
        )
    ),
    _c(
        "seen_1to1_min",
        "number",
        "Tissue shown at 1:1, of the image least seen; empty = not counted.",
        "share",
        "0..1",
    ),
    _c(
        "seen_1to1_mean",
        "number",
        "Tissue shown at 1:1, mean over the images; empty = not counted.",
        "share",
        "0..1",
    ),
    _c("n_findings", "integer", "Marks left when the case was locked.", range_="0.."),
    _c("interrupted", "boolean", "The case left the screen before it was locked.", range_="0, 1"),
    _c("idle", "boolean", "No input came beyond the idle threshold at least once.", range_="0, 1"),
    _c("n_amendments", "integer", "How often the answer was changed after the lock.", range_="0.."),
    _c("locked_utc", "text", "When this answer was locked.", unit="ISO 8601 UTC"),
)
FINDINGS = (
    *KEY,
    _c("finding_id", "text", "The mark; one taken back and set again by redo has a row for each time."),
    _c("status", "text", "kept = there when locked; removed = taken back before.", range_="kept, removed"),
    _c("image_key", "text", "View and kind of image, e.g. R-CC."),
    _c("laterality", "text", "Side, from the image.", range_="R, L"),
    _c("source_id", "text", "SOP Instance UID or path in the manifest."),
    _c("row", "number", "Row of the mark in the stored file.", "pixel", "0.."),
    _c("col", "number", "Column of the mark in the stored file.", "pixel", "0.."),
    *(
        _c(name, "number", f"{word} of the box, half-open; empty = a point.", "pixel", "0..")
        for name, word in (
            ("row0", "First row"),
            ("col0", "First column"),
            ("row1", "End row"),
            ("col1", "End column"),
        )
    ),
    _c("row_mm", "number", "Row in the breast plane; empty = no pixel spacing.", "mm", "0.."),
    _c("col_mm", "number", "Column in the breast plane; empty = no pixel spacing.", "mm", "0.."),
    _c("finding_type", "text", "Type of finding.", range_="vocabulary"),
    _c("suspicion", "integer", "Probability of malignancy of the mark.", "%", "0..100"),
    _c("birads", "text", "BI-RADS of the mark; empty = not asked.", range_="scale"),
    _c(
        "enhancement",
        "text",
        "How it enhances on the recombined image (nme = non-mass enhancement); empty = not asked.",
        range_=", ".join(EnhancementType),
    ),
    _c(
        "conspicuity",
        "text",
        "How its enhancement stands out; empty = not asked or none.",
        range_=", ".join(Conspicuity),
    ),
    _c("call", "boolean", "Call of the mark: 1 = malignant, 0 = benign; empty = not asked.", range_="0, 1"),
    _c(
        "in_provisional",
        "boolean",
        "Sequential design: the mark was there when the provisional answer was locked; empty elsewhere.",
        range_="0, 1",
    ),
    _c("n_moves", "integer", "How often it was moved or edited.", range_="0.."),
    _c("added_utc", "text", "When it was set.", unit="ISO 8601 UTC"),
)
TIMES = (
    *KEY,
    STAGE,
    _c("load_s", meaning="Case asked for -> first paint of all views, first opening.", **SECONDS),
    _c("raw_s", meaning="First paint of all views -> submit.", **SECONDS),
    _c("active_s", meaning="raw_s less paused_s, idle_s and unfocused_s.", **SECONDS),
    _c("paused_s", meaning="Paused by the reader.", **SECONDS),
    _c("idle_s", meaning="No input beyond the idle threshold, outside of pauses.", **SECONDS),
    _c("unfocused_s", meaning="Another window in front, outside of pauses and idle time.", **SECONDS),
    _c("opened_to_submit_s", meaning="Case asked for -> submit, loading included.", **SECONDS),
    _c("n_openings", "integer", "How often the case came on screen.", range_="1.."),
    _c(
        "interrupted",
        "boolean",
        "Left the screen before it was locked; raw_s is a lower bound.",
        range_="0, 1",
    ),
    _c("idle", "boolean", "idle_s is above 0.", range_="0, 1"),
    _c(
        "after_provisional_s",
        "number",
        "Provisional answer -> submit, of raw_s; empty unless stage is final.",
        "s",
        "0..",
    ),
    _c("n_events", "integer", "Events of the reading.", range_="0.."),
    _c("n_view_changes", "integer", "Pan, zoom and window changes.", range_="0.."),
)
COVERAGE = (
    *KEY,
    _c("image_key", "text", "View and kind of image, e.g. R-CC."),
    _c(
        "seen_1to1",
        "number",
        "Tissue shown at 1:1 or larger for 0.2 s or more; the highest of the openings.",
        "share",
        "0..1",
    ),
    _c("shown_1to1_s", meaning="How long any part of the image was shown at 1:1 or larger.", **SECONDS),
)
AI_SCORES = (
    *KEY,
    _c("model", "text", "Model name, version and weights digest, as recorded.", unit="key=value; ..."),
    _c(
        "score_of",
        "text",
        "What the score is of: exam, a breast, a view; finding:TYPE is the highest detection of that type.",
        range_="as recorded",
    ),
    _c("score", "number", "The model's score; its meaning is in the model card.", range_="0..1"),
    _c("n_detections", "integer", "Detections recorded with it.", range_="0.."),
    _c("recorded_utc", "text", "When it was recorded.", unit="ISO 8601 UTC"),
)
EXPOSURE = (
    *KEY,
    _c(
        "layer",
        "text",
        "AI layer that came on screen: boxes = findings on the pictures and in the list, finding = one of them chosen "
        "and told in full, state = why there is no AI or which views it did not read.",
        range_="boxes, heatmap, score, finding, state",
    ),
    _c("shown_utc", "text", "When it came on screen.", unit="ISO 8601 UTC"),
    _c(
        "after_paint_s",
        "number",
        "First paint of this opening -> layer on screen; empty = not painted.",
        "s",
        "0..",
    ),
    _c("seconds", "number", "How long it was on screen.", "s", "0.."),
    _c(
        "ended_by",
        "text",
        "What took it off the screen; changed = the same layer holds something else from then on.",
        range_="hidden, changed, submitted, paused, left, cut off",
    ),
    _c("content", "text", "What was in it, as recorded.", unit="JSON"),
)
STAGES = (
    *KEY,
    _c("step", "text", "Hanging step on screen; first = the one that the case opens with."),
    _c("shown_utc", "text", "When it came on screen.", unit="ISO 8601 UTC"),
    _c("after_paint_s", "number", "First paint of this opening -> step on screen.", "s", "0.."),
    _c("seconds", "number", "How long it was on screen, without pauses.", "s", "0.."),
    _c(
        "ended_by", "text", "What took it off the screen.", range_="changed, submitted, paused, left, cut off"
    ),
)
CLOCK = (
    *KEY,
    _c("after_event", "integer", "Number of the last event before the gap.", range_="1.."),
    _c(
        "seconds",
        "number",
        "Calendar less monotonic clock: above 0 = the computer slept or its clock was set forward; below = set back.",
        "s",
    ),
)
WASHOUT = (
    KEY[0],
    KEY[2],
    KEY[5],
    _c("first_session_id", "text", "The earlier session."),
    _c("first_arm_id", "text", "Arm of the earlier reading."),
    _c("second_session_id", "text", "The later session."),
    _c("second_arm_id", "text", "Arm of the later reading."),
    _c("interval_days", "number", "Earlier reading locked -> later reading locked.", "d", "0.."),
    _c("below_rule", "boolean", "The interval is shorter than the protocol's washout.", range_="0, 1"),
    _c("overridden", "boolean", "A coordinator let the later session begin early.", range_="0, 1"),
)
ALLOCATION = (
    *KEY,
    _c("first_arm_id", "text", "Arm of the provisional answer; empty = one answer only."),
    _c("practice", "boolean", "Practice case; never analysed.", range_="0, 1"),
)
AUDIT = (
    KEY[0],
    _c("number", "integer", "Place in the audit chain.", range_="1.."),
    _c("when_utc", "text", "When.", unit="ISO 8601 UTC"),
    _c("who", "text", "Account."),
    _c("role", "text", "Role of the account.", range_="coordinator, statistician, administrator"),
    _c("action", "text", "What was done."),
    _c("subject", "text", "To what."),
    _c("old", "text", "Before; empty = there was nothing.", unit="JSON"),
    _c("new", "text", "After; empty = nothing.", unit="JSON"),
    _c("why", "text", "The reason given."),
    _c("hash", "text", "Hash of the action's event.", unit="SHA-256"),
)

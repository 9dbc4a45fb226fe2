"""What comes before the analysed cases: the scale's instruction, and the proof that it was read.

Owns texts and rules only; ``sessions`` writes the events. Feedback on practice cases is ``feedback``, which knows truth.
"""

from __future__ import annotations

import hashlib

from reader_study.domain.study import Study


def instruction_text(study: Study) -> str:
    """Return what a reader is shown before the first case of a session; "" = nothing (RS-T2, RS-D6)."""
    return "\n\n".join(text for text in (study.training.instruction, study.disclosure.prevalence) if text)


def instruction_digest(study: Study) -> str | None:
    """Return the SHA-256 (hex) of the instruction, as the log keeps it; None = there is nothing to acknowledge."""
    text = instruction_text(study)
    return hashlib.sha256(text.encode("utf-8")).hexdigest() if text else None

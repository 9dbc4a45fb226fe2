"""One exam under two case ids: a slip at the import, or wanted for the agreement of a reader with herself."""

from __future__ import annotations

from reader_study.domain.study import Case, Study
from reader_study.errors import StudyError


def check_repeats(study: Study) -> None:
    """Raise StudyError where two cases have the same pixels and the protocol does not ask for that.

    A practice case is never one that counts as well, whatever the protocol says (RS-T1).
    """
    pairs = _pairs(study)
    mixed = [pair for pair in pairs if pair[0].practice is not pair[1].practice]
    if mixed:
        first, second = mixed[0]
        raise StudyError(
            f"Study {study.study_id}: expected no practice case among those that count, found {first.case_id} and"
            f" {second.case_id} to be one exam; take one of the two out."
        )
    if pairs and not study.conduct.repeated_exams:
        first, second = pairs[0]
        more = f" and {len(pairs) - 1} more pairs" if len(pairs) > 1 else ""
        raise StudyError(
            f"Study {study.study_id}: expected each exam once, found {first.case_id} and {second.case_id} to be the same"
            f"{more}; take one out, or say in the protocol that exams are read repeatedly (conduct.repeated_exams)."
        )


def _pairs(study: Study) -> list[tuple[Case, Case]]:
    seen: dict[str, Case] = {}
    pairs: list[tuple[Case, Case]] = []
    for case in study.cases:
        if case.exam_digest:
            first = seen.setdefault(case.exam_digest, case)
            if first is not case:
                pairs.append((first, case))
    return pairs

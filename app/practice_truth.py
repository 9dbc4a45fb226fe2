"""Gives the truth of locked practice cases to the reading screen, where the protocol says so (RS-T3).

The only way from a truth file to a reader; ``reader_study.feedback`` refuses every case that counts.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from app.workstation import PracticeTruth
from reader_study.domain.study import Study
from reader_study.domain.truth import read_truth
from reader_study.errors import StudyError
from reader_study.feedback import show_feedback
from reader_study.sessions import Sessions
from reader_study.truth_import import write_truth
from resources.translation import translate

PRACTICE_TRUTH = "practice_truth.json"  # beside a station's cases: a copy without the cases that count


def _tr(text: str) -> str:
    return translate("practice", text)


def cut_practice_truth(study: Study, truth: Path, out: Path) -> tuple[str, ...]:
    """Write the truth of the practice cases, and of no other, for a reader's station; return their case ids.

    Raises
    ------
    StudyError
        The study has no practice case, or the truth speaks of none of them; nothing is written.
    """
    practice = {case.case_id for case in study.cases if case.practice}
    found = tuple(one for one in read_truth(truth) if one.case_id in practice)
    if not found:
        raise StudyError(
            f"{truth}: expected the truth of practice cases of study {study.study_id}, found none;"
            " mark practice cases in the protocol, or name another truth file."
        )
    out.parent.mkdir(parents=True, exist_ok=True)
    write_truth(found, out)
    return tuple(one.case_id for one in found)


def practice_truth(*places: Path) -> PracticeTruth:
    """Return the giver of feedback; it looks for the truth in the first of ``places`` that is there, when asked.

    The giver takes sessions, study, session id and case id, writes the event and returns what is shown. It raises
    StudyError where the truth of the case is not at this station, is refused, or the log does not take it.
    """

    def give(sessions: Sessions, study: Study, session_id: str, case_id: str) -> Mapping[str, object]:
        if not study.case(case_id).practice or not study.training.feedback:
            raise StudyError(
                _tr(
                    "Case {0}: expected a practice case of a study with feedback; its truth is not shown."
                ).format(case_id)
            )
        there = next((place for place in places if place.is_file()), None)
        truths = () if there is None else read_truth(there)
        found = next((truth for truth in truths if truth.case_id == case_id), None)
        if found is None:
            raise StudyError(
                _tr(
                    "The truth of this practice case is not on this station, so it cannot be shown; tell the coordinator."
                )
            )
        return show_feedback(sessions, study, session_id, found)

    return give

"""What a new version of a frozen protocol may change, and what stays for good because somebody has read under it."""

from __future__ import annotations

from collections.abc import Collection

from reader_study.domain.study import Study
from reader_study.errors import StudyError


def check_amendment(old: Study, new: Study, begun: Collection[str]) -> None:
    """Raise StudyError unless ``new`` may follow ``old`` as the next version of its protocol.

    Parameters
    ----------
    old, new
        The version in force and the one to come.
    begun
        Ids of sessions that have events; their order, arms, cases and readers stay as they are.
    """

    def refuse(what: str, expected: str, found: str) -> None:
        raise StudyError(
            f"Amendment of {old.study_id}: {what}: expected {expected}, found {found}; correct the amendment."
        )

    if new.study_id != old.study_id:
        refuse("study_id", old.study_id, new.study_id)
    if new.protocol_version == old.protocol_version:
        refuse("protocol_version", f"another than {old.protocol_version}", new.protocol_version)
    for session_id in sorted(begun):
        if new.plan(session_id) != old.plan(session_id):
            refuse(f"session {session_id}, which has begun", "its reading order unchanged", "another or none")
    used = {e for plan in old.plans if plan.session_id in begun for e in plan.entries}
    for case_id in sorted({entry.case_id for entry in used}):
        if case_id not in {case.case_id for case in new.cases} or new.case(case_id) != old.case(case_id):
            refuse(f"case {case_id}, which is being read", "no change", "another case or none")
    arms = {arm for entry in used for arm in (entry.arm_id, entry.first_arm_id) if arm is not None}
    for arm_id in sorted(arms):
        if new.arm(arm_id) != old.arm(arm_id):
            refuse(f"arm {arm_id}, which is being read", "no change", "another arm")
    if begun and new.scale != old.scale:
        refuse("scale", "no change once reading has begun", "another scale")
    if begun and new.conduct.navigation != old.conduct.navigation:
        # answers that were amended after their lock would no longer be legal in the log
        refuse("navigation", "no change once reading has begun", "another rule")
    if begun and (new.localisation, new.conduct.interruption) != (old.localisation, old.conduct.interruption):
        refuse("scoring and exclusion rules", "no change once reading has begun", "others")

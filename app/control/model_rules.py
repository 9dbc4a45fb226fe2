"""Which models a study's protocol has answer, in words for the settings: there the reader cannot choose.

A protocol names models by arm (``ai.models``); where it names none, the model that the station was started with answers.
"""

from __future__ import annotations

from reader_study.domain.study import Study
from resources.translation import translate


def _tr(text: str) -> str:
    return translate("models", text)


def study_rules(study: Study, station_model: str) -> str:
    """Say for every arm that shows AI which models answer in it.

    Parameters
    ----------
    study : the study of this station.
    station_model : id of the model that answers where the protocol names none.
    """
    aided = [arm for arm in study.arms if arm.ai.shown]
    if not aided:
        return _tr(
            "Study {0}: no arm of its protocol shows AI; what is chosen here holds outside the study."
        ).format(study.study_id)
    said = []
    for arm in aided:
        if arm.ai.models:
            words = _tr("arm {0}: {1}")
            said.append(words.format(arm.arm_id, ", ".join(arm.ai.models)))
        else:
            words = _tr("arm {0}: no model named, so the one that the station was started with ({1})")
            said.append(words.format(arm.arm_id, station_model))
    rule = _tr(
        "Study {0}: its protocol says which models answer in it ({1}); what is chosen here holds outside the study."
    )
    return rule.format(study.study_id, "; ".join(said))

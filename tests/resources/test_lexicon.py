"""The questions of the form, as packaged, and what a damaged file says."""

from __future__ import annotations

import json

import pytest

from resources.files import ResourceError, resource_path
from resources.lexicon import AnswerKind, Scope, load_lexicon
from resources.vocabulary import BiRads, Density, FindingType


def test_rs_c1_packaged_lexicon_speaks_the_shared_vocabulary():
    lexicon = load_lexicon()
    assert [answer.value for answer in lexicon.question("birads").answers] == [
        member.value for member in BiRads
    ]
    assert [answer.value for answer in lexicon.question("density").answers] == [
        member.value for member in Density
    ]
    assert [a.value for a in lexicon.question("finding").answers] == [member.value for member in FindingType]
    suspicion = lexicon.question("suspicion")
    assert (suspicion.kind, suspicion.minimum, suspicion.maximum) == (AnswerKind.INTEGER, 0, 100)
    assert {question.scope for question in lexicon.questions} == set(Scope)
    for question in lexicon.questions:
        keys = [answer.key for answer in question.answers]
        assert len(set(keys)) == len(keys)


def test_rs_t2_every_quarter_of_the_scale_has_a_meaning():
    assert [anchor.value for anchor in load_lexicon().question("suspicion").anchors] == [0, 25, 50, 75, 100]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda value: value.update(schema="other"), "schema: expected"),
        (lambda value: value["questions"][0].update(scope="woman"), r"questions\[0\].*woman"),
        (lambda value: value["questions"][1].update(minimum=200), r"questions\[1\].*minimum < maximum"),
        (lambda value: value["questions"][0]["answers"][0].pop("meaning"), r"questions\[0\].answers.meaning"),
        (lambda value: value.update(version="other/1"), "expected version 'birads-5-core/1', found other/1"),
    ],
)
def test_damaged_lexicon_names_file_and_place(tmp_path, change, words):
    value = json.loads(resource_path("birads", "birads-5-core.json").read_text(encoding="utf-8"))
    change(value)
    (tmp_path / "x.json").write_text(json.dumps(value), encoding="utf-8")
    with pytest.raises(ResourceError, match=words):
        load_lexicon(folder=tmp_path)

"""The user's own hanging protocols: saved, read back, refused in one sentence, deleted."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import jsonschema
import pytest

from app.state.completeness import missing_of_summary, missing_views, missing_words
from app.state.hanging import load_protocols
from app.state.hanging_rules import parse_protocol, protocol_json
from app.state.protocol_library import OWN_PRIORITY, ProtocolError, ProtocolLibrary, read_protocol
from inference.exam.phantom import PhantomSpec, phantom_exam
from inference.exam.types import ExamSummary
from resources.files import resource_path


@pytest.fixture
def library(tmp_path: Path) -> ProtocolLibrary:
    return ProtocolLibrary(load_protocols(), tmp_path / "own")


def _schema() -> dict[str, object]:
    text = resource_path("hanging_protocols", "protocol.schema.json").read_text(encoding="utf-8")
    return dict(json.loads(text))


@pytest.mark.parametrize("protocol", load_protocols(), ids=lambda one: one.protocol_id)
def test_mg40_a_protocol_survives_its_json_form_and_obeys_the_schema(protocol) -> None:  # type: ignore[no-untyped-def]
    content = protocol_json(protocol)
    jsonschema.validate(content, _schema())
    assert parse_protocol(json.loads(json.dumps(content))) == protocol


def test_mg40_own_protocol_with_reordered_steps_is_kept_and_goes_first(library: ProtocolLibrary) -> None:
    four = next(one for one in library.packaged if one.protocol_id == "four_view")
    library.save(replace(four, stages=four.stages[::-1]), "My MLO first")
    again = ProtocolLibrary(load_protocols(), library.folder).shelf()
    assert again.problems == ()
    assert again.protocols[0].title == "My MLO first"
    assert again.protocols[0].priority == OWN_PRIORITY
    assert [stage.title for stage in again.protocols[0].stages] == ["MLO pair", "CC pair", "Overview"]


def test_mg40_delete_takes_own_protocols_only(library: ProtocolLibrary) -> None:
    own = library.save(library.packaged[0], "Mine")
    with pytest.raises(ProtocolError, match="expected one of your own"):
        library.delete("four_view")
    library.delete(own.protocol_id)
    assert library.shelf().protocols == library.packaged
    assert library.folder is not None
    assert list(library.folder.iterdir()) == []


def test_mg40_a_packaged_title_or_an_empty_one_is_refused(library: ProtocolLibrary) -> None:
    four = next(one for one in library.packaged if one.protocol_id == "four_view")
    with pytest.raises(ProtocolError, match="expected a title"):
        library.save(four, "  ")
    with pytest.raises(ProtocolError, match="packaged"):
        library.save(four, "CESM")
    with pytest.raises(ProtocolError, match="at least one step"):
        library.save(replace(four, stages=()), "Nothing")


BAD = {
    "not_json.json": b"{",
    "list.json": b"[]",
    "bytes.json": b"\xff\xfe\x00",
    "deep.json": b"[" * 200_000,
    "missing.json": b'{"protocol_id": "x"}',
}


@pytest.mark.parametrize("name", sorted(BAD))
def test_mg40_a_bad_file_is_one_sentence_and_the_others_stay(library: ProtocolLibrary, name: str) -> None:
    own = library.save(library.packaged[0], "Mine")
    assert library.folder is not None
    (library.folder / name).write_bytes(BAD[name])
    shelf = library.reload()
    assert own in shelf.protocols
    assert len(shelf.problems) == 1
    assert name in shelf.problems[0]
    assert "\n" not in shelf.problems[0]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"kinds": ["mri"]}, "stage 1, place 1, kinds 1"),
        ({"projections": ["XX"]}, "XX"),
        ({"col": 7}, "outside its grid"),
        ({"prior": 9}, "stage 1, place 1, prior"),
        ({"colour": "red"}, "colour"),
    ],
)
def test_mg40_a_wrong_place_is_named_as_people_count(
    tmp_path: Path, change: dict[str, object], words: str
) -> None:
    content = json.loads(resource_path("hanging_protocols", "four_view.json").read_text(encoding="utf-8"))
    content["protocol_id"] = "mine"
    content["stages"][0]["cells"][0].update(change)
    path = tmp_path / "mine.json"
    path.write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(ProtocolError) as caught:
        read_protocol(path)
    assert words in str(caught.value)
    assert "mine.json" in str(caught.value)


def test_mg40_two_files_of_one_id_are_told_and_one_is_kept(library: ProtocolLibrary) -> None:
    library.save(library.packaged[0], "Mine")
    assert library.folder is not None
    (library.folder / "copy.json").write_bytes((library.folder / "mine.json").read_bytes())
    shelf = library.reload()
    assert sum(one.protocol_id == "mine" for one in shelf.protocols) == 1
    assert "a second time" in shelf.problems[0]


def test_mg44_missing_standard_views_are_named_for_list_and_case() -> None:
    exam = phantom_exam(PhantomSpec(seed=5, pixel_mm=1.0, cesm=True)).exam
    assert missing_views(exam) == ()
    fewer = replace(
        exam, images=tuple(i for i in exam.images if i.key not in {"L-MLO/cesm_low", "L-MLO/cesm_recombined", "R-CC/cesm_recombined"})
    )  # fmt: skip
    assert missing_views(fewer) == ("L MLO", "R CC recombined")
    assert missing_words(missing_views(fewer)) == "Missing: L MLO, R CC recombined"
    line = ExamSummary(exam_id="e", title="", view_keys=("R-CC", "R-CC#2", "L-LMO", "R-MLO"))
    assert missing_of_summary(line) == ("L CC",)

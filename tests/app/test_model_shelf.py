"""The models that lie on this station: listed with what they can do, checked, timed, and asked as the settings say."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from app.model_shelf import FolderShelf, Measures, TimedEngine
from app.state.model_shelf import Device, InstalledModel, Shelf, Standing
from app.state.settings import Settings, from_json, to_json
from inference.cache import CachedEngine, ResultCache, identity_of
from inference.engine import AiUnavailable, Cancelled, FakeEngine, Progress
from inference.exam.phantom import PhantomSpec, phantom_exam
from inference.exam.types import Exam
from inference.model_card import read_card, write_card
from inference.registry import load_card
from inference.results import ExamResult
from resources.vocabulary import FindingType

EXAM = phantom_exam(PhantomSpec(seed=3, pixel_mm=1.0)).exam
CPU = (Device(name="cpu"),)


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's own model folder, empty."""
    folder = tmp_path / "models"
    folder.mkdir()
    monkeypatch.setattr("inference.model_facts.user_models_dir", lambda: folder)
    return folder


def copy(own: Path, name: str, **changes: object) -> Path:
    """A model of the user's own: a shipped one under another id."""
    folder = own / name
    shutil.copytree(load_card("dib-mg").folder, folder)
    raw = json.loads((folder / "card.json").read_text(encoding="utf-8"))
    raw |= {"id": name, **changes}
    write_card(folder, raw)
    return folder


def shelf(tmp_path: Path, settings: Settings | None = None, **more: str) -> FolderShelf:
    kept = settings or Settings()
    return FolderShelf(tmp_path / "cache", lambda: kept, program_choice="dib-mg", probe=lambda: CPU, **more)


def found(listed: Shelf, folder: str) -> InstalledModel:
    return next(one for one in listed.models if one.folder == folder)


def test_a_shipped_model_is_listed_with_what_it_can_do_and_costs(tmp_path: Path, own: Path) -> None:
    listed = shelf(tmp_path).try_devices()
    detector, maps = found(listed, "four-view-detector"), found(listed, "dib-mg")
    assert detector.standing is Standing.RUNS
    assert set(detector.finds) == {
        FindingType.MASS, FindingType.CALCIFICATION, FindingType.ASYMMETRY, FindingType.DISTORTION,
    }  # fmt: skip
    card = load_card("four-view-detector")
    assert detector.version == card.version
    assert detector.weights == card.weights_sha256
    assert detector.card_seconds == card.evaluation["phantom"]["seconds_per_exam"]
    assert detector.size_bytes > 8_000_000
    assert not detector.own
    assert maps.finds == ()
    assert "esearch use only" in maps.intended_use
    assert maps.licence.startswith("Apache-2.0")


def test_damaged_folders_are_listed_with_their_reason_and_never_hidden(tmp_path: Path, own: Path) -> None:
    weights = copy(own, "changed-weights") / "weights.safetensors"
    data = bytearray(weights.read_bytes())
    data[len(data) // 2] ^= 1
    weights.write_bytes(data)
    (copy(own, "broken-card") / "card.json").write_text("{ no json")
    (copy(own, "no-weights") / "weights.safetensors").unlink()
    (own / "empty").mkdir()
    copy(own, "strange", architecture={"family": "unheard-of"})
    listed = shelf(tmp_path).try_devices()
    for folder, standing, words in (
        ("changed-weights", Standing.DAMAGED, "expected SHA-256"),
        ("broken-card", Standing.DAMAGED, "expected JSON"),
        ("empty", Standing.DAMAGED, "expected a card.json"),
        ("no-weights", Standing.CANNOT, "weights.safetensors is missing"),
        ("strange", Standing.CANNOT, "unheard-of"),
    ):
        model = found(listed, folder)
        assert model.standing is standing, folder
        assert words in model.reason, folder
        assert model.own, folder


def test_a_model_that_needs_cuda_says_so_where_there_is_none(tmp_path: Path, own: Path) -> None:
    spec = dict(load_card("dib-mg").architecture)
    copy(own, "heavy", architecture={**spec, "needs_cuda": True})
    one = shelf(tmp_path)
    assert found(one.look(), "heavy").standing is Standing.RUNS  # no device was tried yet
    model = found(one.try_devices(), "heavy")
    assert model.standing is Standing.CANNOT
    assert "CUDA" in model.reason


def test_a_second_folder_of_one_id_is_named_and_cannot_be_chosen(tmp_path: Path, own: Path) -> None:
    copy(own, "dib-mg")
    twice = [one for one in shelf(tmp_path).look().models if one.folder == "dib-mg"]
    assert [one.standing for one in twice] == [Standing.RUNS, Standing.CANNOT]
    assert twice[1].model_id == ""


def test_the_choice_of_the_settings_holds_at_the_next_question_and_the_old_engine_stays_while_wanted(
    tmp_path: Path, own: Path
) -> None:
    kept = [Settings()]
    one = FolderShelf(tmp_path / "c", lambda: kept[0], program_choice="dib-mg", probe=lambda: CPU)
    first = one.asked()
    assert [model.model_id for model in first] == ["dib-mg"]
    kept[0] = replace(
        kept[0], main_model="four-view-detector", models_beside=("dib-mg", "four-view-detector")
    )
    both = one.asked()
    assert [model.model_id for model in both] == ["four-view-detector", "dib-mg"]
    assert both[1].engine is first[0].engine
    kept[0] = replace(kept[0], model_device="cpu")
    assert one.asked()[1].engine is not first[0].engine  # another device is another engine
    assert [model.model_id for model in one.asked(("dib-mg",))] == ["dib-mg"]  # a protocol's goes before
    one.close()


def test_a_model_named_at_the_start_goes_before_the_settings(tmp_path: Path, own: Path) -> None:
    one = shelf(tmp_path, Settings(main_model="dib-mg"), started_with="four-view-detector")
    assert one.main == one.station_model == "four-view-detector"
    assert one.named_here
    other = shelf(tmp_path, Settings(main_model="four-view-detector"))
    assert (other.main, other.station_model) == ("four-view-detector", "dib-mg")


def test_a_chosen_model_that_is_gone_says_so_for_the_exam(tmp_path: Path, own: Path) -> None:
    (asked,) = shelf(tmp_path, Settings(main_model="gone")).asked()
    with pytest.raises(AiUnavailable, match="gone"):
        asked.engine.analyse(EXAM, lambda _f, _t: None, lambda: False)


class Slow:
    def analyse(self, exam: Exam, progress: Progress, cancelled: Cancelled) -> ExamResult:
        answer = FakeEngine().analyse(exam, progress, cancelled)
        return replace(answer, seconds=2.5, device="cpu")


def test_the_last_measured_time_is_kept_and_a_result_from_the_cache_is_none(
    tmp_path: Path, own: Path
) -> None:
    card = read_card(copy(own, "timed"))
    measures = Measures(tmp_path / "cache" / "model_times.json")
    cached = CachedEngine(
        TimedEngine(Slow(), card, measures), ResultCache(tmp_path / "results"), identity_of(card)
    )
    assert measures.last(card) is None
    cached.analyse(EXAM, lambda _f, _t: None, lambda: False)
    last = measures.last(card)
    assert last is not None
    assert (last.seconds, last.device) == (2.5, "cpu")
    measured = found(shelf(tmp_path).look(), "timed").measured
    assert measured == last
    (tmp_path / "cache" / "model_times.json").write_text("[")
    assert measures.last(card) is None


def test_the_models_of_the_settings_survive_the_file() -> None:
    chosen = Settings(main_model="a", models_beside=("b", "c"), model_device="cuda:1")
    back, refused = from_json(json.loads(json.dumps(to_json(chosen))))
    assert (back, refused) == (chosen, ())
    _, refused = from_json({"models_beside": [1]})
    assert refused

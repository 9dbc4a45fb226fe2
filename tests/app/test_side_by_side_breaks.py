"""A model that is broken while it is chosen costs its own answer only: one sentence, and every other answer stays.

Real folders, real worker processes; nothing is made up but the damage.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pytest

from app.control.ai_asking import AiAsking
from app.control.tasks import InlineTaskRunner
from app.model_shelf import FolderShelf
from app.state.ai_told import told
from app.state.ai_view import AiPhase, AiView, ModelRun, RunState
from app.state.settings import Settings
from inference.exam.phantom import PhantomSpec, phantom_exam
from inference.exam.types import Exam
from inference.model_card import write_card
from inference.registry import load_card
from resources import translation
from resources.vocabulary import ImageKind


def exam(seed: int, *, cesm: bool = False) -> Exam:
    return phantom_exam(PhantomSpec(seed=seed, pixel_mm=0.9, cesm=cesm)).exam


@dataclass
class Bench:
    """Two models, the user's own copy in front of the shipped one, asked about one exam after another."""

    folder: Path
    shelf: FolderShelf
    views: list[AiView] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.asking = AiAsking(asked=self.shelf.asked, runner=InlineTaskRunner(), show=self.views.append)

    def ask(self, one: Exam) -> tuple[ModelRun, ...]:
        self.asking.ask(one)
        return self.views[-1].runs


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    home = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("inference.model_facts.user_models_dir", lambda: home / "models")
        settings = Settings(main_model="mine", models_beside=("dib-mg",))
        shelf = FolderShelf(home / "cache", lambda: settings, program_choice="dib-mg")
        yield Bench(folder=home / "models" / "mine", shelf=shelf)
        shelf.close()


def put(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(load_card("dib-mg").folder, folder)
    raw = json.loads((folder / "card.json").read_text(encoding="utf-8"))
    write_card(folder, raw | {"id": "mine"})


def damage(folder: Path) -> None:
    weights = load_card(folder).weights_path
    content = bytearray(weights.read_bytes())
    content[len(content) // 2] ^= 255
    weights.write_bytes(content)


def take_weights(folder: Path) -> None:
    load_card(folder).weights_path.unlink()


def break_card(folder: Path) -> None:
    (folder / "card.json").write_text("{", encoding="utf-8")


@pytest.mark.parametrize(
    ("broken", "sentence"),
    [
        (damage, "the file was changed or is damaged, copy the model folder again."),
        (take_weights, "its weights file weights.safetensors is missing."),
        (break_card, "copy the model folder again or choose another model in the settings."),
        (shutil.rmtree, "expected its folder on this station, found none; choose another in the settings."),
    ],
)
def test_a_model_that_breaks_while_it_is_chosen_says_one_sentence_and_the_other_answers(
    bench: Bench, broken: Callable[[Path], object], sentence: str
) -> None:
    put(bench.folder)
    broken(bench.folder)
    mine, other = bench.ask(exam(1))
    assert (mine.state, mine.result) == (RunState.ABSENT, None)
    assert mine.why.startswith("Model mine: ")
    assert mine.why.endswith(sentence)
    assert other.state is RunState.READY
    translation.use("zh_CN")
    try:
        assert told(mine.why).startswith("模型 mine：")
        assert told(mine.why).endswith("。")
    finally:
        translation.use("en")


def test_an_exam_of_one_view_is_read_and_recombined_images_alone_are_refused_in_one_sentence(
    bench: Bench,
) -> None:
    shutil.rmtree(bench.folder, ignore_errors=True)
    whole = exam(2)
    single = bench.ask(replace(whole, images=whole.images[:1], digest="1" * 64))[1]
    assert single.result is not None
    assert set(single.result.view_scores) == {whole.images[0].key}
    pair = exam(2, cesm=True)
    alone = tuple(image for image in pair.images if image.kind is ImageKind.CESM_RECOMBINED)
    refused = bench.ask(replace(pair, images=alone, digest="2" * 64))[1]
    assert refused.state is RunState.ABSENT
    assert "expected an ordinary or low-energy mammogram of a whole breast" in refused.why


def test_what_every_model_says_alike_is_said_once(bench: Bench) -> None:
    put(bench.folder)
    whole = exam(3)
    blank = tuple(replace(image, pixels=np.zeros_like(image.pixels)) for image in whole.images)
    bench.ask(replace(whole, images=blank, digest="3" * 64))
    view = bench.views[-1]
    assert view.phase is AiPhase.FAILED
    assert view.failure is not None
    assert view.failure.count("R CC: the image is blank") == 1

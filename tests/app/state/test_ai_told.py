"""What the engines say in English is shown in the language in use, and unknown sentences stay as they are."""

from __future__ import annotations

import re
import string
from dataclasses import replace

import numpy as np
import pytest

from app.control.ai_exposure import state_record
from app.engine_sentences import engine_sentences, templates_of
from app.state.ai_notes import unread_lines
from app.state.ai_told import told
from app.state.ai_view import AiView, ModelRun, RunState, unread_views
from app.state.side_by_side import SideBySide
from inference.engine import FakeEngine
from inference.exam.phantom import PhantomSpec, phantom_exam
from inference.four_view_choice import chosen_views
from inference.registry import load_card, why_not
from resources import translation

# what the field writes in Latin letters, and names that are put in
_LATIN = re.compile(r"\b(?:CC|MLO|R|L|CUDA|cuda|cpu|auto|SHA-256|Python|card\.json|mm|x)\b")


@pytest.fixture
def chinese():
    translation.use("zh_CN")
    yield
    translation.use("en")


def test_ml31_every_sentence_of_the_engines_is_found_again_whatever_was_put_in(chinese):
    said = {}
    for template in dict.fromkeys(engine_sentences()):
        fields = [name for _, name, _, _ in string.Formatter().parse(template) if name is not None]
        sentence = template.format(*(f"@{n}7" for n in range(len(fields))))
        said[sentence] = told(sentence)
        assert all(f"@{n}7" in said[sentence] for n in range(len(fields))), sentence
    assert len(said) > 80
    assert [one for one, words in said.items() if one == words] == []


def test_ml31_a_view_that_is_not_read_says_why_in_chinese(chinese):
    exam = phantom_exam(PhantomSpec(seed=5, pixel_mm=0.9)).exam
    blank = replace(exam.images[0], pixels=np.zeros_like(exam.images[0].pixels))
    unread = chosen_views(replace(exam, images=(blank, *exam.images[1:]))).unread
    result = replace(FakeEngine().analyse(exam, lambda *_: None, lambda: False), unread=unread)
    sides = SideBySide()
    sides.clear(exam.images, 0.5)
    sides.take(AiView(result=result), own_points=False)
    line = unread_lines(sides.sides, exam.images)[0].words
    assert "图像为空白" in line
    assert re.findall(r"[A-Za-z]{2,}", _LATIN.sub("", line.replace("AI", ""))) == []
    assert "blank" in unread_views(result, exam.images)[blank.key], "the log keeps the engine's own words"


def test_ml31_reasons_within_a_reason_are_told_too_and_the_log_keeps_english(chinese):
    why = (
        "Exam E 1: expected a CC or MLO view that can be read, found none. R CC: the image is blank (one even grey); "
        "it was not read. R MLO: of a prior examination; the model reads the present one only. Choose another exam "
        "or model."
    )
    words = told(why)
    assert words == (
        "检查 E 1：应有可判读的 CC 或 MLO 图像，未找到。R CC：图像为空白（单一灰度）；未读。"
        "R MLO：属于既往检查；该模型只读本次检查。请选择其他检查或模型。"
    )
    view = AiView(absent=words, runs=(ModelRun(model_id="a", state=RunState.ABSENT, why=why),))
    assert state_record(view, ()) == {"state": "absent", "why": why}


def test_ml31_a_list_and_a_sentence_within_a_sentence_are_told(chinese):
    said = told(
        "R CC and L CC: no pixel spacing; 0.081 mm was assumed from the breast's height (140 mm), so sizes are "
        "approximate and distances are not given."
    )
    assert said.startswith("R CC、L CC：无像素间距；假定为 0.081 mm（按乳房高度 140 mm 推算）")
    found = told(
        "Exam 7: expected a low-energy and a recombined image of one CC or MLO view, found cesm_low, ffdm; choose a "
        "contrast exam or another model."
    )
    assert "找到的是低能图、普通乳腺摄影图像" in found


def test_ml31_unknown_sentences_and_english_screens_are_left_alone(chinese):
    assert told("The disk, and the cable, are gone.") == "The disk, and the cable, are gone."
    assert told("x" * 5_000) == "x" * 5_000
    translation.use("en")
    known = "Model m: the Python package torch is not installed."
    assert told(known) == known


def test_ml31_why_a_model_cannot_run_is_told_in_the_list_of_models(chinese):
    card = load_card("dib-mg")
    reason = why_not(replace(card, architecture={"family": "nothing"}))
    assert reason is not None
    sides = SideBySide()
    runs = (
        ModelRun(model_id="dib-mg", state=RunState.ABSENT, why=reason),
        ModelRun(model_id="b", state=RunState.WAITING),
    )
    sides.take(AiView(working="", runs=runs), own_points=False)
    assert "本程序不认识网络" in sides.rows()[0].words


def test_texts_of_an_engine_are_found_with_places_for_values_and_without_log_lines():
    source = (
        '"""Doc string here."""\n_LOG.warning("left out: %s", x)\n'
        "def f(a):\n    return f'Model {a.b}: its {c:.2f} weights are gone.' + 'the whole rest'\n"
        "class E:\n    A = 'an enum value'\n"
    )
    assert set(templates_of(source)) == {"Model {0}: its {1} weights are gone.", "the whole rest"}

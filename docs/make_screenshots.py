"""Runs the demo unseen and puts its screenshots into docs/images: python docs/make_screenshots.py [WIDTH HEIGHT]."""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

os.environ["QT_QPA_PLATFORM"] = "offscreen"

import cv2

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from app import bootstrap, demo_run, demo_study
from app.files import program_folders
from app.views.simulated_reader import read_study

WANTED = {
    "sign-in": "sign_in",
    "work-list": "work_list",
    "film-unaided-overview": "film_unaided",
    "film-step-4": "film_single_view",
    "film-ai-boxes": "film_ai_boxes",
    "film-ai-heat-map": "film_ai_heat_map",
    "ffdm-ai-heat-map": "phantom_ai_heat_map",
    "ffdm-aided-answered": "phantom_answered",
    "contrast-unaided-overview": "contrast_overview",
    "contrast-unaided-toggled": "contrast_toggled",
    "contrast-step-4": "contrast_pairs",
}


def main() -> None:
    """Read the whole demo study at the given size (default 1920 1080) and keep one JPEG a step."""
    size = (int(sys.argv[1]), int(sys.argv[2])) if len(sys.argv) == 3 else (1920, 1080)
    folders = program_folders("demo")
    engine = bootstrap.make_engine(folders.cache)
    demo = demo_study.prepare(folders, engine, lambda _fraction, _text: None)
    with tempfile.TemporaryDirectory() as scratch:
        database, anchor = Path(scratch) / "study.sqlite", Path(scratch) / "heads.jsonl"
        opened = bootstrap.open_database(database)
        opened.save_study(demo.study)
        opened.close()
        copy = demo_study.DemoStudy(study=demo.study, database=database, exams=demo.exams, anchor=anchor)
        _qt, window = demo_run._window(bootstrap.demo_station(copy, engine), "docs", offscreen=True)
        shots = read_study(
            window,
            reader=demo_study.READER,
            password=demo_study.PASSWORD,
            folder=Path(scratch),
            say=print,
            size=size,
        )
        images = ROOT / "docs" / "images"
        images.mkdir(parents=True, exist_ok=True)
        for shot in shots:
            name = WANTED.get(shot.stem.split("-", 1)[1])
            if name is not None:
                picture = cv2.imread(str(shot))
                cv2.imwrite(str(images / f"{name}.jpg"), picture, [cv2.IMWRITE_JPEG_QUALITY, 85])
        window.close()


if __name__ == "__main__":
    main()

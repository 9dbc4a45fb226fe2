"""Good files of the study side and of the program's settings, made by our own writers: what the mutations spoil."""

from __future__ import annotations

import json
import plistlib
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np

from app.settings_bundle import export_settings
from app.settings_store import JsonSettings
from app.state.hanging import load_protocols
from app.state.hanging_rules import protocol_json
from app.state.settings import Settings
from inference.exam.pacs.connections import ConnectionBook, ListenerSettings
from inference.exam.pacs.model import Connection, Kind
from reader_study.case_import import CaseStore, StoredCase, StoredExam, StoredImage
from reader_study.case_import import _text as case_store_text
from reader_study.clock import ManualClock
from reader_study.domain.assessment import Assessment, BreastAssessment, Finding
from reader_study.domain.study import AiPolicy, Arm, Case, Reader, Scale, Study
from reader_study.domain.truth import TrueLesion, Truth
from reader_study.exchange.delimited import write_imrmc, write_long_csv, write_lrc
from reader_study.exchange.observer_data import roc_data
from reader_study.exchange.workbook_writer import write_workbook
from reader_study.exchange_export import export_study
from reader_study.protocol_file import drawn, protocol_to_text
from reader_study.sessions import Sessions
from reader_study.store.database import open_database
from reader_study.store.transfer import backup
from reader_study.truth_import import write_truth
from resources.files import resource_path
from resources.vocabulary import Density, FindingType, Laterality, Pathology
from tests.hostile.seeds_images import Seed, Seeds

TRUTH_HEAD = "case_id,side,pathology,lesion_id,image_key,type,malignant,polygon,row,col,radius_mm,mask\n"
TRUTH_ROWS = (
    "c001,R,,a,R-CC,mass,1,10 20|10 40|30 40|30 20,,,,\nc001,R,,a,R-MLO,mass,1,,100.5,50,7.5,\n"
    "c001,L,,b,L-CC,calcification,no,,,,,m.png\nc002,R,normal,,,,,,,,,\nc002,L,normal,,,,,,,,,\n"
)


def small_study() -> Study:
    """Two arms, two readers, six cases and a practice case."""
    base = Study(
        study_id="ST",
        title="Test study",
        protocol_version="1",
        seed=7,
        arms=(
            Arm(arm_id="unaided", title="Without AI", ai=AiPolicy(shown=False)),
            Arm(arm_id="aided", title="With AI", ai=AiPolicy(shown=True, heatmap=False)),
        ),
        readers=tuple(Reader(reader_id=f"r{i}", name=f"Reader {i}") for i in (1, 2)),
        cases=tuple(
            Case(case_id=f"c{i:03}", exam_id=f"exam-{i}", exam_digest=f"{i:064x}") for i in range(1, 7)
        ),
        scale=Scale(),
        plans=(),
        washout_days=0.0,
    )
    return replace(base, plans=drawn(base))


def _form() -> tuple[Assessment, Finding]:
    form = Assessment(
        breasts=(
            BreastAssessment(laterality=Laterality.RIGHT, birads="1", suspicion=4),
            BreastAssessment(laterality=Laterality.LEFT, birads="2", suspicion=9),
        ),
        density=Density.SCATTERED,
        recall=False,
    )
    mark = Finding(
        finding_id="f1", image_key="L-CC", source_id="1.2.3", row=100.5, col=200.25, box=(90.0, 190.0, 110.0, 210.0),
        row_mm=7.0, col_mm=14.0, finding=FindingType.MASS, suspicion=9, birads="2",
    )  # fmt: skip
    return form, mark


def truths(study: Study) -> dict[str, Truth]:
    """Every second case malignant, with a lesion."""
    made = {}
    for number, case in enumerate(study.cases):
        bad = number % 2 == 0
        lesion = TrueLesion(
            lesion_id="l1", image_key="L-CC", row=100.0, col=200.0, finding=FindingType.MASS, malignant=True,
            contour=((90.0, 190.0), (90.0, 210.0), (110.0, 200.0)), radius_mm=None, spacing_mm=(0.1, 0.1),
        )  # fmt: skip
        sides = {
            Laterality.RIGHT: Pathology.NORMAL,
            Laterality.LEFT: Pathology.MALIGNANT if bad else Pathology.NORMAL,
        }
        made[case.case_id] = Truth(case_id=case.case_id, breasts=sides, lesions=(lesion,) if bad else ())
    return made


def _read_study(work: Path) -> tuple[bytes, dict[str, bytes]]:
    """A database in which all was read, and its export."""
    study, clock, (form, _) = small_study(), ManualClock(), _form()
    database = open_database(work / "study.sqlite")
    database.save_study(study)
    sessions = Sessions(study=study, store=database.events, clock=clock)
    for plan in study.plans:
        sessions.open(plan.session_id, plan.reader_id, {})
        for _ in plan.entries:
            sessions.open_case(plan.session_id)
            clock.advance(0.5)
            sessions.frame_painted(plan.session_id, clock.monotonic_ns())
            clock.advance(20.0)
            sessions.submit(plan.session_id, form)
        sessions.close(plan.session_id)
    export_study(study, database.events, work / "export", truth=truths(study))
    sessions.shutdown()
    database.close()
    backup(work / "study.sqlite", work / "backup.sqlite")
    files = {path.relative_to(work / "export").as_posix(): path.read_bytes()
             for path in (work / "export").rglob("*") if path.is_file()}  # fmt: skip
    return (work / "backup.sqlite").read_bytes(), files


def _exchange(work: Path) -> Seeds:
    """The same readings in the four formats of the MRMC programs."""
    rng = np.random.default_rng(2)
    data = roc_data(
        ((f"r{r}", f"m{m}", f"c{c}", c % 2 == 0, float(rng.integers(0, 100)))
         for r in range(3) for m in range(2) for c in range(1, 9)),
        title="seed",
    )  # fmt: skip
    for name, write in (
        ("a.imrmc", write_imrmc),
        ("a.csv", write_long_csv),
        ("a.lrc", write_lrc),
        ("a.xlsx", write_workbook),
    ):
        write(data, work / name)
    text = tuple(Seed(name=name, data=(work / name).read_bytes()) for name in ("a.imrmc", "a.csv", "a.lrc"))
    return {
        "exchange text": text,
        "exchange xlsx": (Seed(name="a.xlsx", data=(work / "a.xlsx").read_bytes()),),
    }


def case_store(root: Path) -> CaseStore:
    """Six cases of four views each."""
    images = dict.fromkeys(
        ("R-CC", "R-MLO", "L-CC", "L-MLO"), StoredImage(rows=200, cols=100, spacing_mm=(0.1, 0.1))
    )
    return CaseStore(root=root, cases=[
        StoredCase(case_id=f"c{i:03}", woman=f"w{i}", age_years=50,
                   exam=StoredExam(exam_id=f"E{i}", digest=f"{i:064x}", images=images, source=f"s{i}"))
        for i in range(1, 7)
    ])  # fmt: skip


def _truth_files(work: Path) -> Seeds:
    drawn_mask = np.zeros((200, 100), np.uint8)
    drawn_mask[50:71, 20:31] = 255
    mask = cv2.imencode(".png", drawn_mask)[1].tobytes()
    table = (TRUTH_HEAD + TRUTH_ROWS).encode()
    write_truth(tuple(truths(small_study()).values()), work / "truth.json")
    return {
        "truth csv": (Seed(name="truth.csv", data=table, beside={"m.png": mask}),),
        "truth mask": (Seed(name="m.png", data=mask, beside={"truth.csv": table}),),
        "truth json": (Seed(name="truth.json", data=(work / "truth.json").read_bytes()),),
        "case store": (Seed(name="cases.json", data=case_store_text(case_store(work).cases).encode()),),
    }


def _settings_files(work: Path) -> Seeds:
    home = work / "config"
    JsonSettings(home).keep(Settings(language="zh_CN", text_scale=1.4, keys={"view.invert": ("X",)}))
    own = home / "hanging_protocols"
    own.mkdir()
    protocol = json.dumps(protocol_json(load_protocols()[0])).encode()
    (own / "mine.json").write_bytes(protocol)
    book = ConnectionBook(home)
    book.keep(
        Connection(name="archive", kind=Kind.DICOMWEB, url="https://pacs.example/dicom-web"), secret="s3cret"
    )
    book.keep_listener(ListenerSettings(port=11112, peers={"MODALITY": ("127.0.0.1",)}))
    export_settings(work / "carried.json", folder=home)
    shelf = {"sop": "a" * 24, "file": "x/y.dcm", "size": 3, "sha256": "0" * 64, "study": "b" * 16}
    queue = [{"study": "1.2.3", "connection": "archive", "objects": True}]
    return {
        "settings": (Seed(name="settings.json", data=(home / "settings.json").read_bytes()),),
        "settings bundle": (Seed(name="carried.json", data=(work / "carried.json").read_bytes()),),
        "hanging protocol": (Seed(name="mine.json", data=protocol),),
        "pacs connections": tuple(Seed(name=path.name, data=path.read_bytes()) for path in home.glob("*.json")
                                  if path.name not in {"settings.json"}),
        "pacs shelf": (Seed(name="index.jsonl", data=(json.dumps(shelf) + "\n").encode() * 3),
                       Seed(name="queue.json", data=json.dumps(queue).encode())),
        "site key": (Seed(name="site.key", data=json.dumps({"format": "negatoscope site key", "version": 1, "secret": "ab" * 32}).encode()),),
        "luminances": (Seed(name="lum.csv", data=("level;cd/m2\n" + "".join(f"{15 * k};{0.5 + k * k:.2f}\n" for k in range(18))).encode()),),
        "links": (Seed(name="links.csv", data=b"case_id,role,patient_id,study_uid,study_date\nC0001,current,P1,1.2,20260101\n"),),
        "anchors": (Seed(name="anchors.jsonl", data=json.dumps({"session_id": "s", "count": 3, "hash": "f" * 64}).encode() + b"\n"),),
        "osirix plist": (Seed(name="a.xml", data=plistlib.dumps({"Images": [{"ROIs": [
            {"Name": "Mass", "Point_px": ["(10.5, 20.5)", "(30, 20)", "(20, 40)"]}]}]})),),
    }  # fmt: skip


def study_seeds(work: Path) -> Seeds:
    """Make every good file of the study side; ``work`` is an empty folder."""
    database, export = _read_study(work)
    examples = sorted(resource_path("study_protocols").glob("*.yaml"))
    protocols = [Seed(name=path.name, data=path.read_bytes()) for path in examples]
    protocols.append(Seed(name="own.yaml", data=protocol_to_text(small_study()).encode()))
    flat = {name: data for name, data in export.items() if "/" not in name and name.endswith(".csv")}
    table = "case_id,malignant,type\n" + "".join(f"c{i:03},{i % 2},mass\n" for i in range(1, 7))
    tables = flat | {"truth_table.csv": table.encode()}
    return {
        "protocol yaml": tuple(protocols),
        "study database": (Seed(name="backup.sqlite", data=database),),
        "study export": tuple(
            Seed(name=name, data=data, beside={k: v for k, v in tables.items() if k != name})
            for name, data in tables.items()
        ),
        **_exchange(work),
        **_truth_files(work),
        **_settings_files(work),
    }

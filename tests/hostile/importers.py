"""Every door through which a file comes into the program, as one table: how it is opened as the program opens it.

An importer gives the sentences it told beside a good load; it refuses with ``UserFacingError``. ``quiet`` ones are
remade in silence when damaged (kept results, logs of work), so that nobody needs a sentence.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from resources.files import UserFacingError

Read = Callable[[Path], Iterable[str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Importer:
    """One door: ``read`` is given the spoiled file's path, in a folder with what must lie beside it."""

    name: str
    families: tuple[str, ...]  # of mutations
    read: Read
    share: int = 4  # of the whole run, against the others'
    names_file: bool = True  # the refusal holds the file's name


class NoSentence(Exception):
    """The importer refused without raising; its sentence comes with it."""


# ------------------------------------------------------------------------------------------------ images


def _dicom(path: Path) -> list[str]:
    from inference.exam.archive import Member
    from inference.exam.dicom import Standing, load_view, read_header, read_tags
    from inference.exam.objects.folder import identity_of
    from inference.exam.preview import load_previews
    from inference.exam.types import ExamError
    from resources.vocabulary import Laterality, Projection, ViewName

    info = read_header(path, path.name)
    member = Member(name=path.name, file=path)
    identity_of(member)
    load_previews([(path, path.name)])
    if info.standing is Standing.HUNG:
        with suppress(ExamError):  # its caller puts the name before
            read_tags(path)
    load_view(path, path.name, view=ViewName(Laterality.LEFT, Projection.MLO))
    return [info.sentence]


def _folder(path: Path) -> list[str]:
    from inference.exam.sources import FolderSource
    from inference.exam.types import ExamError

    source = FolderSource(path if path.suffix in {".zip", ".csv", ".json"} else path.parent)
    told = []
    for summary in source.list():
        source.preview(summary.exam_id)
        try:
            exam = source.load(summary.exam_id)
        except ExamError as error:
            told.append(str(error))
            continue
        found = source.objects(exam)
        told += [*exam.notes, *found.problems]
    return [*told, *(entry.sentence for entry in source.report.entries)]


def _heat_map(path: Path) -> list[str]:
    from inference.exam.dicom import load_view
    from resources.vocabulary import Laterality, Projection, ViewName

    load_view(path, path.name, view=ViewName(Laterality.LEFT, Projection.CC))
    return []


def _cad(path: Path) -> list[str]:
    from inference.exam.objects.cad_sr_read import read_cad_sr

    return list(read_cad_sr(path, path.name).problems)


def _gsps(path: Path) -> list[str]:
    from inference.exam.objects.presentation_state import read_presentation_state

    read_presentation_state(path, path.name)
    return []


def _keys(path: Path) -> list[str]:
    from inference.exam.objects.key_object import read_key_objects

    read_key_objects(path, path.name)
    return []


def _deidentify(path: Path) -> list[str]:
    from inference.exam.deidentification.dataset import Pseudonym
    from inference.exam.deidentification.site_key import SiteKey
    from inference.exam.deidentification.whole_file import deidentify

    clean = deidentify(
        path.read_bytes(),
        path.name,
        key=SiteKey(secret=bytes(32)),
        who=Pseudonym(subject_id="C1", shift_days=-9),
    )
    return list(clean.warnings)


def _case_import(path: Path) -> list[str]:
    from app.case_import import import_cases
    from inference.exam.deidentification.site_key import SiteKey
    from reader_study.case_import import open_store

    with tempfile.TemporaryDirectory() as scratch:
        outcome = import_cases(path, open_store(Path(scratch) / "cases"), SiteKey(secret=bytes(32)))
        return [row.sentence for row in outcome.rows if row.sentence]


def _manifest(path: Path) -> list[str]:
    from inference.evaluation.truth import read_truth
    from inference.exam.manifest import read_manifest

    images, lesions = path.with_name("images.csv"), path.with_name("lesions.csv")
    problems = read_manifest(images, lesions).problems
    return [*problems, *read_truth(images, lesions).notes]


def _run_tables(path: Path) -> list[str]:
    from inference.evaluation.run_tables import read_run

    return list(read_run(path.parent).notes)


def _plist(path: Path) -> list[str]:
    from inference.datasets.contours import osirix_contours

    for contour in osirix_contours(path):
        contour.mask((120, 90))
    return []


def _sheet(path: Path) -> list[str]:
    from inference.datasets.layout import sheet_rows

    sheet_rows(path, ("ReaderID",))
    return []


def _card(path: Path) -> list[str]:
    from inference.model_card import checked_weights, read_card

    checked_weights(read_card(path.parent))
    return []


def _weights(path: Path) -> list[str]:
    """Load weights whose digest is told truly: a card made to fit them."""
    from inference.torch_engine import TorchEngine

    card = path.with_name("card.json")
    raw = json.loads(card.read_text(encoding="utf-8"))
    raw["weights"]["sha256"] = hashlib.sha256(path.read_bytes()).hexdigest()
    card.write_text(json.dumps(raw), encoding="utf-8")
    TorchEngine(path.parent, device="cpu")
    return []


def _cache(path: Path) -> list[str]:
    from inference.cache import ResultCache
    from tests.hostile.seeds_images import MODEL

    if ResultCache(path.parent).get(path.with_name("digest").read_text(), MODEL) is None:
        raise NoSentence
    return []


# ------------------------------------------------------------------------------------------------ study


def _protocol(path: Path) -> list[str]:
    from app.control.protocol_values import study_of_text
    from reader_study.protocol_file import protocol_to_text, read_protocol

    with suppress(UserFacingError, UnicodeDecodeError):  # the form names the place; the file is on screen
        study_of_text(path.read_text(encoding="utf-8-sig"))
    protocol_to_text(read_protocol(path))
    return []


def _exchange(path: Path) -> list[str]:
    from reader_study.exchange.files import read_observer_data
    from reader_study.report.file_order import modality_order

    data = read_observer_data(path)
    modality_order(path, data.modalities)
    return []


def _truth_csv(path: Path) -> list[str]:
    from reader_study.truth_import import read_truth_csv
    from tests.hostile.seeds_study import case_store

    found = read_truth_csv(path.with_name("truth.csv"), case_store(path.parent / "cases"))
    return list(found.problems)


def _truth_json(path: Path) -> list[str]:
    from reader_study.domain.truth import read_truth

    read_truth(path)
    return []


def _case_store(path: Path) -> list[str]:
    from reader_study.case_import import open_store, protocol_cases

    protocol_cases(open_store(path.parent))
    return []


def _database(path: Path) -> list[str]:
    from reader_study.store.transfer import restore
    from reader_study.verify import verify_log

    problems = verify_log(path).problems
    restore(path, path.with_name("target.sqlite"))
    return list(problems)


def _export(path: Path) -> list[str]:
    from reader_study.report.sources import inputs_of_export

    made = inputs_of_export(path.parent, path.with_name("truth_table.csv"))
    return list(made.exclusions)


def _anchors(path: Path) -> list[str]:
    from reader_study.anchor import read_anchors

    read_anchors(path)
    return []


# ------------------------------------------------------------------------------------------------ settings


def _settings(path: Path) -> list[str]:
    from app.language import language_setting
    from app.settings_store import JsonSettings
    from app.state.settings import to_json

    store = JsonSettings(path.parent)
    language_setting(path.parent)
    json.dumps(to_json(store.current))
    if store.problem:
        raise UserFacingError(store.problem)  # as the program shows it at start
    return []


def _bundle(path: Path) -> list[str]:
    from app.settings_bundle import import_settings

    import_settings(path, folder=path.parent / "home")
    return []


def _hanging(path: Path) -> list[str]:
    from app.state.protocol_library import read_protocol

    read_protocol(path)
    return []


def _connections(path: Path) -> list[str]:
    from inference.exam.pacs.connections import ConnectionBook

    path.chmod(0o600)
    book = ConnectionBook(path.parent)
    for connection in book.connections():
        book.secret(connection)
    book.listener()
    if path.name == "pacs-secrets.json":
        from inference.exam.pacs.model import Connection, Kind

        book.secret(Connection(name="archive", kind=Kind.DICOMWEB, url="https://pacs.example/dicom-web"))
    return []


def _shelf(path: Path) -> list[str]:
    from inference.exam.pacs.queue import DownloadQueue
    from inference.exam.pacs.shelf import Shelf

    shelf = Shelf(path.parent)
    queue = DownloadQueue(shelf, lambda name: (_ for _ in ()).throw(AssertionError(name)))
    queue.close()
    return []


def _site_key(path: Path) -> list[str]:
    from inference.exam.deidentification.site_key import open_key

    path.chmod(0o600)
    open_key(path, away_from=path.parent / "cases")
    return []


def _luminances(path: Path) -> list[str]:
    from app.state.calibration import luminances_from_csv

    try:
        luminances_from_csv(path.read_text(encoding="utf-8-sig"))
    except (OSError, UnicodeDecodeError, ValueError) as error:  # the page that asks for the file says it
        raise UserFacingError(str(error)) from error
    return []


def _links(path: Path) -> list[str]:
    from app.import_reports import read_links

    read_links(path)
    return []


_DICOM = ("dicom", "dicom", "bytes")
_TABLE = ("text", "text", "bytes")
_JSON = ("json", "json", "text", "bytes")
TABLE: tuple[Importer, ...] = (
    Importer(name="dicom", families=_DICOM, read=_dicom, share=20),
    Importer(name="folder", families=_DICOM, read=_folder, share=10, names_file=False),
    Importer(name="zip", families=("zip", "zip", "bytes"), read=_folder, share=6, names_file=False),
    Importer(name="images csv", families=_TABLE, read=_manifest, share=4, names_file=False),
    Importer(name="lesions csv", families=_TABLE, read=_manifest, share=4, names_file=False),
    Importer(name="case json", families=_JSON, read=_folder, share=3, names_file=False),
    Importer(name="cad sr", families=_DICOM, read=_cad, share=8),
    Importer(name="gsps", families=_DICOM, read=_gsps, share=6),
    Importer(name="key objects", families=_DICOM, read=_keys, share=5),
    Importer(name="heat map", families=_DICOM, read=_heat_map, share=4),
    Importer(name="deidentify", families=_DICOM, read=_deidentify, share=8),
    Importer(name="case import", families=("zip", "bytes"), read=_case_import, share=2, names_file=False),
    Importer(name="run tables", families=_TABLE, read=_run_tables, share=3),
    Importer(name="osirix plist", families=("text", "bytes"), read=_plist, share=2),
    Importer(name="dataset sheet", families=("zip", "zip", "bytes"), read=_sheet, share=3),
    Importer(name="model card", families=_JSON, read=_card, share=4, names_file=False),
    Importer(name="model weights", families=("bytes",), read=_weights, share=1, names_file=False),
    Importer(name="result cache", families=("zip", "bytes"), read=_cache, share=4, names_file=False),
    Importer(name="protocol yaml", families=("yaml", "yaml", "text", "bytes"), read=_protocol, share=8),
    Importer(name="exchange text", families=_TABLE, read=_exchange, share=7),
    Importer(name="exchange xlsx", families=("zip", "zip", "bytes"), read=_exchange, share=7),
    Importer(name="truth csv", families=_TABLE, read=_truth_csv, share=4),
    Importer(name="truth mask", families=("bytes",), read=_truth_csv, share=2),
    Importer(name="truth json", families=_JSON, read=_truth_json, share=4),
    Importer(name="case store", families=_JSON, read=_case_store, share=4),
    Importer(name="study database", families=("sqlite", "sqlite", "bytes"), read=_database, share=4),
    Importer(name="study export", families=_TABLE, read=_export, share=6, names_file=False),
    Importer(name="anchors", families=_JSON, read=_anchors, share=2),
    Importer(name="settings", families=_JSON, read=_settings, share=3),
    Importer(name="settings bundle", families=_JSON, read=_bundle, share=4),
    Importer(name="hanging protocol", families=_JSON, read=_hanging, share=5),
    Importer(name="pacs connections", families=_JSON, read=_connections, share=3),
    Importer(name="pacs shelf", families=_JSON, read=_shelf, share=2),
    Importer(name="site key", families=_JSON, read=_site_key, share=2),
    Importer(name="luminances", families=_TABLE, read=_luminances, share=2, names_file=False),
    Importer(name="links", families=_TABLE, read=_links, share=2),
)
BY_NAME: Mapping[str, Importer] = {one.name: one for one in TABLE}


def at_number(number: int) -> Importer:
    """The importer of a run's file of this number: each takes its share of every round."""
    rounds = [one for one in TABLE for _ in range(one.share)]
    return rounds[(number * 37) % len(rounds)]

"""The report as PDF: read back with poppler where it is installed, else by its own bytes."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from dataclasses import replace

import pytest
from PySide6.QtCore import QBuffer, QIODevice
from PySide6.QtGui import QImage

from app.control.tasks import InlineTaskRunner
from app.views.analyse_view import AnalyseView
from app.views.pdf_table import plan_of
from app.views.report_pdf import to_pdf, write_pdf
from reader_study.errors import StudyError
from reader_study.report.page import Absent, Figure, Link, Picture, Report, Section, Table

SVG = (
    "<svg xmlns='http://www.w3.org/2000/svg' width='200pt' height='100pt' viewBox='0 0 200 100'>"
    "<path d='M10 10 L190 90' stroke='#0072B2' stroke-width='2' fill='none'/></svg>"
)
HASH = "ab" * 32


def _jpeg() -> bytes:
    image = QImage(40, 60, QImage.Format.Format_Grayscale8)
    image.fill(90)
    buffer = QBuffer()
    buffer.open(QIODevice.OpenModeFlag.WriteOnly)
    image.save(buffer, "JPG")
    return bytes(buffer.data().data())


def _report(rows: int = 150) -> Report:
    table = Table(
        name="long", title="A long table", head=("reader", "estimate"), note=f"data SHA-256 {HASH}.",
        rows=tuple((f"R{k:03d}", k / 1000) for k in range(rows)),
    )  # fmt: skip
    links = Table(name="links", title="Checklist", head=("asks for", "where"), rows=(("figures", Link("Pictures", "Pictures")),))  # fmt: skip
    first = Section(title="Tables", words=("Two tables.",), parts=(table, links, Absent(title="Times", why="none.")))  # fmt: skip
    second = Section(
        title="Pictures",
        parts=(
            Figure(name="f", title="A figure", svg=SVG),
            Picture(name="p", title="Case 7", content=_jpeg()),
        ),
    )
    return Report(title="Reader study X", subtitle="2 readers", warning="Research use only.", sections=(first, second))  # fmt: skip


def _text(pdf: bytes, tmp_path) -> list[str]:
    if shutil.which("pdftotext") is None:
        pytest.skip("pdftotext of poppler-utils is not installed")
    path = tmp_path / "r.pdf"
    path.write_bytes(pdf)
    out = subprocess.run(["pdftotext", "-layout", str(path), "-"], capture_output=True, check=True, text=True)
    return out.stdout.split("\f")[:-1]


def _n_pages(pdf: bytes) -> int:
    return len(re.findall(rb"/Type /Page\b(?!s)", pdf))


def test_rs_s11_the_same_report_gives_the_same_pdf_and_no_day_of_printing(qapp):
    one = to_pdf(_report())
    assert one.startswith(b"%PDF-")
    assert one == to_pdf(_report())
    assert not re.search(rb"Date[^\n]{0,12}20(2|3)\d", one)
    assert one != to_pdf(_report(149))


def test_rs_s11_another_run_of_the_program_prints_the_same_bytes():
    program = (
        "import sys; from app.views.report_pdf import to_pdf; from reader_study.report.page import *;"
        "t = Table(name='t', title='Bold and regular', head=('a', 'b'), rows=(('x', 0.5),));"
        "sys.stdout.buffer.write(to_pdf(Report(title='T', subtitle='s', warning='w', sections=(Section(title='S', parts=(t,)),))))"
    )
    runs = [
        subprocess.run(
            [sys.executable, "-c", program],
            capture_output=True,
            check=True,
            env={name: value for name, value in os.environ.items() if name != "QT_HASH_SEED"},
        )
        for _ in range(2)
    ]
    assert runs[0].stdout.startswith(b"%PDF-")
    assert runs[0].stdout == runs[1].stdout


def test_rs_s11_every_page_says_its_number_and_the_hash_of_the_data(qapp, tmp_path):
    pages = _text(to_pdf(_report()), tmp_path)
    assert len(pages) == _n_pages(to_pdf(_report())) > 2
    for number, page in enumerate(pages, 1):
        assert f"{number} of {len(pages)}" in page
        assert HASH in page
        assert "Reader study X" in page


def test_the_head_of_a_table_stands_on_every_page_and_no_row_is_lost(qapp, tmp_path):
    pages = _text(to_pdf(_report()), tmp_path)
    rows = [page for page in pages if re.search(r"R\d{3}\b", page)]
    assert len(rows) > 1
    assert all("estimate" in page for page in rows)
    assert re.findall(r"\bR(\d{3})\b", "".join(pages)) == [f"{k:03d}" for k in range(150)]


def test_a_link_of_the_checklist_names_the_page_where_the_section_begins(qapp, tmp_path):
    pages = _text(to_pdf(_report()), tmp_path)
    named = int(re.search(r"Pictures, p\. (\d+)", "".join(pages))[1])
    assert "A figure" in pages[named - 1]
    assert "Not given: none." in "".join(pages)


def test_figures_are_vectors_pictures_are_images_and_fonts_are_embedded(qapp):
    report = _report(1)
    whole = to_pdf(report)
    figure, _picture = report.sections[1].parts
    without = replace(report, sections=(report.sections[0], replace(report.sections[1], parts=(figure,))))
    assert whole.count(b"/Subtype /Image") >= 1
    assert to_pdf(without).count(b"/Subtype /Image") == 0
    assert b"/FontFile" in whole


def test_a_wide_table_gets_smaller_type_then_a_lying_page_then_is_cut_with_its_first_column_repeated(qapp):
    def planned(columns: int):
        head = ("reader", *(f"sensitivity{k}" for k in range(columns)))
        row = ("R1", *("0.123 (0.100-0.200)" for _ in range(columns)))
        table = Table(name="t", title="t", head=head, rows=(row,))
        return plan_of(table, [row], 511.0, 758.0)

    small, upright, lying, cut = planned(2), planned(6), planned(9), planned(30)
    assert (small.size_pt, small.landscape) == (8.0, False)
    assert upright.size_pt < 8.0
    assert not upright.landscape
    assert lying.landscape
    assert len(lying.groups) == 1
    assert len(cut.groups) > 1
    assert all(group[0][0] == 0 for group in cut.groups)
    assert sorted(k for group in cut.groups for k, _ in group if k) == list(range(1, 31))


def test_a_pdf_that_cannot_be_written_is_one_sentence(qapp, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StudyError, match="could not be written"):
        write_pdf(_report(1), tmp_path / "file" / "report.pdf")


def test_the_screen_saves_the_report_as_pdf_once_there_is_one(qapp, qtbot, tmp_path):
    view = AnalyseView(InlineTaskRunner())
    qtbot.addWidget(view)
    assert not view.print_pdf.isEnabled()
    view.save_pdf(tmp_path / "none.pdf")
    assert not (tmp_path / "none.pdf").exists()
    view._done(_report(3))
    assert view.print_pdf.isEnabled()
    view.save_pdf(tmp_path / "report.pdf")
    assert (tmp_path / "report.pdf").read_bytes() == to_pdf(_report(3))
    assert str(tmp_path / "report.pdf") in view.said.text()
    view.save_pdf(tmp_path / "no" / "report.pdf")
    assert view.problem.text()

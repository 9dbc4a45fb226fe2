"""One door to all exchange formats: the file's ending and content choose the reader."""

from __future__ import annotations

from pathlib import Path

from reader_study.exchange.delimited import read_imrmc, read_long_csv, read_lrc, read_text
from reader_study.exchange.observer_data import ExchangeError, ObserverData
from reader_study.exchange.workbook import read_workbook

ENDINGS = (".xlsx", ".imrmc", ".lrc", ".csv")


def read_observer_data(path: Path) -> ObserverData:
    """Read multi-reader data in any known format.

    Raises
    ------
    ExchangeError
        Not one of the formats, or damaged; names the place and the remedy.
    """
    ending = path.suffix.lower()
    if ending == ".xlsx":
        return read_workbook(path)
    if ending == ".lrc":
        return read_lrc(path)
    if ending == ".imrmc":
        return read_imrmc(path)
    if ending == ".csv":
        text = read_text(path)
        head = text.lstrip().split("\n", 1)[0].strip().lower()
        is_imrmc = "BEGIN DATA:" in text or head.startswith("readerid,caseid,modalityid,score")
        return read_imrmc(path) if is_imrmc else read_long_csv(path)
    raise ExchangeError(
        f"{path.name}: expected a file ending in {', '.join(ENDINGS)}, found {ending or 'no ending'};"
        " a program's print-out is no data file."
    )

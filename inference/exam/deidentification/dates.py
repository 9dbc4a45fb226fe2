"""Moves dates by whole days and keeps times of day: age, priors' order and contrast timing stay true."""

from __future__ import annotations

import re
from datetime import date, timedelta

_DATE = re.compile(r"(\d{4})\.?(\d{2})\.?(\d{2})")
_OLDEST_TOLD = 89  # older women are rare enough to be known by their age (45 CFR 164.514(b)(2)(i)(C))


def shifted_date(text: str, days: int) -> str | None:
    """Move a DA value (also 1999.12.31); None when it is no date."""
    found = _DATE.fullmatch(text.strip())
    return None if found is None else _moved(found, days)


def shifted_datetime(text: str, days: int) -> str | None:
    """Move the day of a DT value and keep its time and offset; None when the day is not given."""
    found = _DATE.match(text.strip())
    if found is None:
        return None
    day = _moved(found, days)
    rest = text.strip()[found.end() :]
    return None if day is None or not re.fullmatch(r"[0-9.+\-]*", rest) else day + rest


def is_time(text: str) -> bool:
    """Tell whether a value is a TM value, and so tells nothing but a time of day."""
    return re.fullmatch(r"\d{2}(?::?\d{2}(?::?\d{2}(?:\.\d{1,6})?)?)?", text.strip()) is not None


def age_on(born: str, day: str) -> str | None:
    """Return the AS value ("052Y") of a woman born at ``born`` on ``day``, both DA; None when one is no date."""
    first, second = _DATE.fullmatch(born.strip()), _DATE.fullmatch(day.strip())
    if first is None or second is None:
        return None
    years = int(second[1]) - int(first[1]) - ((second[2], second[3]) < (first[2], first[3]))
    return told_age(f"{years:03d}Y") if 0 <= years <= 130 else None


def told_age(age: str) -> str:
    """Return an AS value with ages from 90 on told as 90."""
    found = re.fullmatch(r"0*(\d{1,3})Y", age.strip())
    return "090Y" if found is not None and int(found[1]) > _OLDEST_TOLD else age


def _moved(found: re.Match[str], days: int) -> str | None:
    try:
        return (date(int(found[1]), int(found[2]), int(found[3])) + timedelta(days=days)).strftime("%Y%m%d")
    except (ValueError, OverflowError):
        return None

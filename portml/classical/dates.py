"""Dates as numbers: days since 1970-01-01, so that a model can tell earlier from later."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from portml.classical import host
from portml.errors import DataError

__all__ = ["are_dates", "days_since_1970"]

# ISO 8601 as databases and spreadsheets write it: 2026-11-23, 2026-11-23 12:30, 2026-11-23T12:30:00.5+01:00.
_DATE = re.compile(r"\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d(\.\d{1,6})?)?(Z|[+-]\d\d:?\d\d)?)?")
_BEGIN = datetime(1970, 1, 1, tzinfo=UTC)


def are_dates(values: Sequence[Any]) -> bool:
    """Whether all values that are there are dates by ISO 8601, and there is one.

    Examples
    --------
    >>> are_dates(["2026-11-23", None, "2026-11-23 12:30"]), are_dates(["2026-13-23"]), are_dates([None])
    (True, False, False)
    """
    found = False
    for value in values:  # most columns of text end at their first value
        if type(value) is not str and host.is_missing(value):
            continue
        if _moment(value) is None:
            return False
        found = True
    return found


def days_since_1970(values: Sequence[Any], name: str) -> list[float]:
    """Days with fractions, NaN of missing values; a time without a zone is taken as UTC.

    Raises
    ------
    DataError
        If a value is no date; the message names the column and the row.

    Examples
    --------
    >>> days_since_1970(["1970-01-02 12:00", None], "when")
    [1.5, nan]
    """
    days = []
    for row, value in enumerate(values, start=1):
        moment = None if host.is_missing(value) else _moment(value)
        if moment is None and not host.is_missing(value):
            raise DataError(
                f"column {name!r}, row {row}: expected a date such as 2026-11-23, as the model was fitted on, "
                f"got {value!r}"
            )
        days.append(float("nan") if moment is None else (moment - _BEGIN).total_seconds() / 86400)
    return days


def _moment(value: Any) -> datetime | None:
    if not isinstance(value, str) or not _DATE.fullmatch(value):
        return None
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:  # the thirteenth month
        return None
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)

"""Dates as people write them and as computers do: the smallest translation that is not a toy of two words."""

from __future__ import annotations

import datetime
from typing import Any

from portml.data.generated import checked_count, host_generator
from portml.errors import ArgumentError

__all__ = ["make_dates"]

MONTHS = (
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
)
DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")


def make_dates(
    n_samples: int = 100, *, first_year: int = 1950, last_year: int = 2049, random_state: Any = None
) -> tuple[list[str], list[str]]:
    """Draw dates, each written in one of six ways, and the same as ISO 8601 writes them.

    To read one, its parts must be found wherever they stand, names of months looked up, digits copied and zeros put
    before them; which part is the day and which the year is told by the form.

    Parameters
    ----------
    n_samples : int
        No day comes twice: what is set aside to test is no day that was learnt from.
    first_year, last_year : int
    random_state : None, int or Generator

    Returns
    -------
    written, iso : lists of str
        Such as "Wednesday, 21 January 2004", "Jan 21, 2004", "21.1.2004" and "2004-01-21".

    Raises
    ------
    ArgumentError
        If there are fewer days in these years.

    Examples
    --------
    >>> make_dates(3, random_state=0)
    (['Jan 7, 2001', '8 February 2002', 'Dec 4, 2036'], ['2001-01-07', '2002-02-08', '2036-12-04'])
    """
    first, last = _day(first_year, "first_year", 1, 1), _day(last_year, "last_year", 12, 31)
    n_days = last.toordinal() - first.toordinal() + 1
    if checked_count("n_samples", n_samples) > n_days:
        raise ArgumentError(
            f"n_samples: expected at most {n_days}, the days of {first_year} to {last_year}, got {n_samples}"
        )
    generator = host_generator(random_state)
    days = [first + datetime.timedelta(int(i)) for i in generator.permutation(n_days)[:n_samples]]
    forms = generator.integers(0, 6, (n_samples,)).tolist()
    return [_written(day, form) for day, form in zip(days, forms, strict=True)], [day.isoformat() for day in days]


def _written(date: datetime.date, form: int) -> str:
    month, day, year = MONTHS[date.month - 1], date.day, date.year
    return (
        f"{day} {month} {year}",
        f"{month} {day}, {year}",
        f"{month[:3]} {day}, {year}",
        f"{DAYS[date.weekday()]}, {day} {month} {year}",
        f"{day}.{date.month}.{year}",
        f"{date.month:02}/{day:02}/{year}",
    )[form]


def _day(year: Any, name: str, month: int, day: int) -> datetime.date:
    try:
        return datetime.date(year, month, day)
    except (TypeError, ValueError) as error:
        raise ArgumentError(f"{name}: expected a year in 1..9999, got {year!r}") from error

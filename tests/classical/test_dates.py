from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portml.classical.dates import are_dates, days_since_1970
from portml.errors import DataError

BEGIN = datetime(1970, 1, 1, tzinfo=UTC)


@given(st.datetimes(datetime(1600, 1, 1), datetime(2400, 1, 1)), st.sampled_from("T "))
def test_days_are_counted_from_1970(moment: datetime, between: str) -> None:
    text = moment.isoformat(between)
    assert are_dates([text])
    (days,) = days_since_1970([text], "when")
    assert BEGIN + timedelta(days=days) == pytest.approx(moment.replace(tzinfo=UTC), abs=timedelta(milliseconds=1))


def test_zones_are_told_apart() -> None:
    texts = ["2025-06-01T12:00:00Z", "2025-06-01T14:00:00+02:00", "2025-06-01 12:00"]
    assert len({*days_since_1970(texts, "when")}) == 1


@pytest.mark.parametrize("text", ["2025-02-30", "2025-1-1", "20250101", "2025-W01-1", "01/02/2025", "2025", "12:30"])
def test_what_only_looks_like_a_date_is_none(text: str) -> None:
    assert not are_dates(["2025-01-01", text])
    with pytest.raises(DataError, match=r"column 'when', row 2: expected a date such as 2026-11-23"):
        days_since_1970([None, text], "when")

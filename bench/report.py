"""What a benchmark returns, and how the table is printed."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Row:
    """One measure, ours beside another's."""

    measure: str
    unit: str
    ours: float
    against: str
    theirs: float
    goal: str = ""
    note: str = ""


def percentile(values: Sequence[float], percent: float) -> float:
    """Return the *percent*-th percentile of *values* by the nearest rank."""
    ordered = sorted(values)
    rank = max(0, min(len(ordered) - 1, round(percent / 100 * (len(ordered) - 1))))
    return ordered[rank]


def median(values: Sequence[float]) -> float:
    """Return the middle value."""
    return statistics.median(values)


def markdown(rows: Sequence[Row]) -> str:
    """Return *rows* as a table."""
    lines = [
        "| measure | ours | against | theirs | ratio | goal | note |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        ratio = f"{row.ours / row.theirs:.2f}" if row.theirs else "-"
        lines.append(
            f"| {row.measure} | {_number(row.ours)} {row.unit} | {row.against} | "
            f"{_number(row.theirs)} {row.unit} | {ratio} | {row.goal} | {row.note} |"
        )
    return "\n".join(lines)


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:,.2f}"

"""Reading the metrics.csv of a run folder."""

import csv
import math
from pathlib import Path


def read_metrics(path: str | Path) -> dict[str, list[float]]:
    """Read the columns of a metrics.csv.

    Args:
        path: CSV file in UTF-8 with a header line and one line an epoch.

    Returns:
        Column name to (epochs,) values, in the file's order; an empty cell is NaN.

    Raises:
        OSError: the file cannot be read.
        ValueError: no header, a column named twice, a line with too many or too few cells, or a cell that is no number.
    """
    with Path(path).open(encoding="utf-8", newline="") as file:
        reader = csv.reader(file)
        try:
            header = next(reader, [])
            if not header or len(set(header)) < len(header):
                raise ValueError(f"Expected a header of distinct column names in {path}. Received: {header}")
            metrics: dict[str, list[float]] = {name: [] for name in header}
            for row in filter(None, reader):
                if len(row) != len(header):
                    raise ValueError(
                        f"Expected {len(header)} cells in line {reader.line_num} of {path}. Received: {len(row)}"
                    )
                for name, cell in zip(header, row, strict=True):
                    metrics[name].append(_number(cell, f"column {name!r}, line {reader.line_num} of {path}"))
        except csv.Error as error:
            raise ValueError(f"Expected CSV in {path}. Received: {error}, line {reader.line_num}") from error
    return metrics


def _number(cell: str, place: str) -> float:
    if not cell.strip():
        return math.nan
    try:
        return float(cell)
    except ValueError:
        raise ValueError(f"Expected a number or an empty cell in {place}. Received: {cell!r}") from None

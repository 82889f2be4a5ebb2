"""Rows that are not trained on, for fit and sweep."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter

from gdjax.errors import UsageError

if TYPE_CHECKING:
    from gdjax.cli.options import TableOptions
    from gdjax.tables import Table

__all__ = ["JUDGING", "VALIDATION", "JudgingOptions", "ValidationOptions"]


@Parameter(name="*")
@dataclass(frozen=True)
class ValidationOptions:
    """The table that a run is judged by."""

    validation: Annotated[
        str | None, Parameter(help="A table like TABLE, not trained on: the parameters best on it are given back.")
    ] = None
    unseen: Annotated[
        Literal["error", "zero"], Parameter(help="What a category of --validation that TABLE lacks does.")
    ] = "error"

    def read(self, trained: Table, columns: TableOptions) -> Any:
        """(X, y), with groups (X, y, groups), made as those that are trained on; None where there is no such table."""
        from gdjax import tables

        if self.validation is None:
            if self.unseen != "error":
                raise UsageError("--unseen: it is for the categories of --validation, which is not given")
            return None
        other = tables.read(
            self.validation,
            target=trained.target,
            by=trained.by,
            columns=trained.columns,
            missing=columns.missing,
            unseen=self.unseen,
            max_bytes=columns.max_bytes,
        )
        return (other.X, other.y) if other.groups is None else (other.X, other.y, other.groups)


@Parameter(name="*")
@dataclass(frozen=True)
class JudgingOptions(ValidationOptions):
    """The table that the neurons of a sweep are judged by."""

    validation: Annotated[
        str | None, Parameter(help="A table like TABLE, not trained on: by its cost there is each judged.")
    ] = None


VALIDATION, JUDGING = ValidationOptions(), JudgingOptions()
"""All by default."""

"""pytest plug-in of gdjax: the `gradcheck` fixture."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from gdjax.verification import Report


@pytest.fixture
def gradcheck() -> Callable[..., Report]:
    """`gradcheck(cost, gradient, args, ...)`: `gdjax.verify`, which fails the test unless the verdict is "pass".

    Takes what `gdjax.verify` takes; `strict=False` lets "inconclusive" through. Returns the report.
    """

    def check(*args: Any, strict: bool = True, **options: Any) -> Report:
        __tracebackhide__ = True
        import gdjax

        report: Report = gdjax.verify(*args, **options)
        if report.verdict == "fail" or (strict and report.verdict != "pass"):
            pytest.fail(str(report), pytrace=False)
        return report

    return check

"""What a verification found."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from gdjax.errors import GdjaxError


class VerificationError(GdjaxError, AssertionError):
    """A gradient is wrong, or could not be shown to be right."""

    exit_code = 1


@dataclass(frozen=True)
class Finding:
    """One thing found.

    `kind` is "value", "contract", "coverage", "unsupported" or "note"; `severity` "fail", "inconclusive" or "note".
    """

    kind: str
    severity: str
    message: str
    where: str = ""


@dataclass(frozen=True)
class Component:
    """One entry of the gradient at the counterexample.

    Attributes:
        name: such as "gradient[0][2] (d cost / d w[2])".
        manual: what the gradient gave.
        exact: the exact value, in digits.
        nearest: the float that is nearest to it.
        ulp: |manual - exact| in units in the last place of the dtype.
        wrong: whether that is more than rounding explains.
    """

    name: str
    manual: float
    exact: str
    nearest: float
    ulp: float
    wrong: bool


@dataclass(frozen=True)
class Branch:
    """One comparison: which of its outcomes were met, and which cannot be.

    Attributes:
        site: where it stands.
        of: whose it is, the cost's or the gradient's.
        met, missing, impossible: outcomes, "true" and "false".
    """

    site: str
    of: str
    met: tuple[str, ...]
    missing: tuple[str, ...]
    impossible: tuple[str, ...] = ()


@dataclass(frozen=True)
class Input:
    """One input that was tried.

    Attributes:
        label: how it was made.
        sizes: name -> size.
        outcome: "right", "wrong" or "last digits", whose difference is within the bound.
        worst, allowed: the largest |difference| from the exact gradient, and the largest bound on one.
    """

    label: str
    sizes: dict[str, int]
    outcome: str
    worst: float
    allowed: float


@dataclass(frozen=True)
class Report:
    """The verdict on a hand-derived gradient, and what it rests on. True where it is "pass"; prints as text.

    Attributes:
        verdict: "pass", "fail" or "inconclusive".
        findings: what was found, the failures among it.
        name, dtype, kinks: what was verified, and as what.
        component: the first wrong entry of the gradient, or None.
        term: the term of the formula that is wrong, where one could be told, or None.
        counterexample: Python that shows the failure, or None.
        components: entries at the counterexample, the first ones and a wrong one.
        inputs: those that were tried.
        oracles: what the gradient was held against, in words.
        coverage: the comparisons of the cost and the gradient.
        seconds: how long it took.
        parts: the reports of which this one is made.
    """

    verdict: str
    findings: tuple[Finding, ...] = ()
    name: str = ""
    dtype: str = "float64"
    kinks: str = "zero"
    component: str | None = None
    term: str | None = None
    counterexample: str | None = None
    components: tuple[Component, ...] = ()
    inputs: tuple[Input, ...] = ()
    oracles: tuple[str, ...] = ()
    coverage: tuple[Branch, ...] = ()
    seconds: float = 0.0
    parts: tuple[Report, ...] = field(default=())

    def __bool__(self) -> bool:
        return self.verdict == "pass"

    def __str__(self) -> str:
        tried = len(self.inputs)
        head = f"{self.verdict}: {self.name or 'gradient'} ({self.dtype}, {tried} inputs, {self.seconds:.2f} s)"
        lines = [head]
        if self.component:
            lines.append(f"  first wrong component: {self.component}")
        if self.term:
            lines.append(f"  wrong term: {self.term}")
        lines += [f"  {f.severity}: {f.message}" + (f" [{f.where}]" if f.where else "") for f in self.findings]
        for c in self.components:
            mark = "  <- wrong" if c.wrong else ""
            lines.append(f"    {c.name}: manual {c.manual!r}, exact {c.exact}, {c.ulp:.4g} ulp{mark}")
        if self.counterexample:
            lines += ["  counterexample:", *("    " + line for line in self.counterexample.splitlines())]
        lines += ["  " + line for part in self.parts for line in str(part).splitlines()]
        return "\n".join(lines)

    def raise_if_failed(self, strict: bool = True) -> Report:
        """Return the report if it passed.

        Raises:
            VerificationError: the verdict is "fail" or, where `strict`, "inconclusive".
        """
        if self.verdict == "fail" or (strict and self.verdict != "pass"):
            reason = next((f.message for f in self.findings if f.severity == self.verdict), self.verdict)
            place = f"; first wrong component {self.component}" if self.component else ""
            term = f"; wrong term {self.term}" if self.term else ""
            raise VerificationError(f"verification {self.verdict}: {self.name or 'gradient'}: {reason}{place}{term}")
        return self

    def as_dict(self) -> dict[str, Any]:
        """The whole report in JSON's types; a number that is not finite is None."""
        made = _plain(asdict(self))
        assert isinstance(made, dict)
        return made

    def to_json(self, path: str | Path | None = None) -> str:
        """Strict JSON, also written to `path` where one is given."""
        text = json.dumps(self.as_dict(), indent=2, allow_nan=False)
        if path is not None:
            Path(path).write_text(text + "\n", encoding="utf-8")
        return text

    def to_html(self, path: str | Path | None = None) -> str:
        """One page with no script and no request, also written to `path` where one is given."""
        from gdjax.verification.telling.html import page

        text = page(self)
        if path is not None:
            Path(path).write_text(text, encoding="utf-8")
        return text


def worst(verdicts: Iterable[str]) -> str:
    """The verdict on several parts: "fail" if any fails, "pass" if all pass."""
    found = set(verdicts)
    return "fail" if "fail" in found else "inconclusive" if "inconclusive" in found else "pass"


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(v) for v in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value

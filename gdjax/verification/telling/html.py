"""A report as one page: no script, no request, plots in SVG."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from html import escape

from gdjax.verification.telling.report import Input, Report

_STYLE = """
body{font:15px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#1b1f24;background:#fff}
h1{font-size:1.5rem}h2{font-size:1.1rem;margin-top:2rem}table{border-collapse:collapse;width:100%}
th,td{text-align:left;padding:.25rem .6rem;border-bottom:1px solid #d8dee4;vertical-align:top}
pre{background:#f6f8fa;padding:1rem;overflow-x:auto}.pass{color:#116329}.fail{color:#a40e26}.inconclusive{color:#7d4e00}
.wrong td{background:#ffebe9}svg text{font:11px system-ui,sans-serif}.scroll{overflow-x:auto}
"""
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"


def page(report: Report) -> str:
    """The whole page as text."""
    title = f"Verification of {report.name or 'a gradient'}: {report.verdict}"
    body = "".join(_sections(report))
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8">'
        f'<meta name="viewport" content="width=device-width,initial-scale=1">'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
        f'<link rel="icon" href="data:,"><title>{escape(title)}</title><style>{_STYLE}</style></head>'
        f"<body><main><h1>{escape(title)}</h1>{body}</main></body></html>\n"
    )


def _sections(report: Report) -> Iterable[str]:
    rows: list[tuple[str, ...]]
    head: tuple[str, ...]
    kinks = f"kinks &ldquo;{escape(report.kinks)}&rdquo;"
    facts = f"{report.dtype}, {kinks}, {len(report.inputs)} inputs, {report.seconds:.2f} s"
    yield f'<p>Verdict: <strong class="{report.verdict}">{report.verdict}</strong> ({facts}).</p>'
    if report.component:
        yield f"<p>First wrong component: <code>{escape(report.component)}</code></p>"
    if report.term:
        yield f"<p>Wrong term: <strong>{escape(report.term)}</strong></p>"
    if report.findings:
        rows = [(f.severity, f.kind, f.message, f.where) for f in report.findings]
        yield _section("Findings", _table(("severity", "kind", "what", "where"), rows))
    if report.components:
        head = ("component", "manual", "exact", "ulp")
        rows = [(c.name, repr(c.manual), c.exact, f"{c.ulp:.4g}") for c in report.components]
        yield _section("The counterexample", _table(head, rows, [c.wrong for c in report.components]))
    if report.counterexample:
        yield f"<pre>{escape(report.counterexample)}</pre>"
    if report.inputs:
        yield _section("Errors", _plot(report.inputs))
    if report.coverage:
        rows = [
            (b.of, b.site, ", ".join(b.met), ", ".join(b.missing), ", ".join(b.impossible)) for b in report.coverage
        ]
        yield _section("Branches", _table(("of", "comparison", "met", "missing", "proved impossible"), rows))
    if report.oracles:
        yield _section("Judged by", "<ul>" + "".join(f"<li>{escape(o)}</li>" for o in report.oracles) + "</ul>")
    if report.inputs:
        head = ("input", "sizes", "outcome", "largest error", "allowed")
        rows = [
            (
                i.label,
                ", ".join(f"{k}={v}" for k, v in i.sizes.items()),
                i.outcome,
                f"{i.worst:.3g}",
                f"{i.allowed:.3g}",
            )
            for i in report.inputs
        ]
        yield _section("Inputs", _table(head, rows, [i.outcome == "wrong" for i in report.inputs]))
    for part in report.parts:
        yield f"<h2>{escape(part.name)}</h2>" + "".join(_sections(part))


def _section(title: str, content: str) -> str:
    return f"<section><h2>{escape(title)}</h2>{content}</section>"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]], wrong: Sequence[bool] = ()) -> str:
    cells = "".join(f'<th scope="col">{escape(h)}</th>' for h in head)
    lines = []
    for i, row in enumerate(rows):
        mark = ' class="wrong"' if i < len(wrong) and wrong[i] else ""
        lines.append(f"<tr{mark}>" + "".join(f"<td>{escape(str(c))}</td>" for c in row) + "</tr>")
    body = "".join(lines)
    return f'<div class="scroll"><table><thead><tr>{cells}</tr></thead><tbody>{body}</tbody></table></div>'


def _plot(inputs: Sequence[Input]) -> str:
    """Each input's largest error, and what was allowed, on a logarithmic axis."""
    width, height, left, low, high = 720, 240, 60, -20.0, 4.0

    def up(value: float) -> float:
        power = high if not math.isfinite(value) else min(max(math.log10(value), low), high) if value > 0 else low
        return height - 20 - (power - low) / (high - low) * (height - 30)

    marks = []
    for i, point in enumerate(inputs):
        x = left + (i + 0.5) * (width - left - 10) / len(inputs)
        colour = "#a40e26" if point.outcome == "wrong" else "#116329"
        marks.append(f'<circle cx="{x:.1f}" cy="{up(point.worst):.1f}" r="2.5" fill="{colour}"/>')
        if point.allowed > 0:
            y = up(point.allowed)
            marks.append(f'<path d="M{x - 2:.1f} {y:.1f}h4" stroke="#57606a"/>')
    axis = "".join(
        f'<path d="M{left} {up(10.0**p):.1f}H{width - 10}" stroke="#d8dee4"/>'
        f'<text x="{left - 6}" y="{up(10.0**p) + 4:.1f}" text-anchor="end">1e{p}</text>'
        for p in range(-16, 5, 4)
    )
    text = "Largest error at each input (dots: green right, red wrong; dashes: allowed). Exact ones lie on the floor."
    return (
        f'<svg role="img" viewBox="0 0 {width} {height}" width="100%" xmlns="http://www.w3.org/2000/svg">'
        f"<title>{text}</title>{axis}{''.join(marks)}</svg><p>{text}</p>"
    )

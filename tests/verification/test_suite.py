"""The mutation suite: every bug caught, no alarm on correct gradients."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from gradient_bugs import BUGS, Bug
from gradient_late import LATE_BUGS, LATE_RIGHT
from gradient_mutants import SPELLINGS, Mutant, mutants, runs, traced
from gradient_problems import PROBLEMS, SHAPES
from gradient_right import RIGHT, Right

from gdjax.verification import exact as ex
from gdjax.verification.cases import Cases
from gdjax.verification.domain import inferred
from gdjax.verification.oracle import values_of
from gdjax.verification.program import Program
from gdjax.verification.sizes import parsed
from gdjax.verification.verify import checked, finished, prepared

DTYPES = ("float64", "float32")
BUGS = [*BUGS, *LATE_BUGS]
RIGHT = [*RIGHT, *LATE_RIGHT]
MUTANTS = [m for m in mutants() if runs(m)]


def some(items: list, every: int, slow: bool) -> list:
    """Each n-th item in each dtype, staggered; the others are marked slow."""
    found = []
    for i, item in enumerate(items):
        for j, dtype in enumerate(DTYPES):
            quick = i % every == j * (every // 2)
            if quick != slow:
                marks = [pytest.mark.slow] if slow else []
                found.append(pytest.param(item, dtype, id=f"{item.name}-{dtype}", marks=marks))
    return found


def each(items: list, every: int) -> pytest.MarkDecorator:
    return pytest.mark.parametrize(("item", "dtype"), [*some(items, every, False), *some(items, every, True)])


def test_the_suite_is_as_large_as_it_claims() -> None:
    assert len(BUGS) >= 60
    assert len(RIGHT) >= 60
    assert len(MUTANTS) >= 300
    assert len({b.name for b in BUGS}) == len(BUGS)


@each(BUGS, 12)
def test_a_bug_is_caught(item: Bug, dtype: str) -> None:
    report = checked(item.cost, item.make(), item.args(), shapes=item.shapes, dtype=dtype, kinks=item.kinks)
    assert report.verdict == "fail", str(report)
    if any(f.kind == "value" for f in report.findings):
        assert report.component is not None
        assert report.counterexample is not None


@each(RIGHT, 12)
def test_a_correct_gradient_passes(item: Right, dtype: str) -> None:
    report = checked(item.cost, item.gradient, item.args(), item.wrt, item.shapes, dtype, item.kinks)
    assert report.verdict == "pass", str(report)


def equivalent(mutant: Mutant) -> bool:
    """Whether a mutant is its original as a function: equal in rationals on and off the kinks, at several sizes."""
    original = Mutant(
        "original", mutant.problem, SPELLINGS[mutant.name.partition(":")[0]][1].replace("\n        ", "\n")
    )
    args = mutant.args
    varying = tuple(range(len(args)))
    example = tuple(np.asarray(a) for a in args)
    spec, sizes = parsed(mutant.shapes, example, varying)
    domains = tuple(inferred(a, i < 2) for i, a in enumerate(example))
    cases = Cases(example, varying, (0, 1), domains, spec, sizes, np.float64)
    tried = [*cases.small(), *cases.zeros(), *cases.scales()]
    for case in tried:
        pair = [values_of(Program(traced(m), varying), case.args) for m in (mutant, original)]
        for a, b in zip(*pair, strict=True):
            if not np.all(ex.compare(a, b)[1]):
                return False
    return len(tried) > 40


@each(MUTANTS, 120)
def test_a_mutant_is_caught_or_equivalent(item: Mutant, dtype: str) -> None:
    check = prepared(item.cost, item.make(), item.args, shapes=item.shapes, dtype=dtype)
    assert check.probe() is None
    for case in check.planned():
        check.visit(case)
        if check.failed or check.failing:
            return
    report = finished(check)
    assert report.verdict == "fail" or equivalent(item), f"{item.source}\n{report}"


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("dtype", DTYPES)
def test_terms_and_sizes(dtype: str) -> None:
    """The wrong component is always named, the wrong term in 80%, and bugs of any size shrink to two samples in 80%."""
    terms, small = [], []
    for bug in BUGS:
        report = checked(bug.cost, bug.make(), bug.args(), shapes=bug.shapes, dtype=dtype, kinks=bug.kinks)
        if bug.term is None:
            continue
        assert report.component, bug.name
        terms.append(report.term == bug.term)
        if not bug.sized:
            rows = next(line for line in report.counterexample.splitlines() if line.endswith("# X"))
            small.append(len(eval(rows.split("#")[0].strip().rstrip(","), {"np": np})) <= 2)
    assert np.mean(terms) >= 0.8
    assert np.mean(small) >= 0.8


@pytest.mark.parametrize(("dtype", "relative"), [("float64", 1e-15), ("float32", 1.2e-7)])
@pytest.mark.parametrize("problem", ["relu", "identity", "huber", "leaky_relu", "absolute"])
def test_the_last_digits_are_seen(problem: str, dtype: str, relative: float) -> None:
    p = PROBLEMS[problem]
    right = p.gradient(np)

    def wrong(*args):
        return tuple(g * g.dtype.type(1 + relative) for g in right(*args))

    assert checked(p.cost, wrong, p.args, shapes=("D", "", "N D", "N"), dtype=dtype, seconds=2.0).verdict == "fail"


@pytest.mark.parametrize(("dtype", "relative"), [("float64", 1e-12), ("float32", 1e-5)])
@pytest.mark.parametrize("problem", ["log_loss", "poisson", "tanh", "softplus"])
def test_small_errors_of_transcendental_costs_are_seen(problem: str, dtype: str, relative: float) -> None:
    p = PROBLEMS[problem]
    right = p.gradient(np)

    def wrong(*args):
        return tuple(g * g.dtype.type(1 + relative) for g in right(*args))

    assert checked(p.cost, wrong, p.args, shapes=("D", "", "N D", "N"), dtype=dtype, seconds=2.0).verdict == "fail"


def seeds(count: int, rows: int, dtype: type) -> int:
    """False alarms on random data of many seeds, judged as one input each."""
    from gdjax.verification.cases import Case

    p = PROBLEMS["relu"]
    alarms = 0
    check = prepared(p.cost, p.gradient(np), p.args, shapes=SHAPES, dtype=dtype, seconds=1e9)
    assert check.probe() is None
    for seed in range(count):
        rng = np.random.default_rng([seed, rows])
        plan = {"N": rows, "D": 3}
        check.visit(Case("random", check.cases.random(plan, rng), plan, True))
        alarms += check.observations.pop().failed
        check.observations.clear()
    return alarms + int(check.failed) + int(check.last.wrong() is not None)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_no_alarm_on_random_data(dtype: type) -> None:
    assert seeds(20, 10_000, dtype) == 0


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_no_alarm_on_a_thousand_seeds(dtype: type) -> None:
    assert seeds(1000, 10_000, dtype) == 0


def test_the_exact_answer_is_the_articles_formula() -> None:
    """Equations 23 and 32 in Fractions against the oracle, at N = 7."""
    from gdjax.verification.oracle import Oracle

    rng = np.random.default_rng(5)
    w, b, X, y = rng.normal(size=2), rng.normal(), rng.normal(size=(7, 2)), rng.normal(size=7)
    answer = Oracle(Program(PROBLEMS["relu"].cost, (0, 1, 2, 3)), (0, 1))((w, np.float64(b), X, y))
    gw, gb = [Fraction(0)] * 2, Fraction(0)
    for row, label in zip(X, y, strict=True):
        e = sum(Fraction(a) * Fraction(c) for a, c in zip(row, w, strict=True)) + Fraction(b)
        if e > 0:
            e -= Fraction(label)
            gw = [g + Fraction(2, 7) * e * Fraction(c) for g, c in zip(gw, row, strict=True)]
            gb += Fraction(2, 7) * e
    assert ex.to_fractions(answer.gradient[0]).tolist() == gw
    assert ex.to_fractions(answer.gradient[1])[()] == gb

"""Which term of the gradient is wrong, judged by how the manual gradient departs from the exact one.

A gradient of a mean loss is factor * sum of weights * gate * residual * x, plus penalties. Each term leaves its own
mark: a wrong factor scales every component alike; a wrong penalty does not care about the data; a wrong gate shows
where a side of the kink is closed or mixed; a wrong sum needs several samples; a wrong residual depends on the labels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from gdjax.verification.check import Check
from gdjax.verification.inputs.domain import lattice
from gdjax.verification.inputs.sizes import rows_name
from gdjax.verification.inputs.steering import Steering
from gdjax.verification.judge import Observation
from gdjax.verification.numbers import exact as ex
from gdjax.verification.numbers.arithmetic import Uninterpreted
from gdjax.verification.subject import Broken

_MOST = 24


def term(check: Check, failures: Sequence[Observation], digits: bool = False) -> str | None:
    """One of "gate", "residual", "factor", "sum", "penalty", "weights" or "bias"; None where nothing fits."""
    blame = _Blame(check, failures)
    if digits:
        return "bias" if blame.only_scalars(last=True) else "factor"
    for name, holds in (
        ("penalty", blame.ignores_data),
        ("gate", blame.only_at_kinks),
        ("weights", blame.is_right_for_equal_weights),
        ("bias", blame.only_scalars),
        ("sum", blame.hangs_on_order),
    ):
        if holds():
            return name
    ratios = blame.ratios()
    if ratios is not None:
        if blame.weight_place is not None and not blame.alike_by_size(ratios):
            return "weights"
        return "residual" if all(abs(r + 1) < 1e-6 for _, r in ratios) else "factor"
    return blame.of_samples()


@dataclass
class _Blame:
    check: Check
    failures: Sequence[Observation]

    def __post_init__(self) -> None:
        cases = self.check.cases
        self.rows = rows_name(cases.spec, cases.wrt)
        data = [i for i in cases.movable if i not in cases.wrt]
        vectors = [i for i in data if np.ndim(cases.example[i]) == 1]
        weights = [i for i in vectors if cases.domains[i].low == 0 and not cases.domains[i].whole and len(vectors) > 1]
        self.weight_place = weights[-1] if weights else None
        self.data = [i for i in cases.varying if i not in cases.wrt and np.ndim(cases.example[i]) > 0]
        labels = [i for i in self.data if np.ndim(cases.example[i]) == 1 and i != self.weight_place]
        self.label = labels[-1] if labels else None

    def count(self, observation: Observation) -> int:
        if self.rows is not None and self.rows in observation.case.sizes:
            return observation.case.sizes[self.rows]
        return max((np.shape(observation.case.args[i])[0] for i in self.data), default=1)

    def only_at_kinks(self) -> bool:
        small = any(self.count(o) <= 8 for o in self.failures)
        return small and all(o.answer.kind == "kink" for o in self.failures) and not self.only_scalars()

    def only_scalars(self, last: bool = False) -> bool:
        """Whether no array of parameters is ever wrong, only scalars beside them."""
        ndims = [np.ndim(self.check.cases.example[i]) for i in self.check.cases.wrt]
        if 0 not in ndims or not any(ndims):
            return False
        marks = [o.last if last else o.wrong for o in self.failures]
        return not any(w.any() for mark in marks for w, n in zip(mark, ndims, strict=True) if n)

    def departure(self, args: Sequence[Any]) -> list[np.ndarray[Any, Any]] | None:
        """Manual minus exact gradient at an input."""
        try:
            answer = self.check.oracle(args)
            outputs = self.check.subject(args).outputs
        except (Uninterpreted, Broken):
            return None
        if answer.kind not in ("smooth", "kink") or not all(np.isfinite(o).all() for o in outputs):
            return None
        return [
            ex.to_float(ex.subtract(ex.from_array(o), g)) if o.shape == g.shape else np.full(g.shape, np.nan)
            for o, g in zip(outputs, answer.gradient, strict=True)
        ]

    def _replaced(self, args: Sequence[Any], places: Sequence[int], seed: int) -> tuple[Any, ...]:
        rng = self.check.cases.rng(20, seed)
        whole = list(args)
        for i in places:
            whole[i] = self.check.cases.made(i, lattice(self.check.cases.domains[i], rng, np.shape(args[i])))
        return tuple(whole)

    def _plain(self) -> list[Observation]:
        found = [o for o in self.failures if not (o.case.sampled or o.case.scaled)]
        return sorted(found, key=lambda o: o.answer.kind, reverse=True)[:_MOST]

    def ignores_data(self) -> bool:
        """Whether there are data, and the departure stays the same, and is not zero, when all of them change."""
        same = tried = 0
        for seed, o in enumerate(self._plain()[:8]):
            here = self.departure(o.case.args)
            there = self.departure(self._replaced(o.case.args, self.data, seed))
            if here is None or there is None or not any(np.abs(h).max(initial=0) > 1e-3 for h in here):
                continue
            tried += 1
            same += all(np.allclose(h, t, rtol=1e-4, atol=1e-5) for h, t in zip(here, there, strict=True))
        return bool(self.data) and tried > 0 and same >= 0.8 * tried

    def is_right_for_equal_weights(self) -> bool:
        """Whether the failure goes away once all sample weights are 1."""
        if self.weight_place is None:
            return False
        right = tried = 0
        for o in self._plain()[:8]:
            whole = list(o.case.args)
            whole[self.weight_place] = np.ones_like(whole[self.weight_place])
            gone = self.departure(whole)
            here = self.departure(o.case.args)
            if gone is not None and here is not None:
                tried += 1
                scale = max((np.abs(h).max(initial=0) for h in here), default=0)
                right += all(np.abs(g).max(initial=0) <= 1e-3 * scale for g in gone)
        return tried > 0 and right >= 0.8 * tried

    def hangs_on_order(self) -> bool:
        """Whether the departure changes with the order of the rows, where the exact gradient does not: rows are then
        lost or doubled by their place, whatever their gate."""
        cases = self.check.cases
        data = [i for i in cases.varying if self.rows is not None and cases.spec[i][:1] == (self.rows,)]
        several = [o.case for o in self._plain() if self.count(o) > 1][:4]
        large = [case for case in cases.large() if case.shapes in self.check.called]
        for case in (*several, *large[-2:]) if data else ():
            order = cases.rng(21).permutation(case.sizes[str(self.rows)])
            turned = tuple(a[order] if i in data else a for i, a in enumerate(case.args))
            here, there = self.departure(case.args), self.departure(turned)
            if here is None or there is None:
                continue
            exact = [[ex.to_float(g) for g in self.check.oracle(args).gradient] for args in (case.args, turned)]
            size = max(np.abs(h).max(initial=0) for h in here)
            rounding = 1e3 * np.finfo(cases.dtype).eps * max(np.abs(g).max(initial=0) for g in exact[0])
            same = all(np.allclose(g, t, rtol=1e-9, atol=1e-30) for g, t in zip(*exact, strict=True))
            if same and any(
                np.abs(h - t).max(initial=0) > 0.01 * size + rounding for h, t in zip(here, there, strict=True)
            ):
                return True
        return False

    def ratios(self) -> list[tuple[int, float]] | None:
        """manual / exact, where that is one number in each failure: (samples, ratio); else None."""
        found: list[tuple[int, float]] = []
        several = 0
        broken = 0
        for o in self.failures:
            if o.answer.kind != "smooth":
                continue
            out = np.concatenate([np.ravel(np.asarray(v, np.float64)) for v in o.outputs])
            exact = np.concatenate([np.ravel(v) for v in o.exact])
            wrong = np.concatenate([np.ravel(v) for v in o.wrong])
            if not np.isfinite(out).all() or not exact.any():
                broken += 1
                continue
            used = exact != 0
            ratio = out[used] / exact[used]
            middle = float(np.median(ratio))
            room = max(1e-9, 0.02 * abs(middle - 1))
            if np.abs(ratio - middle).max() > room or np.any(out[~used] != 0) or not wrong.any():
                broken += 1
                continue
            found.append((self.count(o), middle))
            several += self.count(o) > 1 and int(used.sum()) > 1
        one = len({round(r, 9) for _, r in found}) == 1
        if found and all(r == 0 for _, r in found):
            return None
        if found and broken <= 0.1 * (broken + len(found)) and (several >= 2 or one):
            return found
        return None

    def alike_by_size(self, ratios: Sequence[tuple[int, float]]) -> bool:
        seen: dict[int, set[float]] = {}
        for count, ratio in ratios:
            seen.setdefault(count, set()).add(round(ratio, 6))
        return all(len(s) == 1 for s in seen.values())

    def mixed(self, observation: Observation) -> bool:
        """Whether the cost's comparisons came out differently for different samples."""
        check = self.check
        steering = Steering(check.program, (), check.cases.domains, check.cases.dtype)
        return any(m.value.any() and not m.value.all() for m in steering.met(observation.case.args))

    def of_samples(self) -> str:
        """Gate, sum or residual: by what happens to one sample, and to several on one side of the kink."""
        tried = [o for o in self.check.observations if o.answer.kind == "smooth" and not o.formula]
        single = [o for o in tried if self.count(o) == 1]
        several = [o for o in tried if self.count(o) > 1 and o.case.count < 200]
        bad_single = [o for o in single if o.failed]
        bad_several = [o for o in several if o.failed and any(e.any() for e in o.exact)][:_MOST]
        if single and not bad_single:
            if not bad_several:
                return "sum"
            return "gate" if all(self.mixed(o) for o in bad_several) else "sum"
        if not any(o.failed for o in tried if o.case.ones) and any(o.case.ones for o in tried):
            return "sum"
        switched = [o for o in bad_single if _switched(o)]
        if len(switched) >= 0.8 * max(len(bad_single), 1):
            partial = [o for o in bad_several if not _switched(o) and not self.mixed(o)]
            alive = any(not o.failed and any(e.any() for e in o.exact) for o in single)
            return "sum" if len(partial) >= 2 and not alive else "gate"
        return "gate" if self._ignores_labels(bad_single or bad_several) else "residual"

    def _ignores_labels(self, failures: Sequence[Observation]) -> bool:
        """Whether manual / exact stays the same when the labels alone change: then it hangs on z alone."""
        if self.label is None:
            return False
        same = tried = 0
        for seed, o in enumerate([o for o in failures if any(e.any() for e in o.exact)][:12]):
            args = self._replaced(o.case.args, (self.label,), seed)
            try:
                answer, outputs = self.check.oracle(args), self.check.subject(args).outputs
            except (Uninterpreted, Broken):
                continue
            exact = (
                np.concatenate([np.ravel(ex.to_float(g)) for g in answer.gradient]) if answer.gradient else np.zeros(1)
            )
            before = np.concatenate([np.ravel(e) for e in o.exact])
            used = (exact != 0) & (before != 0) if exact.shape == before.shape else np.zeros(1, bool)
            if not used.any() or np.array_equal(exact, before):
                continue
            new = np.concatenate([np.ravel(v) for v in outputs])[used] / exact[used]
            old = np.concatenate([np.ravel(v) for v in o.outputs])[used] / before[used]
            tried += 1
            same += bool(np.allclose(new, old, rtol=1e-3, atol=1e-6))
        return tried > 0 and same >= 0.8 * tried


def _switched(observation: Observation) -> bool:
    """Whether, wherever it is wrong, one of manual and exact is 0 and the other is not."""
    for out, exact, wrong in zip(observation.outputs, observation.exact, observation.wrong, strict=True):
        if np.any(wrong & ((np.asarray(out) == 0) == (exact == 0))):
            return False
    return True

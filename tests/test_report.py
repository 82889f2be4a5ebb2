"""The page as a real headless browser renders it: two widths, light and dark, no request, no console error."""

import dataclasses
import html
import http.server
import json
import re
import shutil
import subprocess
import threading
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("matplotlib")
pytest.importorskip("jinja2")

import gdjax
from gdjax.errors import GdjaxError
from gdjax.report import render, write

BROWSER = shutil.which("chromium-headless-shell") or shutil.which("chromium")
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--enable-logging=stderr", "--force-device-scale-factor=1",
)  # fmt: skip
needs_browser = pytest.mark.skipif(BROWSER is None, reason="no chromium-headless-shell: apt-get install it")

NASTY = "<script>alert(1)</script> & \"air\" 'time'"


def data():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((300, 3)) * [1, 5, 0.2]
    return X, np.maximum(0, X @ [1, 0.3, -4] + 1) + 0.1 * rng.standard_normal(300)


@pytest.fixture(scope="module")
def runs():
    X, y = data()
    keys = np.array([f"N{i:03d}DN / AA" for i in np.random.default_rng(1).integers(0, 50, 300)])
    bad = y.copy()
    bad[keys == "N007DN / AA"] = np.nan
    return {
        "one": gdjax.fit(gdjax.Neuron(l2=0.001), X, y, features=[NASTY, "delay", "seats"], backend="numpy"),
        "fleet": gdjax.fit(gdjax.Neuron(), X, bad, groups=keys, min_rows=5, backend="numpy"),
        "sweep": gdjax.sweep(
            gdjax.Neuron(), X, y, learning_rate=[0.001, 0.1, 10.0], l2=[0, 1.0], steps=50, folds=3, backend="numpy"
        ),
        "diverged": gdjax.fit(gdjax.Neuron(), X, y, learning_rate=100.0, method="plain", backend="numpy"),
    }


@pytest.fixture(scope="module")
def pages(runs, tmp_path_factory):
    folder = tmp_path_factory.mktemp("pages")
    X, y = data()
    for name, run in runs.items():
        write(run, folder / f"{name}.html", data=(X, y, None) if name == "one" else None, verify=False)
    return folder


# What a script in a copy of the page sees of its layout; the page itself lets no script run.
PROBE = """
<pre id="probe"></pre><script>
const light = c => { const [r, g, b] = c.match(/[\\d.]+/g).map(v => v / 255).map(
  v => v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4); return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
const ratio = (a, b) => { const [x, y] = [light(a), light(b)].sort((p, q) => q - p); return (x + 0.05) / (y + 0.05); };
const page = getComputedStyle(document.body).backgroundColor;
const seen = [...document.querySelectorAll('h1,h2,p,dt,dd,th,td,caption,figcaption,span,svg text,svg tspan')].filter(
  e => e.textContent.trim() && e.getClientRects().length);
const colour = e => e.closest('svg') ? getComputedStyle(e).fill : getComputedStyle(e).color;
document.getElementById('probe').textContent = JSON.stringify({
  overflow: document.documentElement.scrollWidth - document.documentElement.clientWidth,
  width: document.documentElement.clientWidth,
  background: page,
  contrast: Math.min(...seen.map(e => ratio(colour(e), page))),
  worst: seen.map(e => [ratio(colour(e), page), e.tagName, e.textContent.slice(0, 30)]).sort((a, b) => a[0] - b[0])[0],
  math: [...document.querySelectorAll('math')].map(e => e.getBoundingClientRect()).map(r => [r.width, r.height]),
  pictures: [...document.querySelectorAll('[role=img]')].map(e => {
    const r = e.querySelector('svg').getBoundingClientRect();
    return [r.width, r.height, e.getAttribute('aria-label')]; }),
  headings: [...document.querySelectorAll('h1,h2')].map(e => [e.tagName, e.textContent.trim()]),
  status: document.getElementById('status').innerText,
  tone: getComputedStyle(document.querySelector('#status p')).color,
  tones: Object.fromEntries(['good', 'fair', 'bad'].map(name => [name,
    getComputedStyle(document.documentElement).getPropertyValue('--' + name)])),
  first: [...document.querySelectorAll('#models-table tbody tr')].map(
    e => e.querySelector('.good,.fair,.bad').innerText),
  names: [...document.querySelectorAll('tbody th')].map(e => {
    const text = document.createRange();
    text.selectNodeContents(e);
    return [e.textContent, new Set([...text.getClientRects()].map(r => r.top)).size]; }),
  nested: [...document.querySelectorAll('.scroll')].every(e => e.getBoundingClientRect().right <= innerWidth + 0.5),
});
</script>
"""


def browse(page: Path, folder: Path, *more: str) -> tuple[str, str]:
    """The document as rendered, and what was logged."""
    done = subprocess.run(
        [BROWSER, *FLAGS, f"--user-data-dir={folder / 'profile'}", *more, "--dump-dom", page.as_uri()],
        capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    return done.stdout, done.stderr


def probe(page: Path, folder: Path, width: int, dark: bool) -> dict:
    text = page.read_text()
    text = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", text).replace("</body>", PROBE + "</body>")
    copy = folder / f"probe-{page.stem}.html"
    copy.write_text(text)
    scheme = ("--blink-settings=preferredColorScheme=0",) if dark else ()
    dom, _ = browse(copy, folder, f"--window-size={width},2000", *scheme)
    return json.loads(html.unescape(re.search(r'<pre id="probe">(.*?)</pre>', dom, re.DOTALL)[1]))


@needs_browser
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [400, 1400])
@pytest.mark.parametrize("name", ["one", "fleet", "sweep", "diverged"])
def test_it_is_laid_out_and_legible(pages, tmp_path, name, width, dark):
    seen = probe(pages / f"{name}.html", tmp_path, width, dark)
    assert seen["width"] <= width
    assert seen["overflow"] <= 0, "the page scrolls sideways"
    assert seen["nested"]
    assert all(lines == 1 for name, lines in seen["names"] if len(name) <= 24), "a name is broken over lines"
    assert (seen["background"] == "rgb(255, 255, 255)") is not dark
    assert seen["contrast"] >= 4.5, seen["worst"]
    assert len(seen["math"]) >= 6
    assert all(w > 15 and h > 10 for w, h in seen["math"]), seen["math"]
    assert len(seen["pictures"]) == {"one": 4, "fleet": 1, "sweep": 2, "diverged": 1}[name]
    for wide, high, words in seen["pictures"]:
        assert wide > 300
        assert high > 150
        assert len(words) > 20
    assert seen["headings"][0][0] == "H1"
    assert [h for h, _ in seen["headings"]].count("H1") == 1


def test_reasons_have_a_column_where_there_are_any(runs, pages):
    assert '<th scope="col">reason</th>' in (pages / "fleet.html").read_text()
    X, y = data()
    clean = gdjax.fit(gdjax.Neuron("identity"), X, y, groups=np.arange(300) % 3, backend="numpy")
    page = render(clean, verify=False)
    assert "too few" not in page
    assert "reason</th>" not in page


def test_a_sweep_of_which_each_combination_failed_in_a_fold_has_a_page(runs):
    run = runs["sweep"]
    status = np.where(run.swept["fold"] == 0, "diverged", run.status)
    page = render(dataclasses.replace(run, status=status), verify=False)
    assert "The cost over what was swept.<" in page


def test_a_y_that_is_constant_has_no_r2():
    X = np.arange(20.0)[:, None]
    page = render(gdjax.fit(gdjax.Neuron("identity"), X, np.full(20, 7.0), backend="numpy"), verify=False)
    assert "R²" not in page
    assert "nan" not in page


def test_the_best_of_a_sweep_is_named_by_what_was_swept(runs, pages):
    run, best = runs["sweep"], runs["sweep"].best()
    rate, l2 = (run.swept[name][best] for name in ("swept_rate", "l2"))
    assert (
        f"The cost over what was swept; least at learning rate {rate:g}, l2 {l2:g}.<"
        in (pages / "sweep.html").read_text()
    )


@needs_browser
@pytest.mark.parametrize("name", ["one", "fleet", "sweep", "diverged"])
def test_nothing_is_logged_and_nothing_runs(pages, tmp_path, name):
    dom, log = browse(pages / f"{name}.html", tmp_path)
    assert "CONSOLE" not in log, log
    assert "<script" not in dom
    assert "</html>" in dom


@needs_browser
def test_the_browser_would_have_logged(tmp_path):
    """The check above can fail."""
    page = tmp_path / "bad.html"
    page.write_text(
        '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'"><img src="http://127.0.0.1:9/x">'
    )
    assert "CONSOLE" in browse(page, tmp_path)[1]


@needs_browser
def test_it_asks_for_nothing(pages, tmp_path):
    asked = []

    class Server(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *args):
            super().__init__(*args, directory=str(pages))

        def log_message(self, *args):
            asked.append(self.path)

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Server) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        subprocess.run(
            [BROWSER, *FLAGS, f"--user-data-dir={tmp_path}", "--dump-dom", f"http://127.0.0.1:{server.server_port}/fleet.html"],
            capture_output=True, timeout=60, check=True,
        )  # fmt: skip
        server.shutdown()
    assert asked == ["/fleet.html"]


@needs_browser
def test_status_in_words_and_failures_first(pages, runs, tmp_path):
    fleet = probe(pages / "fleet.html", tmp_path, 1400, dark=False)
    rank = {"converged": 2, "max_steps": 1}
    order = [rank.get(s, 0) for s in fleet["first"]]
    assert order == sorted(order)
    assert len(order) == runs["fleet"].models
    assert "of 50 too few rows, not trained" in fleet["status"]
    assert "bad data" in fleet["status"]
    one = probe(pages / "one.html", tmp_path, 1400, dark=False)
    assert one["status"].startswith("It converged: the parameters are certified")
    diverged = probe(pages / "diverged.html", tmp_path, 1400, dark=False)
    assert "It diverged" in diverged["status"]
    assert "largest stable learning_rate" in diverged["status"]


TONES = {
    "good": {"converged": 97},
    "fair": {"converged": 97, "too_few_rows": 2, "dead": 1},
    "fair, none certified": {"max_steps": 5},
    "fair, half of them": {"converged": 1, "bad_data": 1},
    "bad": {"converged": 3, "dead": 2, "diverged": 2},
}


@needs_browser
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("case", TONES)
def test_the_tone_of_a_fleet_is_that_of_most_of_it(tmp_path, case, dark):
    status = np.repeat(list(TONES[case]), list(TONES[case].values()))
    keys = np.repeat(np.arange(len(status)), 3)
    run = gdjax.fit(gdjax.Neuron("identity"), keys[:, None] % 2, keys, groups=keys, steps=1, backend="numpy")
    write(dataclasses.replace(run, status=status), tmp_path / "page.html", verify=False)
    seen = probe(tmp_path / "page.html", tmp_path, 1000, dark)
    red, green, blue = (int(seen["tones"][case.partition(",")[0]].strip()[i : i + 2], 16) for i in (1, 3, 5))
    assert seen["tone"] == f"rgb({red}, {green}, {blue})"


class Balance(HTMLParser):
    """Tags that are opened and closed in order."""

    VOID = {"meta", "link", "br", "img"}

    def __init__(self) -> None:
        super().__init__()
        self.open, self.ids = [], []

    def handle_starttag(self, tag, attrs):
        self.ids += [v for k, v in attrs if k == "id"]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


@pytest.mark.parametrize("name", ["one", "fleet", "sweep"])
def test_the_markup_is_balanced_and_ids_are_unique(pages, name):
    parser = Balance()
    parser.feed((pages / f"{name}.html").read_text())
    assert not parser.open
    assert len(parser.ids) == len(set(parser.ids))


def test_what_the_user_named_is_escaped(pages):
    text = (pages / "one.html").read_text()
    assert "<script" not in text
    assert html.escape(NASTY, quote=False).replace('"', "&#34;").replace("'", "&#39;") in text


def test_the_command_makes_the_run_again(runs, pages):
    X, y = data()
    for name in ("one", "sweep", "diverged"):
        text = re.search(r'<pre id="command"><code>(.*?)</code>', (pages / f"{name}.html").read_text(), re.DOTALL)[1]
        again = eval(html.unescape(text), {"gdjax": gdjax, "X": X, "y": y})
        np.testing.assert_array_equal(again.weights, runs[name].weights)
        np.testing.assert_array_equal(again.cost, runs[name].cost)


def halved(p, y):
    return (p - y) ** 2 / 2


MADE = {
    "huber(0.5)": lambda X, y: gdjax.fit(
        gdjax.Neuron("relu", gdjax.losses.huber(0.5), l2=1 / 3), X, y, backend="numpy"
    ),
    "leaky_relu(0.1)": lambda X, y: gdjax.fit(
        gdjax.Neuron(gdjax.activations.leaky_relu(0.1), l1=1 / 7), X, y, backend="numpy"
    ),
    "a loss of one's own": lambda X, y: gdjax.fit(
        gdjax.Neuron("identity", gdjax.losses.custom("mine", halved, lambda p, y: p - y)), X, y, backend="numpy"
    ),
    "a schedule": lambda X, y: gdjax.fit(
        gdjax.Neuron(),
        X,
        y,
        learning_rate=gdjax.schedules.cosine(steps=70, floor=1 / 3),
        steps=50,
        backend="numpy",
    ),
    "a sweep under a schedule": lambda X, y: gdjax.sweep(
        gdjax.Neuron(), X, y, learning_rate=gdjax.schedules.step(every=9), l2=[1.0, 0.1], steps=50, backend="numpy"
    ),
    "rates of both kinds": lambda X, y: gdjax.sweep(
        gdjax.Neuron(), X, y, learning_rate=[0.1, "auto", 0.01], l2=[1.0, 0.1], backend="numpy"
    ),
}


@pytest.mark.parametrize("what", MADE)
@pytest.mark.parametrize("saved", [False, True])
def test_the_command_has_each_parameter_to_the_last_digit(what, saved, tmp_path):
    X, y = data()
    run = MADE[what](X, y)
    if saved:
        run.save(tmp_path / "run")
        run = gdjax.load(tmp_path / "run", run.neuron)
    text = re.search(r'<pre id="command"><code>(.*?)</code>', render(run, verify=False), re.DOTALL)[1]
    mine = gdjax.losses.custom("mine", halved, lambda p, y: p - y)
    again = eval(html.unescape(text), {"gdjax": gdjax, "X": X, "y": y, "mine": mine})
    np.testing.assert_array_equal(again.weights, run.weights)
    np.testing.assert_array_equal(again.cost, run.cost)


def test_a_page_of_a_fleet_that_failed_in_part_warns_of_nothing(runs):
    X, y = data()
    keys = np.array([f"N{i:03d}DN / AA" for i in np.random.default_rng(1).integers(0, 50, 300)])
    assert np.isin(runs["fleet"].status, ["bad_data", "too_few_rows"]).any()
    page = render(runs["fleet"], data=(X, y, keys), verify=False)  # warnings are errors
    assert "What the fit leaves unexplained." in page


def test_a_sweep_without_folds_shows_none(runs):
    X, y = data()
    plain = render(gdjax.sweep(gdjax.Neuron(), X, y, l2=[0, 1.0], steps=9, backend="numpy"), verify=False)
    assert "<th>fold" not in re.sub(r"<th[^>]*>", "<th>", plain)
    with_folds = re.sub(r"<t([hd])[^>]*>", r"<t\1>", render(runs["sweep"], verify=False))
    assert "<th>fold" in with_folds
    assert with_folds.count("none left out") == 6  # each combination's neuron on all rows
    assert "<td>-1<" not in with_folds


def test_a_neuron_without_a_step_has_no_rate():
    X, y = data()
    page = render(gdjax.fit(gdjax.Neuron(), X, -1 - np.abs(y), backend="numpy"), verify=False)
    assert "It is dead" in page
    assert "nan" not in re.sub(r"<svg.*?</svg>", "", page, flags=re.DOTALL)


def test_the_same_run_gives_the_same_page(runs):
    assert render(runs["one"], verify=False) == render(runs["one"], verify=False)


def test_a_saved_run_has_the_same_page(runs, tmp_path):
    runs["fleet"].save(tmp_path / "run")
    assert render(gdjax.load(tmp_path / "run"), verify=False) == render(runs["fleet"], verify=False)


def test_the_verdict_of_the_verification_is_told(runs, tmp_path):
    runs["one"].report(tmp_path / "page.html")
    assert "The hand-derived gradient passed" in (tmp_path / "page.html").read_text()


def test_a_path_that_cannot_be_written_is_one_line(runs, tmp_path):
    with pytest.raises(GdjaxError) as caught:
        write(runs["one"], tmp_path / "no such folder" / "page.html", verify=False)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "neuron",
    [
        gdjax.Neuron("sigmoid", "log_loss"), gdjax.Neuron("exp", "poisson"),
        gdjax.Neuron("leaky_relu", "huber", l1=0.1),
        gdjax.Neuron("tanh", "absolute_error", bias=False), gdjax.Neuron("softplus"), gdjax.Neuron("identity"),
    ],
)  # fmt: skip
def test_every_formula_is_well_formed(neuron):
    from xml.etree import ElementTree

    from gdjax.report.mathml import formulas

    shown = formulas(neuron)
    for _, math in shown:
        assert ElementTree.fromstring(math).tag == "math"
    assert any("∂" in math for _, math in shown)

"""The report of worlds whose datamodels are known, read as a browser would."""

import math
import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest

from subtrain import Datamodels, Study
from subtrain.errors import InputError
from subtrain.evaluation import evaluate
from subtrain.explorer.report import write_report
from subtrain.studies.imports.arrays import import_arrays
from subtrain.tasks import View
from subtrain.tasks.base import Source
from worlds import linear, weights

N, TARGETS = 20, 3
NASTY = '"><script>alert(1)</script><img src=x onerror=alert(2)>'
VOID = {"meta", "link", "img", "br"}


class Page(HTMLParser):
    """Every tag with its attributes, the text outside <style>, and the text below each id."""

    def __init__(self, path):
        super().__init__(convert_charrefs=True)
        self.source = path.read_text(encoding="utf-8")
        self.tags, self.text, self.below, self.open = [], "", {}, []
        self.feed(self.source)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.handle_data(" ")
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append((tag, dict(attrs).get("id")))

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        while self.open and self.open.pop()[0] != tag:
            pass

    def handle_data(self, data):
        if any(tag == "style" for tag, _ in self.open):
            return
        self.text += data
        for _, name in self.open:
            if name:
                self.below[name] = self.below.get(name, "") + data

    def all(self, tag):
        return [attributes for name, attributes in self.tags if name == tag]

    def words(self, below=None):
        return " ".join((self.text if below is None else self.below[below]).split())

    def card(self, target):
        """The target's text, and the numbers of the units it names: helpful ones, harmful ones."""
        text = self.words(f"target-{target}")
        up, down = text.index("Most helpful"), text.index("Most harmful")
        return text, *([int(u) for u in re.findall(r"#(\d+)", part)] for part in (text[up:down], text[down:]))


def pictured(n=N, targets=TARGETS):
    random = np.random.default_rng(3)
    return View(
        images={s: random.integers(0, 256, (k, 8, 8), np.uint8) for s, k in (("train", n), ("test", targets))},
        labels={"train": [str(i % 4) for i in range(n)], "test": [str(i % 2) for i in range(targets)]},
    )


def true_datamodels(n=N, targets=TARGETS, **meta):
    weight, bias = weights(n, targets)
    return Datamodels(weight.astype(np.float32), bias, np.full(targets, 0.01), {"output": "test_margins"} | meta)


@pytest.fixture
def world(make_study):
    """world(view, **how): a noisy study of the linear world with this view, its true datamodels and evaluation."""

    def make(view=None, noise=0.3, n=N, targets=TARGETS, **how):
        task = replace(linear(n, targets, noise), view=view)
        study = make_study(task=task, **({"heldout": 12, "replicates": 3} | how))
        dm = true_datamodels(n, targets)
        return study, dm, evaluate(dm, study, bootstrap=50)

    return make


def test_planted_units_come_first(world, tmp_path):
    study, dm, evaluation = world(pictured())
    page = Page(write_report(study, dm, evaluation, tmp_path / "r.html", k=4))
    for target in range(TARGETS):
        weight = dm.weight[:, target]
        text, helpful, harmful = page.card(target)
        order = np.argsort(weight)
        assert helpful == [u for u in order[::-1][:4] if weight[u] > 0]
        assert harmful == [u for u in order[:4] if weight[u] < 0]
        assert f"{weight.min():.2f}".replace("-", "−") in text
        assert f"{weight.max():+.2f}" in text or "No training image has a positive weight." in text
        assert f"{evaluation.per_target['lds'][target]:.3f}" in text
        assert f"{evaluation.per_target['lds_ceiling'][target]:.3f}" in text


def test_key_figures_are_the_evaluation_s(world, tmp_path):
    study, dm, evaluation = world(pictured())
    words = Page(write_report(study, dm, evaluation, tmp_path / "r.html")).words()
    margins = study.read("test_margins", study.done("evaluation"))
    assert f"Accuracy of the models {100 * np.mean(margins > 0):.1f}%" in words
    assert f"95% interval {evaluation.lds.low:.3f} to {evaluation.lds.high:.3f}".replace("-", "−") in words
    for value in (evaluation.lds.value, evaluation.lds_ceiling, evaluation.lds_one.value, evaluation.lds_one_ceiling):
        assert f"{value:.3f}" in words
    assert f"Spearman {evaluation.pooled_spearman:.3f}" in words
    assert "12 held-out subsets × 3 runs" in words
    assert "nan" not in words.lower()


def test_nothing_is_fetched_and_nothing_runs(world, tmp_path):
    page = Page(write_report(*world(pictured()), tmp_path / "r.html"))
    assert "http:" not in page.source
    assert "https:" not in page.source
    assert not {"script", "iframe", "object", "embed", "base", "form"} & {tag for tag, _ in page.tags}
    for _, attributes in page.tags:
        assert not [name for name in attributes if name.startswith("on")]
        for name in ("src", "href", "xlink:href", "srcset", "action"):
            assert attributes.get(name, "#").startswith(("#", "data:"))
    assert all(where.startswith("#") for where in re.findall(r"url\(([^)]*)\)", page.source))
    assert "@import" not in page.source
    policies = [m["content"] for m in page.all("meta") if m.get("http-equiv") == "Content-Security-Policy"]
    assert policies == ["default-src 'none'; img-src data:; style-src 'unsafe-inline'"]


def test_every_picture_has_words_and_every_id_is_one(world, tmp_path):
    page = Page(write_report(*world(pictured()), tmp_path / "r.html"))
    pictures = page.all("img")
    assert len(pictures) > 2 * TARGETS
    assert all(picture["alt"] for picture in pictures)
    assert any("label" in picture["alt"] for picture in pictures)
    assert all(svg["role"] == "img" and svg["aria-label"] for svg in page.all("svg"))
    assert len(page.all("svg")) == 3 + TARGETS
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    inside = [a["href"] for _, a in page.tags if a.get("href", "").startswith("#")]
    inside += re.findall(r"url\((#[^)]*)\)", page.source)
    assert {name.removeprefix("#") for name in inside} <= set(ids)


def test_data_stays_text(world, tmp_path):
    view = View(
        labels={"train": [NASTY] * N, "test": [NASTY] * TARGETS},
        texts={"train": [f"train {NASTY}"] * N, "test": [f"test {NASTY}"] * TARGETS},
    )
    study, dm, evaluation = world(view, name="<b>study & co")
    dm = replace(dm, meta=dict(dm.meta) | {"remark": NASTY})
    page = Page(
        write_report(study, dm, evaluation, tmp_path / "r.html", notes=[(NASTY, evaluation), ("x", evaluation)])
    )
    assert not page.all("script")
    assert not page.all("img")
    assert not [a for _, a in page.tags if "onerror" in a]
    assert f"train {NASTY}" in page.text
    assert f"test {NASTY}" in page.text
    assert "<b>study & co" in page.text
    assert page.words().count(NASTY) >= 4


def test_other_evaluations_stand_beside_their_ceilings(world, tmp_path):
    study, dm, calm = world(pictured(), noise=0.01)
    _, _, noisy = world(pictured(), noise=4.0, name="noisy")
    notes = [("one start", calm), ("own starts", noisy)]
    words = Page(write_report(study, dm, calm, tmp_path / "r.html", notes=notes)).words("table-comparison")
    for evaluation in (calm, noisy):
        for value in (evaluation.lds, evaluation.lds_one):
            assert f"{value.value:.3f}" in words
        assert f"{evaluation.lds_ceiling:.3f}" in words
        assert f"{evaluation.lds_one_ceiling:.3f}" in words
    assert "one start (this report)" in words
    both = Page(write_report(study, dm, calm, tmp_path / "r.html", notes=notes)).words()
    assert "Seed noise, not a bad datamodel, limits “own starts”" in both
    alone = Page(write_report(study, dm, calm, tmp_path / "r.html", notes=notes[:1]))
    assert "table-comparison" not in alone.below


def test_a_bad_datamodel_is_not_excused_by_noise(world, tmp_path):
    study, dm, _ = world(noise=1.0)
    poor = replace(dm, weight=np.roll(dm.weight, 7, axis=0))
    judged = evaluate(poor, study, bootstrap=10)
    assert judged.lds_one_ceiling < 0.95
    words = Page(write_report(study, poor, judged, tmp_path / "r.html", notes=[("a", judged), ("b", judged)])).words()
    assert "Seed noise, not a bad datamodel" not in words
    calm, dm, exact = world(noise=0.01, name="calm")
    words = Page(write_report(calm, dm, exact, tmp_path / "r.html", notes=[("a", exact), ("b", exact)])).words()
    assert "Seed noise, not a bad datamodel" not in words


def test_a_study_of_bare_arrays(tmp_path):
    random = np.random.default_rng(0)
    masks = random.random((60, N)) < 0.5
    weight, bias = weights(N, TARGETS)
    study = import_arrays(tmp_path / "s", masks, {"anything": (masks @ weight + bias).astype(np.float32)}, heldout=20)
    dm = true_datamodels(output="anything")
    page = Page(write_report(study, dm, evaluate(dm, study, bootstrap=10), tmp_path / "r.html"))
    assert not page.all("img")
    best = int(np.argmax(dm.weight[:, 2]))
    text = page.words("target-2")
    assert re.search(r"training example (\d+)", text)[1] == str(best)
    assert "Raise it most" in text
    assert "Accuracy" not in page.words()
    assert "each held-out subset was trained only once" in page.words()
    assert "made elsewhere and imported" in page.words()
    assert "nan" not in page.words().lower()


def test_a_task_that_cannot_be_made_again(world, tmp_path):
    study, dm, evaluation = world(pictured())
    lost = replace(Study.open(study.path), source=Source("no_such_module:task"))
    page = Page(write_report(lost, dm, evaluation, tmp_path / "r.html"))
    assert page.all("img"), "pictures are the study's, not the code's"
    assert "could not be made" not in page.words()


def test_groups_are_shown_by_number(make_study, tmp_path):
    task = replace(linear(2 * N, TARGETS), view=pictured(2 * N))
    study = make_study(task=task, groups=tuple(i // 2 for i in range(2 * N)), heldout=12)
    weight, bias = weights(2 * N, TARGETS)
    units = (weight[0::2] + weight[1::2]).astype(np.float32)
    dm = Datamodels(units, bias, np.zeros(TARGETS), {"output": "test_margins"})
    page = Page(write_report(study, dm, evaluate(dm, study, bootstrap=0), tmp_path / "r.html"))
    text = page.words("target-0")
    assert re.search(r"group (\d+)", text)[1] == str(int(np.argmax(units[:, 0])))
    assert "2 examples" in text
    assert "groups.npy" in page.words()


def test_a_training_target_says_which_unit_is_itself(make_study, tmp_path):
    study = make_study(task=replace(linear(N, TARGETS), view=pictured()), heldout=12)
    dm = Datamodels(np.eye(N, dtype=np.float32), np.zeros(N), np.zeros(N), {"output": "train_margins"})
    page = Page(write_report(study, dm, evaluate(dm, study, bootstrap=0), tmp_path / "r.html", targets=[5]))
    assert "+1.00 itself" in page.words("target-5")
    assert "No training image has a negative weight." in page.words("target-5")


def test_chosen_targets_and_wrong_ones(world, tmp_path):
    study, dm, evaluation = world(pictured())
    path = tmp_path / "r.html"
    page = Page(write_report(study, dm, evaluation, path, targets=[2, 0, 2]))
    assert [a["id"] for a in page.all("article")] == ["target-2", "target-0"]
    before = path.read_bytes()
    for wrong, say in (
        ({"targets": [3]}, "no target 3"),
        ({"targets": [-1]}, "no target -1"),
        ({"k": 0}, "k must be 1"),
        ({"dm": true_datamodels(targets=4)}, "4 targets"),
        ({"dm": true_datamodels(n=21)}, "over 21 units"),
        ({"evaluation": replace(evaluation, output="other")}, "output 'other'"),
    ):
        arguments = {"study": study, "dm": dm, "evaluation": evaluation, "path": path} | wrong
        with pytest.raises(InputError, match=say):
            write_report(**arguments)
    assert path.read_bytes() == before


def test_the_same_study_gives_the_same_page(world, tmp_path):
    study, dm, evaluation = world(pictured())
    pages = [write_report(study, dm, evaluation, tmp_path / f"{i}.html").read_text() for i in range(2)]
    timeless = [re.sub(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC", "", page) for page in pages]
    assert timeless[0] == timeless[1]


def test_targets_that_never_vary(world, tmp_path):
    study, _, _ = world(noise=0.0)
    flat = Datamodels(np.zeros((N, N), np.float32), np.zeros(N), np.zeros(N), {"output": "train_margins"})
    judged = evaluate(flat, study, bootstrap=10)
    each = dict(judged.per_target) | {"lds": np.full(N, math.nan), "lds_ceiling": np.full(N, math.nan)}
    nothing = replace(judged, per_target=each, lds=replace(judged.lds, value=math.nan), lds_ceiling=math.nan)
    page = Page(write_report(study, flat, nothing, tmp_path / "r.html"))
    assert "no LDS: its output never varied" in page.words("target-0")
    assert "nan" not in page.words().lower()

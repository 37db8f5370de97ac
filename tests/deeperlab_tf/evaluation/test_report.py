import dataclasses
import json
import re
import shutil
import subprocess

import numpy as np
import pytest

from deeperlab_tf.evaluation.report import write_report
from deeperlab_tf.evaluation.report.scores import image_scores, quality_by_size
from deeperlab_tf.evaluation.results import Evaluation, ScoredImage
from deeperlab_tf.metrics.overlaps import overlap_table
from deeperlab_tf.prediction.parsing import Parsing

EVIL = '<img src=x onerror="document.title=1">&'


@pytest.fixture
def evaluation(toy_dataset):
    """Six images of two discs, their parses shifted more and more; a class and the images have HTML
    in their names.
    """
    categories = list(toy_dataset.categories)
    categories[1] = dataclasses.replace(categories[1], name=EVIL)
    dataset = dataclasses.replace(toy_dataset, categories=tuple(categories))

    def maps(shift):
        semantic = np.zeros((60, 90), np.int32)
        semantic[40:] = 1
        semantic[5:25, 5:25], semantic[10:50, 40:80] = 2, 2
        instance = np.where(semantic == 2, 1, 0)
        instance[:, 40:] *= 2
        return np.roll(semantic, shift, 1), np.roll(instance, shift, 1)

    def load(number):
        semantic, instance = maps(0)
        parse = Parsing.from_maps(*maps(3 * number), dataset, scores=[0.9, 0.8])
        image = np.full((60, 90, 3), 20 * number, np.uint8)
        truth = Parsing.from_maps(semantic, instance, dataset)
        return ScoredImage(image, truth, parse, np.zeros((60, 90), bool))

    evaluation = Evaluation.of(dataset, load)
    for number in range(6):
        truth, parse = maps(0), maps(3 * number)
        evaluation.add(f"{EVIL}{number}", overlap_table(*truth, *parse, num_classes=4))
        evaluation.instance_ap.update(*truth, *parse, scores=[0.9, 0.8])
    return evaluation


@pytest.fixture
def page(evaluation, tmp_path):
    path = tmp_path / "report.html"
    write_report(str(path), evaluation, evaluation.result())
    return path


@pytest.mark.both_stacks
def test_page_is_self_contained_and_names_are_escaped(page):
    text = page.read_text()
    assert "<img src=x" not in text
    names = json.loads(re.search(r'id="names">(.*?)</script>', text, re.S).group(1))
    assert [EVIL, ""] in names["image5"]["truth"] and ["disc", "0.80"] in names["image5"]["parse"]
    assert not re.findall(r'(?:src|href)="(?!data:|#)', text)
    assert "http" not in text


def test_images_are_ordered_by_their_own_score(evaluation, page):
    scores = image_scores(evaluation)
    assert scores[0] == 1.0 and scores == sorted(scores, reverse=True)
    shown = re.findall(r'data-names="image(\d)"', page.read_text())
    assert shown == ["5", "4", "3", "0", "1", "2"]


def test_sizes_share_out_all_things(evaluation):
    by_size = dict(quality_by_size(evaluation))
    counts = {
        name: [sum(c[key] for c in r["per_class"][2:]) for key in ("tp", "fp", "fn")]
        for name, r in by_size.items()
    }
    whole = evaluation.result()["per_class"][2:]
    assert np.sum(list(counts.values()), axis=0).tolist() == [
        sum(c[k] for c in whole) for k in ("tp", "fp", "fn")
    ]
    assert counts["large"] == [0, 0, 0] and np.isnan(by_size["large"]["pq"])


def test_numbers_in_the_page_are_those_of_the_result(evaluation, page):
    result = evaluation.result()
    text = re.sub("<[^>]*>", " ", page.read_text())
    for label, key in (("PQ", "pq"), ("PC", "pc"), ("mIoU", "miou"), ("AP of instances", "ap")):
        assert re.search(rf"{label} +{100 * result[key]:.1f} ", text)
    things = " +".join(
        f"{100 * result[key]:.1f}" for key in ("pq_things", "sq_things", "rq_things")
    )
    assert re.search(rf"Things +{things} +{result['num_classes_things']} ", text)
    disc = result["per_class"][2]
    assert re.search(
        rf"disc +thing +{100 * disc['pq']:.1f} .* {disc['tp']} +{disc['fp']} +{disc['fn']} ", text
    )


def test_images_of_void_alone_come_last_and_no_photo_is_no_problem(evaluation, tmp_path):
    load = evaluation.load
    evaluation.load = lambda number: load(number)._replace(image=None)
    void, zeros = np.full((60, 90), 255), np.zeros((60, 90), int)
    evaluation.add("void", overlap_table(void, zeros, void, zeros, num_classes=4))
    assert np.isnan(image_scores(evaluation)[-1])
    write_report(str(tmp_path / "report.html"), evaluation, evaluation.result())
    assert 'data-layer="Image"' not in (tmp_path / "report.html").read_text()


DRIVE = """
<script>
addEventListener("load", async () => {
  const seen = {};
  const table = document.querySelector("table.sortable");
  const button = table.tHead.rows[0].cells[2].firstChild;
  const order = () => [...table.tBodies[0].rows].map((row) => row.cells[2].dataset.value);
  button.focus();
  seen.focus = document.activeElement === button;
  button.click();
  seen.descending = order();
  button.click();
  seen.ascending = order();
  seen.sort = button.parentElement.getAttribute("aria-sort");
  const figure = document.querySelector("figure");
  const images = [...figure.querySelectorAll("img")];
  const layers = (shown) => [...shown].map((image) => image.dataset.layer);
  const visible = () => layers(images.filter((image) => image.offsetHeight > 0));
  seen.first = visible();
  figure.querySelector("input[value=Truth]").click();
  seen.second = visible();
  document.dispatchEvent(new KeyboardEvent("keydown", { key: "3", bubbles: true }));
  seen.third = visible();
  seen.chosen = [...document.querySelectorAll("input:checked")].map((input) => input.value);
  document.querySelector(".all input[value=Truth]").click();
  seen.fourth = layers(document.querySelectorAll("figure img:not([hidden])"));
  figure.querySelector("input[value=Truth]").focus();
  seen.radio = document.activeElement.value;
  const picture = figure.querySelector(".picture");
  const box = picture.getBoundingClientRect();
  const move = () => picture.dispatchEvent(new PointerEvent("pointermove", {
    bubbles: true, clientX: box.left + box.width * 0.65, clientY: box.top + box.height * 0.5 }));
  move();
  for (let wait = 0; wait < 50 && tip.style.display !== "block"; wait++) {
    await new Promise((done) => setTimeout(done, 20));
    move();
  }
  seen.tip = tip.textContent;
  const shade = async () => {
    const found = () => picture.querySelector("canvas");
    for (let wait = 0; wait < 50 && !found(); wait++) {
      await new Promise((done) => setTimeout(done, 20));
    }
    const canvas = found();
    const pixels = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
    const alpha = pixels.filter((_, at) => at % 4 === 3);
    return alpha.filter((value) => value === 0).length / alpha.length;
  };
  seen.lit = await shade();
  document.dispatchEvent(new PointerEvent("pointermove", { bubbles: true }));
  seen.dark = picture.querySelector("canvas") === null;
  figure.querySelector("details").open = true;
  figure.querySelectorAll("li")[1].focus();
  seen.listed = figure.querySelectorAll("li")[1].textContent;
  seen.litByList = await shade();
  seen.overflow = document.documentElement.scrollWidth > innerWidth;
  seen.title = document.title;
  document.body.innerHTML = "<pre>" + JSON.stringify(seen) + "</pre>";
});
</script>
"""


@pytest.mark.slow
@pytest.mark.parametrize("width", [390, 1200])
def test_page_works_in_a_browser(page, width):
    browser = (
        shutil.which("chromium")
        or shutil.which("chromium-browser")
        or shutil.which("google-chrome")
    )
    if browser is None:
        pytest.skip("no chromium: apt-get install chromium")
    page.write_text(page.read_text().replace("</body>", DRIVE + "</body>"))
    command = [
        browser,
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--dump-dom",
        "--virtual-time-budget=5000",
    ]
    size = f"--window-size={width},800"
    done = subprocess.run(
        [*command, size, page.as_uri()], capture_output=True, text=True, timeout=120, check=True
    )
    seen = json.loads(re.search(r"<pre>(.*?)</pre>", done.stdout, re.S).group(1))
    assert seen["focus"] and seen["sort"] == "ascending"
    numbers = [float(value) for value in seen["ascending"] if value]
    assert len(numbers) == 3 and numbers == sorted(numbers)
    assert seen["descending"] == [*seen["ascending"][:3][::-1], ""]
    assert seen["first"] == ["Parse"] and seen["second"] == ["Truth"]
    assert (
        seen["third"] == ["Errors"]
        and set(seen["chosen"]) == {"Errors"}
        and len(seen["chosen"]) == 7
    )
    assert seen["fourth"] == ["Truth"] * 6 and seen["radio"] == "Truth"
    assert seen["tip"] == "parse: disc 0.80\ntruth: disc"
    # The large disc of the truth.
    assert seen["lit"] == pytest.approx(40 * 40 / (60 * 90), abs=0.01) and seen["dark"]
    assert seen["listed"] == "disc 0.8029.6 %" and seen["litByList"] == pytest.approx(
        0.296, abs=0.01
    )
    assert not seen["overflow"] and seen["title"] == "Evaluation on toy"

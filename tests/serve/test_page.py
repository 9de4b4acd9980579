"""The page in a browser: what is drawn, heard and asked, and what a file name cannot do."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from posewright.cli.demo import CLIP
from posewright.writers import FORMATS
from tests.helpers.browser import Visit, browser, need_browser
from tests.helpers.serving import OTHER, TOKEN, need_server, people, started

need_server()
CHROMIUM = need_browser()

EVIL = "<img src=x onerror=alert(1)>.jpg"
Open = Callable[..., Visit]


@pytest.fixture(scope="module")
def opened() -> Iterator[Open]:
    with browser(CHROMIUM) as found:
        yield found


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with started(cwd=tmp_path_factory.mktemp("served")) as (found, _):
        yield found


@pytest.fixture
def visit(opened: Open, address: str) -> Iterator[Visit]:
    found = opened(viewport={"width": 1280, "height": 860})
    found.page.goto(address)
    yield found
    found.page.close()
    assert found.wrong == []
    assert {url.split("/")[2] for url in found.asked if url.startswith("http")} == {
        address.removeprefix("http://")
    }


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight frames of the demo's clip at a third of its size."""
    path = tmp_path_factory.mktemp("clip") / "walk & <b>run.mp4"
    return film(path, "libx264")


def film(path: Path, codec: str) -> Path:
    with av.open(str(CLIP)) as given, av.open(str(path), "w") as made:
        out = made.add_stream(codec, rate=10)
        out.width, out.height, out.pix_fmt = 360, 640, "yuv420p"
        for frame, number in zip(given.decode(video=0), range(8), strict=False):
            small = frame.reformat(360, 640, "yuv420p")
            small.pts, small.time_base = number, Fraction(1, 10)
            made.mux(out.encode(small))
        made.mux(out.encode())
    return path


def image(name: str = "people.jpg", number: int = 0) -> dict[str, Any]:
    return {"name": name, "mimeType": "image/jpeg", "buffer": people(number)}


def ask(visit: Visit, path: str, **options: Any) -> Any:
    return visit.page.request.fetch(f"{visit.page.url.split('#')[0]}{path}", **options).json()


ALPHA = """points => {
  const canvas = document.getElementById("canvas"), pen = canvas.getContext("2d");
  const at = ([x, y]) => pen.getImageData(x * canvas.width, y * canvas.height, 1, 1).data[3];
  return points.map(at);
}"""


def shares(row: dict[str, Any], least: float) -> list[list[float]]:
    """Joints of at least this score in shares of the image, those at its border left out."""
    width, height = row["size"]
    joints = [joint for person in row["people"] for joint in person["keypoints"]]
    found = [[x / width, y / height] for x, y, score in joints if score >= least]
    return [place for place in found if all(0.005 < share < 0.995 for share in place)]


def drawn(visit: Visit, row: dict[str, Any], least: float = 0.2) -> bool:
    """Whether each joint of a row is drawn where it is."""
    places = shares(row, least)
    return len(places) > 20 and min(visit.page.evaluate(ALPHA, places)) > 200


def row_of(visit: Visit, number: int = 0) -> Any:
    form = {"image": image(number=number)}
    return ask(visit, "v1/pose", method="POST", multipart=form)


def show_images(visit: Visit, *files: dict[str, Any]) -> None:
    visit.page.set_input_files("#files", list(files))
    visit.until(f"document.querySelectorAll('#strip .count:not(:empty)').length === {len(files)}")


def test_joints_are_drawn_where_they_are(visit: Visit) -> None:
    row = row_of(visit)
    show_images(visit, image())
    assert drawn(visit, row)
    assert visit.page.evaluate(ALPHA, [[0.99, 0.01], [0.5, 0.02]]) == [0, 0]
    box = visit.page.locator("#frame").bounding_box()
    places = shares(row, 0.2)
    before = pixels(visit, box, places)
    visit.page.uncheck("#skeletons")
    visit.page.uncheck("#ids")
    assert max(visit.page.evaluate(ALPHA, places)) == 0
    changed = np.abs(before - pixels(visit, box, places)).max(1)
    assert (changed > 20).mean() > 0.9  # what the visitor sees, not what the canvas says


def pixels(visit: Visit, box: Any, places: list[list[float]]) -> Any:
    """The colours on the screen at places in shares of the frame, (N, 3)."""
    import cv2

    shot = np.frombuffer(visit.page.screenshot(clip=box), np.uint8)
    screen = cv2.imdecode(shot, cv2.IMREAD_COLOR).astype(int)
    height, width = screen.shape[:2]
    return np.array([screen[int(y * height), int(x * width)] for x, y in places])


def test_people_and_joints_are_hidden_as_chosen(visit: Visit) -> None:
    row = row_of(visit)
    show_images(visit, image())
    visit.page.uncheck("#ids")
    visit.page.locator("#least").fill("0.8")
    kept = shares(row, 0.8)
    assert min(visit.page.evaluate(ALPHA, kept)) > 200
    assert 0 in visit.page.evaluate(ALPHA, shares(row, 0.2))
    visit.page.locator("#least").fill("0.2")
    visit.page.get_by_label("Show person 1", exact=True).uncheck()
    first = {**row, "people": row["people"][:1]}
    assert 0 in visit.page.evaluate(ALPHA, shares(first, 0.2))
    visit.page.click("#everybody")
    assert drawn(visit, row)


def test_a_name_with_markup_is_text(visit: Visit) -> None:
    show_images(visit, image(EVIL), image("b.jpg", 40))
    assert visit.page.inner_text("#name") == EVIL
    assert visit.page.evaluate("document.querySelectorAll('[onerror], img[src=x]').length") == 0
    assert EVIL in (visit.page.get_attribute("#canvas", "aria-label") or "")


def test_no_script_but_those_of_the_page(visit: Visit) -> None:
    policy = visit.page.request.get(visit.page.url).headers["content-security-policy"]
    assert "script-src 'self';" in policy and "unsafe" not in policy
    add = """() => {
      const script = document.createElement("script");
      try { script.textContent = "window.hurt = 1"; document.body.append(script); } catch {}
      try { document.body.insertAdjacentHTML("beforeend", "<i>hurt</i>"); } catch {}
      return [window.hurt ?? null, document.querySelectorAll("i").length];
    }"""
    assert visit.page.evaluate(add) == [None, 0]
    assert visit.wrong
    visit.wrong.clear()


def test_the_keyboard_is_enough(visit: Visit) -> None:
    page = visit.page
    page.on("filechooser", lambda at: at.set_files([image("a2.jpg"), image("a10.jpg", 40)]))
    for name in ("Skip to the content", "Look", "Jobs", "API", "Choose files"):
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.innerText").strip().startswith(name)
    page.keyboard.press("Enter")
    visit.until("document.querySelectorAll('#strip .count:not(:empty)').length === 2")
    page.focus("#frame")
    assert page.inner_text("#name") == "a2.jpg"  # 2 before 10
    page.keyboard.press("ArrowRight")
    assert page.inner_text("#name") == "a10.jpg"
    unnamed = """[...document.querySelectorAll("button, input, select, canvas")].filter(
      (each) => !(each.innerText?.trim() || each.getAttribute("aria-label") || each.labels?.length)
    ).map((each) => each.id)"""
    assert page.evaluate(unnamed) == []


def test_dropped_files(visit: Visit) -> None:
    make = """async (bytes) => {
      const data = new DataTransfer();
      data.items.add(new File([new Uint8Array(bytes)], "dropped.jpg", { type: "image/jpeg" }));
      return data;
    }"""
    data = visit.page.evaluate_handle(make, list(people()))
    visit.page.dispatch_event("#drop", "drop", {"dataTransfer": data})
    visit.until("document.querySelector('#people li')")
    assert visit.page.inner_text("#name") == "dropped.jpg"


def test_a_folder(visit: Visit, tmp_path: Path) -> None:
    for number in (0, 40):
        (tmp_path / f"f{number}.jpg").write_bytes(people(number))
    (tmp_path / "notes.txt").write_text("no image")
    visit.page.set_input_files("#folder", tmp_path)
    visit.until("document.querySelectorAll('#strip .count:not(:empty)').length === 2")


def show_video(visit: Visit, clip: Path) -> list[dict[str, Any]]:
    """Open a video, wait for its poses and return their rows."""
    import json

    visit.page.set_input_files("#files", clip)
    visit.until("!document.getElementById('player').hidden", 100)
    job = ask(visit, "v1/jobs")["jobs"][0]["id"]
    files = ask(visit, f"v1/jobs/{job}")["files"]
    href = next(each["href"][1:] for each in files if each["name"] == "poses.jsonl")
    text = visit.page.request.get(f"{visit.page.url.split('#')[0]}{href}").text()
    return [json.loads(line) for line in text.splitlines()[1:]]


def test_a_video_is_drawn_in_step(visit: Visit, clip: Path) -> None:
    page, rows = visit.page, show_video(visit, clip)
    assert len(rows) == 8 and page.inner_text("#name") == clip.name
    for number in (5, 0, 7, 2):
        page.locator("#seek").fill(str(rows[number]["time"] + 0.03))
        label = f"document.getElementById('seek').ariaValueText.endsWith(', frame {number}')"
        visit.until(label)
        assert drawn(visit, rows[number]), number
    page.focus("#frame")
    page.keyboard.press("ArrowLeft")
    visit.until("document.getElementById('seek').ariaValueText.endsWith(', frame 1')")
    assert drawn(visit, rows[1])
    page.keyboard.press("Space")
    visit.until("document.getElementById('video').ended")
    visit.until("document.getElementById('seek').ariaValueText.endsWith(', frame 7')")
    assert drawn(visit, rows[7])
    ids = {person["id"] for row in rows for person in row["people"]}
    label = page.get_attribute("#line", "aria-label")
    assert label.startswith(f"Time line of {len(ids)} people: 1 from 0.0 to 0.7 s")
    check_lines(visit)
    write(visit)
    open_again(visit, rows)


def check_lines(visit: Visit) -> None:
    """The plot follows its choices, and a press on the time line seeks."""
    page, said = visit.page, []
    for what in ("x", "y", "speed"):
        page.select_option("#plot-what", what)
        said.append(page.get_attribute("#plot", "aria-label"))
        inked = """(() => {
          const plot = document.getElementById("plot"), pen = plot.getContext("2d");
          return pen.getImageData(0, 0, plot.width, plot.height).data.some((value) => value);
        })()"""
        assert page.evaluate(inked)
    assert len(set(said)) == 3
    page.locator("#line").click(position={"x": 46, "y": 8})
    visit.until("document.getElementById('seek').ariaValueText.endsWith(', frame 0')")


def write(visit: Visit) -> None:
    """Any format is written and saved, with the network of the server."""
    offered = visit.page.locator("#format option").all_inner_texts()
    assert sorted(offered) == sorted(FORMATS)
    visit.page.select_option("#format", "csv")
    visit.page.click("#write")
    visit.page.locator("#written a", has_text="poses.csv").wait_for(timeout=60_000)
    with visit.page.expect_download() as saved:
        visit.page.click("#written a:has-text('poses.csv')")
    assert Path(saved.value.path()).read_text().count("\n") > 8
    made = ask(visit, "v1/jobs")["jobs"][:2]
    assert [job["options"]["save"] for job in made] == ["csv", "jsonl"]


def open_again(visit: Visit, rows: list[dict[str, Any]]) -> None:
    """A job without its video is played by a clock."""
    visit.page.click("nav >> text=Jobs")
    visit.page.locator("#job-list li").nth(1).get_by_role("button", name="Open").click()
    visit.until("!document.getElementById('player').hidden")
    visit.page.locator("#seek").fill("0.31")
    assert drawn(visit, rows[3])


def test_a_video_that_no_browser_plays_is_shown_drawn(visit: Visit, tmp_path: Path) -> None:
    show_video(visit, film(tmp_path / "old.mp4", "mpeg4"))
    assert visit.page.evaluate("document.getElementById('video').videoWidth") == 360
    assert "/files/" in visit.page.evaluate("document.getElementById('video').src")
    assert not visit.page.is_checked("#skeletons")


def test_a_job_of_images_is_opened(visit: Visit) -> None:
    """Its people are drawn where they are, without the image, which the browser never had."""
    data = {"kind": "predict", "runtime": "onnxruntime", "file": image("one.jpg", 40)}
    job = ask(visit, "v1/jobs", method="POST", multipart=data)["id"]
    visit.page.click("nav >> text=Jobs")
    card = visit.page.locator("#job-list li").first
    card.get_by_role("button", name="Open").click(timeout=60_000)
    visit.until("!document.getElementById('player').hidden")
    assert visit.page.inner_text("#name") == "one.jpg"
    assert ask(visit, f"v1/jobs/{job}")["inputs"] == ["one.jpg"]
    assert drawn(visit, row_of(visit, 40))


def test_jobs_are_retried_and_deleted(visit: Visit) -> None:
    page = visit.page
    form = {"kind": "predict", "file": {**image("broken.mp4"), "buffer": b"no video at all"}}
    ask(visit, "v1/jobs", method="POST", multipart=form)
    page.click("nav >> text=Jobs")
    card = page.locator("#job-list li").first
    card.locator("[data-status=failed]").wait_for(timeout=60_000)
    assert "broken.mp4" in card.locator("h2").inner_text()
    assert card.locator(".bad").inner_text().startswith("cannot open broken.mp4: ")
    card.locator("summary").click()
    visit.until("document.querySelector('#job-list pre').textContent === 'It has said nothing.'")
    card.get_by_role("button", name="Retry").click()
    visit.until("document.querySelector('#job-list p')?.textContent.includes('2 tries')")
    card.locator("[data-status=failed]").wait_for(timeout=60_000)
    many = page.locator("#job-list li").count()
    card.get_by_role("button", name="Delete").click()
    card.get_by_role("button", name="Delete everything?").click()
    visit.until(f"document.querySelectorAll('#job-list > li').length === {many - 1}")


def test_a_running_job_is_cancelled(visit: Visit) -> None:
    form = {
        "kind": "predict",
        "accurate": "1",
        "file": {**image("long.mp4"), "buffer": CLIP.read_bytes()},
    }
    ask(visit, "v1/jobs", method="POST", multipart=form)
    visit.page.click("nav >> text=Jobs")
    card = visit.page.locator("#job-list li").first
    visit.until("/ of 100/.test(document.querySelector('#job-list .work')?.textContent)")
    card.get_by_role("button", name="Cancel").click()
    card.locator("[data-status=cancelled]").wait_for(timeout=30_000)


def test_the_token_is_asked_for_and_kept_for_the_tab(opened: Open, tmp_path: Path) -> None:
    (tmp_path / "tokens").write_text(f"{TOKEN}\n{OTHER}\n")
    (tmp_path / "tokens").chmod(0o600)
    with started("--token-file", "tokens", cwd=tmp_path) as (address, _):
        visit = opened()
        visit.page.goto(f"{address}/#jobs")
        for token, told in ((f"not-{TOKEN}", "not one of the server's"), (TOKEN, "")):
            visit.page.fill("#token-field", token)
            visit.page.keyboard.press("Enter")
            if told:
                visit.page.locator("#token-told", has_text=told).wait_for()
        visit.page.locator("#no-jobs").wait_for()
        visit.page.click("nav >> text=Look")
        show_images(visit, image())
        visit.page.reload()
        show_images(visit, image())
        kept = visit.page.evaluate("[localStorage.length, document.cookie, location.href]")
        assert kept[:2] == [0, ""] and TOKEN not in kept[2]
        assert not any(TOKEN in url for url in visit.asked)
        visit.page.close()


@pytest.mark.parametrize("width", [390, 820, 1280])
def test_nothing_is_wider_than_the_screen(visit: Visit, width: int) -> None:
    visit.page.set_viewport_size({"width": width, "height": 800})
    show_images(visit, image(), image("b.jpg", 40))
    wide = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    assert visit.page.evaluate(wide) <= 0

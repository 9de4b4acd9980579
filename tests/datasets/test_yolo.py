"""YOLO sets: what data.yaml says of files, parts, joints and their mirror images is obeyed."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from posewright.cli import main
from posewright.datasets import open_dataset
from posewright.datasets.check import check
from posewright.datasets.converting import convert
from posewright.datasets.opening import open_part, parts_of
from posewright.errors import SourceError, UsageError
from posewright.files.yamlfile import load_yaml
from posewright.skeletons import COCO17

LINE = "0 0.5 0.5 0.4 0.4 0.4 0.5 2 0.6 0.5 2 0.5 0.4 2 0.5 0.6 2\n"
FOUR = "kpt_shape: [4, 3]\nnames: {0: person}\nflip_idx: [1, 0, 2, 3]\n"


def picture(path: Path, line: str = LINE, labels: bool = True) -> None:
    """Write an image, and its labels where the layout of YOLO sets has them."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (40, 30)).save(path)
    if labels:
        parts = ["labels" if part == "images" else part for part in path.parts]
        text = Path(*parts).with_suffix(".txt")
        text.parent.mkdir(parents=True, exist_ok=True)
        text.write_text(line)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """The set `own` with 3, 2 and 1 images, and another set beside it."""
    for part, count in (("train", 3), ("val", 2), ("test", 1)):
        for i in range(count):
            picture(tmp_path / "own/images" / part / f"{part}{i}.png")
    picture(tmp_path / "other/images/train/other.png")
    return tmp_path


def described(root: Path, text: str, name: str = "own/data.yaml") -> Path:
    (root / name).parent.mkdir(parents=True, exist_ok=True)
    (root / name).write_text(text + FOUR)
    return root / name


def stems(path: Path, split: str | None = None) -> list[str]:
    data = open_dataset(path, split=split)
    assert all(len(sample) == 1 for sample in data)
    return [sample.image.stem for sample in data]


TRAIN, VAL, TEST = ["train0", "train1", "train2"], ["val0", "val1"], ["test0"]
USUAL = "train: images/train\nval: images/val\ntest: images/test\n"


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("own/data.yaml", USUAL),
        ("own/data.yaml", "path: .\n" + USUAL),
        ("own/data.yaml", "path: \n" + USUAL),
        ("b.yaml", "path: own\n" + USUAL),
        ("cfg/deep/c.yml", "path: ../../own\n" + USUAL),
        ("b.yaml", "path: './own/'\n" + USUAL),
        ("b.yaml", "path: own\ntrain: [images/train]\nval: ['images/val']\ntest:\n- images/test\n"),
        ("b.yaml", USUAL.replace("images", "own/images")),
        ("own/data.yaml", USUAL.replace("val:", "validation:")),
        ("own/data.yaml", USUAL.replace("images", "../images")),  # Roboflow's
        ("own/data.yaml", USUAL.replace("images/", "images\\")),
        ("own/data.yaml", "download: |\n  open('executed', 'w')\n" + USUAL),
    ],
)
def test_path_and_parts_are_obeyed(
    root: Path, name: str, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(root)
    file = described(root, text, name)
    assert parts_of(file) == ("train", "val", "test")
    assert stems(file) == sorted(TRAIN + VAL + TEST)
    assert (stems(file, "train"), stems(file, "val"), stems(file, "test")) == (TRAIN, VAL, TEST)
    assert not (root / "executed").exists()


def test_an_absolute_path(root: Path) -> None:
    file = described(root, f"path: {root / 'own'}\n{USUAL}", "elsewhere/a.yaml")
    assert stems(file, "val") == VAL
    file = described(root, f"train: {root / 'own/images/train'}\nval: []\n", "elsewhere/a.yaml")
    assert parts_of(file) == ("train",) and stems(file) == TRAIN


def test_lists_of_pictures(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(root)
    lines = [
        "./images/train/train0.png",
        "",
        "images/train/train1.png",
        "own/images/val/val0.png",
        "# images/train/train2.png",
        str(root / "own/images/test/test0.png"),
        "images\\train\\train2.png",
    ]
    (root / "own/train.txt").write_text("\ufeff" + "\r\n".join(lines), encoding="utf-8")
    file = described(root, "train: train.txt\nval: images/val\n")
    assert sorted(stems(file, "val")) == VAL
    found = open_dataset(file, split="train")
    assert [s.image.stem for s in found] == ["test0", *TRAIN]  # val0 is held back by val
    assert not found.notes


def test_lines_of_a_list_that_name_no_picture_are_told(root: Path) -> None:
    lines = ["images/train/train0.png", "/etc/passwd", "images/train/none.png", "a\0b.png"]
    (root / "own/train.txt").write_text("\n".join(lines))
    data = open_dataset(described(root, "train: train.txt\n"), split="train")
    assert [s.image.name for s in data] == ["none.png", "train0.png"]
    assert len(data.notes) == 1 and "2 x line of a list skipped" in data.notes[0]
    found = {f.kind for f in check(root / "own/data.yaml").findings}
    assert {"left out", "missing image"} <= found


def test_several_entries_of_a_part_and_a_picture_in_two(root: Path) -> None:
    text = "path: .\ntrain:\n  - own/images/train\n  - other/images/train\n  - own/images\nval: "
    file = described(root, text + "own/images/val\n", "two.yaml")
    assert stems(file, "train") == ["other", *TEST, *TRAIN]
    assert stems(file) == sorted(["other", *TEST, *TRAIN, *VAL])
    ids = [sample.image_id for sample in open_dataset(file)]
    assert len(set(ids)) == len(ids)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("path: gone\n" + USUAL, "path 'gone'.*is not there"),
        ("path: [own, other]\n" + USUAL, "path .* is not a folder"),
        (
            "train: images/none\nval: images/val\n",
            "train 'images/none'.*neither a folder nor a .txt",
        ),
        ("train: 7\n", "train in .* must be a folder"),
        ("train: {a: images/train}\n", "train in .* must be a folder"),
        ("train: https://example.org/a.zip\n", "neither a folder"),
    ],
)
def test_what_is_not_there_is_one_line(root: Path, text: str, message: str) -> None:
    with pytest.raises(SourceError, match=message) as caught:
        open_dataset(described(root, text), split="train")
    assert "\n" not in str(caught.value)


def test_a_missing_part_of_the_whole_set_is_noted(root: Path) -> None:
    file = described(root, "train: images/train\nval: images/val\ntest: test-dev.txt\n")
    data = open_dataset(file)
    assert len(data) == 5 and "split skipped" in data.notes[0] and "test-dev.txt" in data.notes[0]


def test_a_part_that_a_set_has_not_is_refused(root: Path, data_of_one: Path) -> None:
    file = described(root, "train: images/train\n")
    with pytest.raises(UsageError, match="no split 'val', only train"):
        open_dataset(file, split="val")
    with pytest.raises(UsageError, match="without splits"):
        open_dataset(data_of_one, split="val")
    with pytest.raises(UsageError, match="no split 'train', only val"):  # never on images of val
        open_part(described(root, "val: images/val\n"), None, None, "train")


@pytest.fixture
def data_of_one(tmp_path: Path) -> Path:
    """A COCO file, which has no parts."""
    file = tmp_path / "labels.json"
    file.write_text('{"images": [], "annotations": []}')
    return file


@pytest.mark.parametrize("layout", ["images/{}", "{}/images"])
def test_without_data_yaml_folders_are_the_parts(tmp_path: Path, layout: str) -> None:
    for part in ("train", "valid"):
        picture(tmp_path / layout.format(part) / f"{part}.png")
    picture(tmp_path / "images/more.png")
    assert parts_of(tmp_path, "yolo") == ("train", "val")
    names = [
        [s.image.stem for s in open_dataset(tmp_path, "yolo", split=part)]
        for part in ("train", "val", None)
    ]
    assert [sorted(n) for n in names] == [["train"], ["valid"], ["more", "train", "valid"]]


def test_labels_lie_in_labels_or_beside_the_picture_or_in_the_sets_folder(tmp_path: Path) -> None:
    picture(tmp_path / "images/set/a.png", labels=False)
    (tmp_path / "images/set/a.txt").write_text(LINE)
    described(tmp_path / "images", "train: .\n", "set/data.yaml")
    assert stems(tmp_path / "images/set") == ["a"]
    picture(tmp_path / "elsewhere/train/b.png", labels=False)
    described(tmp_path, "train: none\n", "yolo/data.yaml")
    (tmp_path / "yolo/labels/train").mkdir(parents=True)
    (tmp_path / "yolo/labels/train/b.txt").write_text(LINE)
    data = open_dataset(tmp_path / "yolo", images=tmp_path / "elsewhere")
    assert [len(s) for s in data] == [1]


def yaml_of(tmp_path: Path, text: str, line: str = LINE) -> Path:
    picture(tmp_path / "images/train/a.png", line)
    (tmp_path / "data.yaml").write_text("train: images/train\n" + text)
    return tmp_path / "data.yaml"


WRAPPED = "kpt_shape: [4,\n  3]\nflip_idx: [1, 0,\n  3,\n 2]\nnames:\n  0: person\n"


@pytest.mark.parametrize(
    ("text", "flips"),
    [
        (WRAPPED, [1, 0, 3, 2]),
        ("kpt_shape: [4, 3]\nflip_idx:\n- 3\n- 2\n- 1\n- 0\nnames: [dog]\n", [3, 2, 1, 0]),
        (
            "kpt_shape: [4, 3]\nnames: [dog]\nkpt_names:\n  0: [LPaw, RPaw, tail,\n   nose]\n",
            [1, 0, 2, 3],
        ),
        (
            "kpt_shape: [4, 3]\nkpt_names: [LPaw, RPaw, tail, nose]\nflip_idx: [0, 1, 3, 2]\n",
            [0, 1, 3, 2],
        ),
        ("kpt_shape: [4, 3]\nnames: [dog]\nflip_idx: []\n", [0, 1, 2, 3]),
    ],
)
def test_mirror_images_are_those_of_the_file(tmp_path: Path, text: str, flips: list[int]) -> None:
    data = open_dataset(yaml_of(tmp_path, text))
    assert data.skeleton.flip_index.tolist() == flips and not data.notes
    convert(data, tmp_path / "coco", "coco")
    convert(data, tmp_path / "yolo", "yolo")
    for form in ("coco", "yolo"):  # and they survive
        assert open_dataset(tmp_path / form).skeleton.flip_index.tolist() == flips


def test_labelme_and_cvat_files_say_that_they_lose_a_table(tmp_path: Path) -> None:
    data = open_dataset(yaml_of(tmp_path, WRAPPED))
    for form in ("labelme", "cvat"):
        assert "flip table is not written" in convert(data, tmp_path / form, form).notes[-1]
    assert not convert(data, tmp_path / "coco", "coco").notes


@pytest.mark.parametrize(
    "table", ["[1, 2, 3, 0]", "[0, 1]", "[0, 1, 2, 4]", "left", "[a, b, c, d]"]
)
def test_a_table_that_pairs_nothing_is_told(tmp_path: Path, table: str) -> None:
    file = yaml_of(tmp_path, f"kpt_shape: [4, 3]\nflip_idx: {table}\n")
    data = open_dataset(file)
    assert data.skeleton.flip_index.tolist() == [0, 1, 2, 3] and "flip table" in data.notes[0]
    assert {"left out", "flip"} <= {f.kind for f in check(file).findings}


SEVENTEEN = "0 0.5 0.5 0.4 0.4" + " 0.5 0.5 2" * 17 + "\n"
TURNED = [16, *range(1, 16), 0]


def test_seventeen_joints_are_cocos_only_where_the_file_agrees(tmp_path: Path) -> None:
    shape = "kpt_shape: [17, 3]\n"
    dog = open_dataset(yaml_of(tmp_path, f"{shape}names: [dog]\n", SEVENTEEN))
    assert dog.skeleton.name == "joints17" and dog.skeleton.joints[1] == "joint_1"
    assert "flip" in {f.kind for f in check(tmp_path / "data.yaml").findings}
    own = open_dataset(
        yaml_of(tmp_path, f"{shape}flip_idx: {TURNED}\nnames: [person]\n", SEVENTEEN)
    )
    assert own.skeleton.name == "joints17" and own.skeleton.flip_index.tolist() == TURNED
    table = COCO17.flip_index.tolist()
    known = open_dataset(
        yaml_of(tmp_path, f"{shape}flip_idx: {table}\nnames: [person]\n", SEVENTEEN)
    )
    assert known.skeleton is COCO17 and not known.remarks
    unsaid = open_dataset(yaml_of(tmp_path, f"{shape}names: [person]\n", SEVENTEEN))
    assert unsaid.skeleton is COCO17 and "assumed to be those of coco17" in unsaid.remarks[0]
    report = check(tmp_path / "data.yaml")
    assert [(f.kind, f.level) for f in report.findings] == [("assumed", "warning")]


def test_names_of_joints_that_do_not_fit_are_told(tmp_path: Path) -> None:
    data = open_dataset(yaml_of(tmp_path, "kpt_shape: [4, 3]\nkpt_names: [a, b]\nnames: [dog]\n"))
    assert len(data.skeleton) == 4 and "kpt_names ignored" in data.notes[0]


BOMB = "a: &a [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{chr(98 + i)}: &{chr(98 + i)} [{', '.join(['*' + chr(97 + i)] * 10)}]\n" for i in range(9)
)
MERGES = "a: &a {x: 1, y: 2}\n" + "".join(
    f"{chr(98 + i)}: &{chr(98 + i)}\n  <<: [{', '.join(['*' + chr(97 + i)] * 10)}]\n"
    for i in range(9)
)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (BOMB, "more than 100000 values"),
        (MERGES, "more than 100000 values"),
        ("a: &a [*a]", "an alias refers to"),
        ("a: " + "[" * 100_000, "nested more than 100 levels"),
        ("- " * 5000, "nest|deep"),
        ("a: 1" + ":1" * 20_000, "more than 16384 characters"),
        ("a: " + "x" * 300_000, "larger than 262144 bytes"),
        ("a: [1, 2", "in line 2"),
        ("a: !!python/object/apply:os.mkdir [executed]", "could not determine a constructor"),
        ("just text", "not a mapping"),
        ("- a\n- b\n", "not a mapping"),
        ("a: 2020-99-99", "month"),
        ("a: 1\n---\nb: 2\n", "single document"),
        ("a:\n\t- b\n", "in line 2"),
        ("a: \x07", "control|special"),
    ],
)
def test_yaml_that_cannot_be_is_one_line(
    tmp_path: Path, text: str, why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data.yaml").write_text(text)
    with pytest.raises(SourceError, match=why) as caught:
        load_yaml(tmp_path / "data.yaml")
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 500
    assert main(["data", "check", str(tmp_path / "data.yaml")]) == 3
    assert not (tmp_path / "executed").exists()


@pytest.mark.parametrize("text", ["", "# nothing yet\n"])
def test_an_empty_data_yaml_is_not_taken_for_none(tmp_path: Path, text: str) -> None:
    picture(tmp_path / "a.jpg")
    (tmp_path / "data.yaml").write_text(text)
    for path in (tmp_path, tmp_path / "data.yaml"):
        with pytest.raises(SourceError, match="is empty; write the keys"):
            open_dataset(path, "yolo")
    (tmp_path / "data.yaml").rename(tmp_path / "other.yaml")  # which is not the set's
    assert len(open_dataset(tmp_path, "yolo")) == 1


def test_yaml_as_people_write_it(tmp_path: Path) -> None:
    text = "\ufeffa: &t images  # one\nb: *t\nc: {0: x, 1: 'y'}\nd:\n- 1\n- 2.5\ne: ~\n"
    (tmp_path / "a.yaml").write_text(text, encoding="utf-8")
    assert load_yaml(tmp_path / "a.yaml") == {
        "a": "images",
        "b": "images",
        "c": {0: "x", 1: "y"},
        "d": [1, 2.5],
        "e": None,
    }
    (tmp_path / "b.yaml").write_bytes(b"")
    assert load_yaml(tmp_path / "b.yaml") == {}
    (tmp_path / "c.yaml").write_bytes(b"a: \xff")
    with pytest.raises(SourceError, match="cannot be read"):
        load_yaml(tmp_path / "c.yaml")


def test_text_files_that_are_no_labels_are_not_read_whole(tmp_path: Path) -> None:
    file = yaml_of(tmp_path, "kpt_shape: [4, 3]\nnames: [dog]\n")
    with open(tmp_path / "labels/train/a.txt", "wb") as sparse:
        sparse.truncate(1 << 33)
    data = open_dataset(file)
    assert data.people == 0 and "labels skipped: the file is larger" in data.notes[0]


def test_the_verbs_read_the_part_that_is_asked_for(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = str(described(root, USUAL))
    assert main(["data", "check", file, "--split", "val"]) == 0
    assert "2 images, 2 people" in capsys.readouterr().out
    assert main(["data", "convert", file, str(root / "out")]) == 0
    written = sorted(p.name for p in (root / "out/annotations").iterdir())
    assert written == [f"person_keypoints_{part}2017.json" for part in ("test", "train", "val")]
    again = root / "again"
    assert main(["data", "convert", file, str(again), "--to", "yolo"]) == 0
    assert (stems(again, "train"), stems(again, "val"), stems(again, "test")) == (TRAIN, VAL, TEST)
    assert main(["data", "stats", str(root / "own"), "--split", "test"]) == 0
    assert "images             1" in capsys.readouterr().out


def test_a_part_that_repeats_train_is_not_converted_as_another(root: Path) -> None:
    everything = "train: [images/train, images/val, images/test]\nval: images/val\n"
    file = str(described(root, f"{everything}test: images/train\n"))
    assert main(["data", "convert", file, str(root / "out")]) == 0
    written = sorted(p.name for p in (root / "out/annotations").iterdir())
    assert "person_keypoints_val2017.json" in written
    file = str(described(root, "train: images/train\nval: images/train\n"))
    assert main(["data", "convert", file, str(root / "one")]) == 0
    written = [p.name for p in (root / "one/annotations").iterdir()]
    assert written == ["person_keypoints_train2017.json"]


@pytest.mark.parametrize(
    ("words", "shape"),
    [
        (["0.4", "0.5", "0.6", "0.5", "0.3", "0.2"], (3, 2)),
        (["0.4", "0.5", "2.0", "0.3", "0.2", "0"], (2, 3)),
        (["0.4", "0.5", "0.6", "0.5"], (2, 2)),
        (["0.4", "0.5", "1", "0.6", "0.5", "1e0", "0.4", "0.5", "2"], (3, 3)),
        ([], (0, 3)),
    ],
)
def test_without_kpt_shape_visibility_is_what_can_be_one(
    tmp_path: Path, words: list[str], shape: tuple[int, int]
) -> None:
    picture(tmp_path / "images" / "a.png", " ".join(["0 0.5 0.5 0.4 0.4", *words]) + "\n")
    data = open_dataset(tmp_path)
    assert data.people == 1 and len(data.skeleton) == shape[0]
    if words:
        last = 40 * float(words[-shape[1]]) * (words[-1] != "0")
        assert data[0].people.keypoints[0, -1, 0] == pytest.approx(last)
        assert data[0].visibility[0, 0] == (1 if shape == (3, 3) else 2)


def test_without_kpt_shape_nine_coordinates_are_nothing(tmp_path: Path) -> None:
    picture(tmp_path / "images" / "a.png", "0 0.5 0.5 0.4 0.4" + " 0.3" * 9)
    with pytest.raises(SourceError, match="write kpt_shape"):
        open_dataset(tmp_path)


@pytest.mark.parametrize(
    "shape",
    [
        "[17]",
        "17",
        "[true, 3]",
        "[17.0, 3]",
        "[17, 4]",
        "[1000000000, 3]",
        "[-1, 2]",
        "'17, 3'",
    ],
)
def test_a_kpt_shape_that_is_none_is_refused(root: Path, shape: str) -> None:
    file = described(root, USUAL)
    file.write_text(file.read_text().replace("[4, 3]", shape))
    with pytest.raises(SourceError, match="must be the number of joints"):
        open_dataset(file)


def test_names_of_files_in_another_form_of_unicode(tmp_path: Path) -> None:
    composed, apart = "caf\u00e9", "cafe\u0301"
    picture(tmp_path / "images" / composed / "a.png")
    picture(tmp_path / "images" / f"{composed}.png")
    (tmp_path / "list.txt").write_text(f"images/{apart}.png\n", encoding="utf-8")
    for part in (f"images/{apart}", "list.txt"):
        (tmp_path / "data.yaml").write_text(f"train: {part}\n" + FOUR, encoding="utf-8")
        data = open_dataset(tmp_path / "data.yaml")
        assert data.people == 1 and data[0].size == (40, 30) and data.notes == ()


@pytest.mark.parametrize("names", ["person", "5", "1.5"])
def test_names_that_are_no_list_are_refused(tmp_path: Path, names: str) -> None:
    picture(tmp_path / "a.jpg")
    (tmp_path / "data.yaml").write_text(f"kpt_shape: [4, 3]\nnames: {names}\n")
    with pytest.raises(SourceError, match=r"must be a list, as \[person\]; correct it"):
        open_dataset(tmp_path)

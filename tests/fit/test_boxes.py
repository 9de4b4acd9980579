"""Training boxes like a detector's: AlphaPose's distribution and the learned one."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from posewright.augment import Augmentation
from posewright.augment.drawing import Draws
from posewright.augment.mixtures import Mixture, cluster, fit_mixture, nearest_centre
from posewright.augment.offsets import BoxOffsets, aligned
from posewright.augment.pgpg import alphapose_boxes, proposals
from posewright.cli import main
from posewright.codecs import Heatmap
from posewright.datasets import Dataset, open_dataset
from posewright.datasets.base import Sample
from posewright.errors import SourceError
from posewright.fit.boxes import detected, fit_offsets, jittered
from posewright.people import People
from posewright.readers.boxes import BoxFile
from posewright.skeletons import AIC14, COCO17, HAND21, LSP14


def generator(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def random_covariance(rng: np.random.Generator, size: float) -> np.ndarray:
    turn = np.linalg.qr(rng.standard_normal((4, 4)))[0]
    return turn @ np.diag(size**2 * rng.uniform(0.3, 1, 4)) @ turn.T


def known_mixture(seed: int) -> Mixture:
    rng = generator(seed)
    means = np.array([[-0.15, 0.05, 0.1, 0], [0.15, -0.1, 0, 0.12]]) + rng.uniform(
        -0.02, 0.02, (2, 4)
    )
    return Mixture(
        np.array([0.35, 0.65]), means, np.stack([random_covariance(rng, 0.04) for _ in range(2)])
    )


def points_of(mixture: Mixture, count: int, rng: np.random.Generator) -> np.ndarray:
    part = rng.choice(len(mixture), count, p=mixture.weights)
    factors = np.linalg.cholesky(mixture.covariances)
    noise = rng.standard_normal((count, 4))
    return mixture.means[part] + np.einsum("nij,nj->ni", factors[part], noise)


# --- AlphaPose's ------------------------------------------------------------------------------


def test_alphapose_boxes_have_the_measured_moments() -> None:
    """systems.md 3a: moments over 40,000 draws of a box of 200 x 500 px."""
    box = np.array([[2000, 2000, 2200, 2500]], np.float32)
    found = alphapose_boxes(np.repeat(box, 40_000, 0), (5000, 5000), Draws.of(generator(), 40_000))
    offsets = (found - box) / [200, 500, 200, 500]
    assert np.allclose(offsets.mean(0), [-0.0064, 0.0096, 0.0086, -0.0060], atol=0.002)
    assert np.allclose(offsets.std(0), [0.1093, 0.0649, 0.1244, 0.0678], atol=0.001)
    sides = found[:, 2:] - found[:, :2] - 1
    inside = (found[:, :2] >= 2000).all(1) & (found[:, 2:] <= [2201, 2501]).all(1)
    patch = inside & np.isclose(sides[:, 0] / 200, sides[:, 1] / 500, atol=1e-4)
    assert patch.mean() == pytest.approx(0.15, abs=0.006)
    assert (sides[patch, 0] >= 0.85 * 200 - 0.01).all()


def test_alphapose_boxes_stay_in_the_picture() -> None:
    boxes = np.array([[0, 0, 99, 79], [-50, -50, 300, 300], [97, 77, 99, 79]], np.float32)
    rng = generator(1)
    for _ in range(300):
        draws = Draws.of(rng, 3)
        found = alphapose_boxes(boxes, (100, 80), draws)
        moved = found[draws.choice <= 0.85]
        assert (moved[:, :2] >= 1).all() and (moved[:, :2] <= [97, 77]).all()
        assert (moved[:, 2:] - moved[:, :2] >= 2).all()
        assert np.isfinite(found).all()


def test_proposals_move_the_crop_from_their_epoch_on() -> None:
    augment = Augmentation(flip=0, scale=0, rotate=0, half_body=0, pgpg="alphapose", pgpg_from=140)
    people = People.of([[100, 100, 200, 300]], keypoints=np.full((1, 17, 2), 150.0))
    plain = Augmentation.none().views(Heatmap(), (640, 480), people, COCO17, generator())
    early = augment.at(139).views(Heatmap(), (640, 480), people, COCO17, generator())
    late = augment.at(140).views(Heatmap(), (640, 480), people, COCO17, generator())
    assert (early.matrices == plain.matrices).all()
    assert not np.allclose(late.matrices, plain.matrices)
    assert augment.at(140) is augment and augment.at(0).pgpg == ""


# --- k-means and mixtures ---------------------------------------------------------------------


def test_clusters_of_incomplete_points_are_found_again() -> None:
    rng = generator()
    centres = np.array([[0, 0, 0, 0], [5, 5, 0, 0], [0, 5, 5, -5]], float)
    truth = rng.integers(0, 3, 600)
    points = centres[truth] + rng.normal(0, 0.2, (600, 4))
    known = rng.random((600, 4)) > 0.2
    known[~known.any(1)] = True
    found, labels = cluster(points, known, 3, generator(3))
    order = nearest_centre(centres, np.ones((3, 4), bool), found)
    assert sorted(order) == [0, 1, 2]
    assert np.abs(found[order] - centres).max() < 0.1
    full = known.all(1)
    assert (labels[full] == order[truth[full]]).all()
    again = cluster(points, known, 3, generator(3))
    assert (again[0] == found).all() and (again[1] == labels).all()


def test_unknown_numbers_have_no_influence() -> None:
    rng = generator()
    points, known = rng.random((50, 6)), rng.random((50, 6)) > 0.4
    known[:, 5] = False
    garbage = np.where(known, points, 1e6)
    a, b = (cluster(p, known, 4, generator(1)) for p in (points, garbage))
    assert (a[1] == b[1]).all() and np.array_equal(a[0], b[0], equal_nan=True)
    assert np.isnan(a[0][:, 5]).all()


def test_every_cluster_has_a_point() -> None:
    for seed in range(40):
        points = generator(seed).integers(0, 3, (12, 2)).astype(float)
        centres, labels = cluster(points, generator(seed).random((12, 2)) > 0.3, 6, generator(seed))
        assert np.unique(labels).tolist() == list(range(len(centres)))


def test_alike_points_are_one_cluster() -> None:
    centres, labels = cluster(np.ones((9, 2)), np.ones((9, 2), bool), 4, generator())
    assert centres.tolist() == [[1, 1]] and (labels == 0).all()


def test_a_known_mixture_is_fitted() -> None:
    truth = known_mixture(2)
    points = points_of(truth, 20_000, generator(4))
    fitted = fit_mixture(points, 2, generator())
    order = np.argsort(fitted.weights)
    assert np.allclose(fitted.weights[order], truth.weights, atol=0.01)
    assert np.allclose(fitted.means[order], truth.means, atol=0.003)
    assert np.allclose(fitted.covariances[order], truth.covariances, atol=1e-4)
    for mine, theirs in zip(fitted.moments, (points.mean(0), np.cov(points.T)), strict=True):
        assert np.allclose(mine, theirs, atol=1e-4)


def test_densities_are_those_of_the_formula() -> None:
    mixture, points = known_mixture(1), generator(9).normal(0, 0.1, (7, 4))
    logs = mixture.log_densities(points)
    for n, point in enumerate(points):
        for m in range(2):
            apart, cov = point - mixture.means[m], mixture.covariances[m]
            density = np.exp(-apart @ np.linalg.inv(cov) @ apart / 2)
            density /= np.sqrt((2 * np.pi) ** 4 * np.linalg.det(cov))
            assert logs[n, m] == pytest.approx(np.log(mixture.weights[m] * density))


def test_offsets_on_one_point_still_have_a_density() -> None:
    mixture = fit_mixture(np.full((30, 4), 0.1), 3, generator())
    assert (
        np.allclose(mixture.means, 0.1)
        and np.isfinite(mixture.log_densities(np.zeros((2, 4)))).all()
    )
    assert len(fit_mixture(np.zeros((1, 4)), 3, generator())) == 1


# --- poses ------------------------------------------------------------------------------------


def figure(kind: int) -> np.ndarray:
    """(17, 2) standing with arms down or up, torso of length 1."""
    at = np.zeros((17, 2))
    at[:5, 1] = -1.5
    at[[5, 6]], at[[11, 12]] = [[0.3, -1], [-0.3, -1]], [[0.2, 0], [-0.2, 0]]
    at[[13, 14]], at[[15, 16]] = [[0.2, 0.8], [-0.2, 0.8]], [[0.2, 1.6], [-0.2, 1.6]]
    arm = -1 if kind else 1
    at[[7, 8]], at[[9, 10]] = (
        [[0.4, -1 + 0.5 * arm], [-0.4, -1 + 0.5 * arm]],
        [[0.5, arm - 1.0], [-0.5, arm - 1.0]],
    )
    return at


def figures(kinds: np.ndarray, seed: int = 0) -> People:
    """People of two kinds of poses, of any size and place."""
    rng = generator(seed)
    size, place = rng.uniform(20, 80, (len(kinds), 1, 1)), rng.uniform(200, 600, (len(kinds), 1, 2))
    base = np.stack([figure(0), figure(1)])[kinds] + rng.normal(0, 0.03, (len(kinds), 17, 2))
    scores = (rng.random((len(kinds), 17)) > 0.1).astype(np.float32)
    scores[:, [5, 6, 11, 12]] = 1
    return People.of(None, None, base * size + place, scores)


def test_poses_are_aligned_by_their_torso() -> None:
    people = figures(np.zeros(5, int))
    at, known = aligned(people, COCO17)
    assert np.allclose(at[:, [11, 12]].mean(1), 0, atol=1e-5)
    assert np.allclose(np.linalg.norm(at[:, [5, 6]].mean(1), axis=1), 1, atol=1e-5)
    assert (known == (people.scores > 0)).all()
    scores = np.ones((5, 17))
    scores[0, 5], scores[1, 11] = 0, 0
    at, known = aligned(People.of(people.boxes, None, people.keypoints, scores), COCO17)
    assert known.any(1).tolist() == [False, False, True, True, True]
    assert not aligned(People.of(keypoints=generator().random((3, 21, 2))), HAND21)[1].any()


def test_the_neck_stands_in_for_the_shoulders() -> None:
    points, scores = np.zeros((1, 14, 2)), np.zeros((1, 14))
    for joint, place in (
        ("neck", (5, 0)),
        ("left_hip", (6, 10)),
        ("right_hip", (4, 10)),
        ("left_knee", (6, 15)),
    ):
        points[0, LSP14[joint]], scores[0, LSP14[joint]] = place, 1
    at, known = aligned(People.of([[0, 0, 10, 20]], None, points, scores), LSP14)
    assert known.sum() == 4 and np.allclose(at[0, LSP14["left_knee"]], [0.1, 0.5])


def test_each_pose_gets_the_offsets_it_was_fitted_to() -> None:
    """Round trip: draw from a known mixture for each kind of pose, fit, draw from the fit."""
    kinds = generator(7).integers(0, 2, 12_000)
    people = figures(kinds)
    truth = [known_mixture(1), Mixture(np.ones(1), np.full((1, 4), 0.3), 0.02**2 * np.eye(4)[None])]
    drawn = [points_of(m, len(kinds), generator(i)) for i, m in enumerate(truth)]
    offsets = np.where(kinds[:, None] == 0, *drawn)
    fit = fit_offsets(people, offsets, COCO17, poses=2, components=2, source="test")
    assert sorted(fit.counts) == sorted(np.bincount(kinds))
    which = fit.which(people, COCO17)
    assert len({*which[kinds == 0]}) == len({*which[kinds == 1]}) == 1
    sampled = fit.sample(people, COCO17, Draws.of(generator(3), len(people)))
    sides = np.tile(people.boxes[:, 2:] - people.boxes[:, :2], 2)
    relative = (sampled - people.boxes) / sides
    for kind, mixture in enumerate(truth):
        own, (mean, covariance) = relative[kinds == kind], mixture.moments
        assert np.allclose(own.mean(0), mean, atol=0.006)
        assert np.allclose(np.cov(own.T), covariance, atol=1e-3)


def test_whose_pose_is_not_known_gets_everybodys_offsets() -> None:
    people = figures(generator().integers(0, 2, 200))
    offsets = np.where(np.arange(200)[:, None] % 2, 0.1, -0.1) + np.zeros((200, 4))
    fit = fit_offsets(people, offsets, COCO17, poses=2)
    assert (
        fit.which(
            People.of([[0, 0, 9, 9]], keypoints=np.zeros((1, 17, 2)), scores=np.zeros((1, 17))),
            COCO17,
        )
        == len(fit.poses)
    ).all()
    hands = People.of(keypoints=generator().random((3, 21, 2)))
    assert (fit.which(hands, HAND21) == len(fit.poses)).all()
    nobody = People.empty(COCO17)
    assert fit.sample(nobody, COCO17, Draws.of(generator(), 0)).shape == (0, 4)


def test_another_skeleton_shares_the_joints_of_the_same_name() -> None:
    kinds = generator().integers(0, 2, 300)
    people = figures(kinds)
    fit = fit_offsets(people, np.zeros((300, 4)), COCO17, poses=2)
    index = COCO17.mapping(AIC14)
    there = index >= 0
    other = People.of(
        people.boxes,
        None,
        np.where(there[:, None], people.keypoints[:, index], 0),
        people.scores[:, index] * there,
    )
    assert (fit.which(other, AIC14) == fit.which(people, COCO17)).mean() > 0.99


# --- fitting from files -----------------------------------------------------------------------


def small_set(people: People, size: tuple[int, int] = (900, 900)) -> Dataset:
    """One image for each person."""
    seen = (people.scores > 0) * 2.0
    samples = tuple(
        Sample.of(
            Path(f"{i:06d}.jpg"),
            size,
            i,
            np.concatenate([p.keypoints, s[None, :, None]], 2),
            p.boxes,
        )
        for i, (p, s) in enumerate(zip(people, seen, strict=True))
    )
    return Dataset("test", COCO17, samples)


def test_boxes_are_matched_by_overlap() -> None:
    people = figures(np.zeros(40, int))
    sides = np.tile(people.boxes[:, 2:] - people.boxes[:, :2], 2)
    moved = people.boxes + sides * np.array([0.1, -0.05, 0.02, 0], np.float32)
    boxes = {
        i: np.array([[0, 0, 5, 5, 0.99], [*moved[i], 0.8], [*people.boxes[i], 0.5]], np.float32)
        for i in range(30)
    }
    found, offsets, count = detected(
        small_set(people), BoxFile(Path("x.json"), dict(boxes)), 0.5, 0.6
    )
    assert (len(found), count) == (30, 40)
    assert np.allclose(offsets, [0.1, -0.05, 0.02, 0], atol=1e-4)
    # above their scores nothing is found
    assert len(detected(small_set(people), BoxFile(Path("x.json"), dict(boxes)), 0.5, 0.9)[0]) == 0


def test_crowd_regions_do_not_count() -> None:
    sample = small_set(figures(np.zeros(1, int)))[0].replace(crowd=np.ones(1, bool))
    dataset = Dataset("test", COCO17, (sample,))
    boxes = BoxFile(
        Path("x.json"), {0: np.append(sample.people.boxes, [[1]], 1).astype(np.float32)}
    )
    assert detected(dataset, boxes, 0.5, 0)[2] == 0
    assert len(jittered(dataset, 0.1, generator())[0]) == 0


def test_components_poses_and_seed_decide_the_fit() -> None:
    people, offsets = figures(generator().integers(0, 2, 400)), generator().normal(0, 0.1, (400, 4))

    def fit(**settings: int) -> BoxOffsets:
        return fit_offsets(people, offsets, COCO17, **settings)  # type: ignore[arg-type]

    assert [len(m) for m in fit(poses=1, components=1).mixtures] == [1, 1]
    assert [len(m) for m in fit(poses=1, components=4).mixtures] == [4, 4]
    assert len(fit(poses=5).poses) > len(fit(poses=2).poses) == 2
    assert fit(seed=1).to_dict() != fit(seed=2).to_dict()
    # 400 people have no 40 kinds of poses of 20 each
    assert len(fit(poses=40).poses) <= 20 and fit(poses=40).counts.min() >= 20


def test_too_few_boxes_are_an_error() -> None:
    with pytest.raises(
        SourceError, match=r"a\.json: 19 boxes match a labelled person, at least 20"
    ):
        fit_offsets(figures(np.zeros(19, int)), np.zeros((19, 4)), COCO17, source="a.json")


def test_a_fit_survives_its_file(tmp_path: Path) -> None:
    people = figures(generator().integers(0, 2, 400))
    truth = points_of(known_mixture(1), 400, generator())
    fit = fit_offsets(people, truth, COCO17, poses=3, source="boxes.json")
    file = fit.write(tmp_path / "fit.json")
    again = BoxOffsets.read(file)
    assert again.skeleton == COCO17 and again.source == "boxes.json"
    assert (again.counts == fit.counts).all()
    draws = Draws.of(generator(5), 400)
    assert np.allclose(
        again.sample(people, COCO17, draws), fit.sample(people, COCO17, draws), atol=1e-3
    )
    boxes = proposals(str(file), people, (700, 700), COCO17, draws)
    assert (
        (boxes >= 0).all() and (boxes[:, :2] <= 699).all() and (boxes[:, 2:] > boxes[:, :2]).all()
    )
    twice = fit_offsets(people, truth, COCO17, poses=3, source="boxes.json")
    assert twice.to_dict() == fit.to_dict()


def written(tmp_path: Path) -> tuple[Path, dict]:
    people = figures(generator().integers(0, 2, 100))
    file = fit_offsets(people, np.zeros((100, 4)), COCO17, poses=2).write(tmp_path / "fit.json")
    return file, json.loads(file.read_text())


@pytest.mark.parametrize(
    "damage",
    [
        {"kind": "other"},
        {"version": 2},
        {"everybody": {}},
        {"skeleton": {}},
        {"poses": 3},
        {"poses": [{"joints": [], "count": 1}]},
        {"everybody": {"weights": [], "means": [], "covariances": []}},
        {"everybody": {"weights": [2], "means": [[0] * 4], "covariances": [np.eye(4).tolist()]}},
        {"everybody": {"weights": [1], "means": [[0] * 3], "covariances": [np.eye(4).tolist()]}},
        {"everybody": {"weights": [1], "means": [[0] * 4], "covariances": [(-np.eye(4)).tolist()]}},
        {
            "everybody": {
                "weights": [1],
                "means": [[0, 0, 0, 1e400]],
                "covariances": [np.eye(4).tolist()],
            }
        },
    ],
    ids=str,
)
def test_bad_files_say_so_in_one_line(damage: dict, tmp_path: Path) -> None:
    file, data = written(tmp_path)
    file.write_text(json.dumps({**data, **damage}))
    with pytest.raises(
        SourceError, match=r"fit\.json is not a box offsets file .*posewright fit boxes$"
    ) as caught:
        BoxOffsets.read(file)
    assert "\n" not in str(caught.value)


def test_files_that_are_not_there_or_no_json_say_so(tmp_path: Path) -> None:
    people = figures(np.zeros(1, int))
    augment = Augmentation(pgpg=str(tmp_path / "none.json"))
    with pytest.raises(SourceError, match="give alphapose or a file of posewright fit boxes"):
        augment.views(Heatmap(), (900, 900), people, COCO17, generator())
    (tmp_path / "none.json").write_text("[1, ")
    with pytest.raises(SourceError, match="not valid JSON"):
        augment.views(Heatmap(), (900, 900), people, COCO17, generator())
    (tmp_path / "none.json").write_text("[]")
    with pytest.raises(SourceError, match="its kind is not pgpg"):
        augment.views(Heatmap(), (900, 900), people, COCO17, generator())


def coco_file(people: People, folder: Path) -> Path:
    rows = []
    for i, person in enumerate(people):
        x1, y1, x2, y2 = person.boxes[0].tolist()
        joints = np.concatenate([person.keypoints[0], 2 * person.scores[0][:, None]], 1)
        rows.append(
            {
                "id": i + 1,
                "image_id": i,
                "category_id": 1,
                "iscrowd": 0,
                "area": (x2 - x1) * (y2 - y1),
                "bbox": [x1, y1, x2 - x1, y2 - y1],
                "num_keypoints": 17,
                "keypoints": joints.ravel().tolist(),
            }
        )
    images = [
        {"id": i, "file_name": f"{i:06d}.jpg", "width": 900, "height": 900}
        for i in range(len(people))
    ]
    person = {"id": 1, "name": "person", "keypoints": list(COCO17.joints), "skeleton": []}
    path = folder / "truth.json"
    path.write_text(json.dumps({"images": images, "annotations": rows, "categories": [person]}))
    return path


def test_the_verb_fits_and_training_reads_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    people = figures(generator().integers(0, 2, 200))
    truth, out = coco_file(people, tmp_path), tmp_path / "fit.json"
    boxes = tmp_path / "boxes.json"
    boxes.write_text(
        json.dumps(
            [
                {
                    "image_id": i,
                    "category_id": 1,
                    "score": 0.9,
                    "bbox": [
                        float(b[0]) - 2,
                        float(b[1]),
                        float(b[2] - b[0]) + 2,
                        float(b[3] - b[1]),
                    ],
                }
                for i, b in enumerate(people.boxes)
            ]
        )
    )
    command = [
        "fit",
        "boxes",
        str(truth),
        "--boxes",
        str(boxes),
        "-o",
        str(out),
        "--poses",
        "4",
        "--json",
    ]
    assert main(command) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["people"] == report["matched"] == 200 and report["poses"] > 1
    sides = people.boxes[:, 2] - people.boxes[:, 0]
    assert report["mean"] == pytest.approx([-2 * (1 / sides).mean(), 0, 0, 0], abs=1e-4)
    assert main(command) == 4  # it is there already
    assert "--overwrite" in capsys.readouterr().err
    augment = Augmentation(flip=0, scale=0, rotate=0, half_body=0, pgpg=str(out))
    views = augment.views(Heatmap(), (900, 900), people, COCO17, generator())
    plain = Augmentation.none().views(Heatmap(), (900, 900), people, COCO17, generator())
    assert not np.allclose(views.matrices, plain.matrices)
    assert np.median(np.abs(views.matrices - plain.matrices)) < 5


def test_the_verb_makes_up_boxes_by_jitter(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    truth = coco_file(figures(generator().integers(0, 2, 500)), tmp_path)
    assert (
        main(["fit", "boxes", str(truth), "--jitter", "0.1", "-o", str(tmp_path / "a.json")]) == 0
    )
    assert "boxes found for 500 of 500 people" in capsys.readouterr().out
    assert (
        main(["fit", "boxes", str(truth), "--jitter", "0.1", "-o", str(tmp_path / "b.json")]) == 0
    )
    assert (tmp_path / "a.json").read_bytes() == (tmp_path / "b.json").read_bytes()
    _, covariance = BoxOffsets.read(tmp_path / "a.json").mixtures[-1].moments
    assert np.sqrt(np.diag(covariance)) == pytest.approx([0.1] * 4, rel=0.1)


@pytest.mark.parametrize(
    ("more", "code"),
    [
        ([], 2),
        (["--jitter", "2"], 2),
        (["--jitter", "0.1", "--poses", "0"], 2),
        (["--boxes", "nowhere.json"], 3),
    ],
)
def test_the_verb_refuses_what_cannot_be(more: list[str], code: int, tmp_path: Path) -> None:
    truth = coco_file(figures(np.zeros(3, int)), tmp_path)
    command = ["fit", "boxes", str(truth), "-o", str(tmp_path / "out.json"), *more]
    try:
        assert main(command) == code
    except SystemExit as error:
        assert error.code == code
    assert not (tmp_path / "out.json").exists()


def test_real_poses_fall_into_kinds(data_dir: Path) -> None:
    dataset = open_dataset(data_dir / "lspet")[:800]
    people, offsets, count = jittered(dataset, 0.1, generator())
    fit = fit_offsets(people, offsets, dataset.skeleton, poses=6)
    assert count == len(people) == 800 and len(fit.poses) == 6
    # the torso of the others is not labelled, or seen end on
    assert fit.counts.sum() == (fit.which(people, dataset.skeleton) < 6).sum() > 500
    at, known = aligned(people, dataset.skeleton)
    flat, there = at.reshape(800, -1), np.repeat(known, 2, 1)
    whole = np.where(there, flat, np.nan)
    one = np.nanmean(np.square(whole - np.nanmean(whole, 0)))
    six = np.nanmean(
        np.square(whole - fit.poses.reshape(6, -1)[fit.which(people, dataset.skeleton).clip(0, 5)])
    )
    assert six < 0.7 * one

"""The file of a study: what it sets, and what it refuses."""

from __future__ import annotations

from pathlib import Path

import pytest

from posewright.compare.plan import read_plan
from posewright.errors import SourceError, UsageError
from posewright.recipes.lookup import recipe_for

DATA = '[data]\ntrain = "people"\nval = "last:4"\n'
ONE = '[[variant]]\nname = "one"\nnetwork = "hrnet_w32"\n'


def written(folder: Path, text: str) -> Path:
    (folder / "study.toml").write_text(text, "utf-8")
    return folder / "study.toml"


def test_all_variants_have_one_recipe_but_for_their_own_settings(tmp_path: Path) -> None:
    text = f"""repeat = 3
flip = true
{DATA}limit = 50
[recipe]
epochs = 21
lr = 2e-3
seed = 7
augment.rotate = 30
options.codec = "simcc"
options.input_size = [96, 128]
{ONE}
[[variant]]
name = "gau-0.5"
network = "rtmpose_t"
lr = 1e-3
options.neck = ["gau"]
augment.scale = 0.25
"""
    plan = read_plan(written(tmp_path, text))
    assert (plan.repeat, plan.flip, plan.test) == (3, True, "")
    one, two = (variant.recipe for variant in plan.variants)
    hrnet = recipe_for("hrnet_w32")
    assert (one.model, two.model) == ("hrnet_w32", "rtmpose_t")
    assert one.data == two.data == ("people",) and one.val == two.val == "last:4"
    assert one.limit == 50 and (one.lr, two.lr) == (2e-3, 1e-3)
    assert one.epochs == two.epochs == 21 and one.milestones == two.milestones == (17, 20)
    assert two.optimizer == hrnet.optimizer and two.weight_decay == hrnet.weight_decay
    assert one.augment.rotate == two.augment.rotate == 30
    assert one.augment.scale == hrnet.augment.scale and two.augment.scale == 0.25
    assert one.options == {"codec": "simcc", "input_size": (96, 128)}
    assert two.options == {**one.options, "neck": ("gau",)}
    assert [plan.variants[1].seeded(n).seed for n in range(3)] == [7, 8, 9]


def test_texts_of_options_stay_texts(tmp_path: Path) -> None:
    text = DATA + ONE + 'options.codec = "3"\noptions.x = { a = "true", b = [1, 2] }\n'
    recipe = read_plan(written(tmp_path, text)).variants[0].recipe
    assert recipe.options == {"codec": "3", "x": {"a": "true", "b": (1, 2)}}


def test_several_sets_and_another_test_set(tmp_path: Path) -> None:
    text = '[data]\ntrain = ["a", "b"]\nval = "c"\ntest = "d"\ntest_images = "e"\n' + ONE
    plan = read_plan(written(tmp_path, text))
    assert plan.variants[0].recipe.data == ("a", "b")
    assert (plan.test, plan.test_images) == ("d", "e")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("repet = 2\n" + DATA + ONE, "'repet' is unknown; did you mean 'repeat'"),
        (DATA + 'vall = "x"\n' + ONE, r"\[data\] 'vall' is unknown; did you mean 'val'"),
        (DATA + "[recipe]\nval_split = 0.5\n" + ONE, r"\[recipe\] sets val_split; it goes into"),
        (DATA + '[recipe]\nmodel = "x"\n' + ONE, r"\[recipe\] sets model; a variant names it"),
        (DATA + ONE + "limit = 5\n", "variant 'one': it sets limit; it goes into"),
        (DATA + "[recipe]\nepoch = 5\n" + ONE, "variant 'one': a recipe has no 'epoch'; did you"),
        (DATA + ONE + "momentum = 0.5\n", "momentum has no effect without optimizer=sgd"),
        (DATA + ONE + "lr = -1\n", "variant 'one': .*lr"),
        (DATA + ONE + "lr = 1979-05-27\n", "lr = 1979-05-27: a recipe has no such values"),
        (DATA, "no variants"),
        (DATA + '[variant]\nname = "a"\n', "no variants"),
        (DATA + ONE + ONE.replace("one", "ONE"), "two variants are called 'ONE'"),
        (DATA + ONE.replace("one", "../one"), "variant 1: name = '../one'"),
        (DATA + "[[variant]]\nname = 'a'\n", "variant 'a': name its network"),
        (DATA + ONE.replace("hrnet_w32", "hrnet_w33"), "hrnet_w33"),
        ("[data]\ntrain = 'x'\n" + ONE, r"\[data\] needs train and val"),
        ("repeat = 0\n" + DATA + ONE, "repeat = 0; give a whole number"),
        ("repeat = true\n" + DATA + ONE, "repeat = True"),
        ("flip = 1\n" + DATA + ONE, "flip = 1; give true or false"),
        ("data = 1\n" + ONE, "data is not a table"),
        (DATA + "test = 3\n" + ONE, r"\[data\] test = 3; give a text"),
    ],
)
def test_what_is_wrong_is_told_in_one_line(tmp_path: Path, text: str, told: str) -> None:
    with pytest.raises(UsageError, match=told) as caught:
        read_plan(written(tmp_path, text))
    assert str(caught.value).startswith(str(tmp_path / "study.toml")) and "\n" not in str(caught)


def test_what_is_no_toml(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="not a study in TOML"):
        read_plan(written(tmp_path, "[[variant\n"))
    with pytest.raises(SourceError, match="cannot be read"):
        read_plan(tmp_path / "gone.toml")


def test_the_study_of_the_documentation_can_be_built(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    from posewright.models import create

    page = (Path(__file__).parents[2] / "docs" / "compare.md").read_text("utf-8")
    text = page.partition('```toml title="study.toml"\n')[2].partition("```")[0]
    plan = read_plan(written(tmp_path, text))
    made = []
    for variant in plan.variants:
        with torch.device("meta"):
            model = create(variant.recipe.model, **variant.recipe.options)
        made.append(sum(p.numel() for p in model.parameters()))
    assert plan.repeat == 3 and len(set(made)) == len(made) == 8

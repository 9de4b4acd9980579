"""Recipes: every network has one, settings are checked, and files keep them."""

from __future__ import annotations

import importlib.util
import json
import math
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from posewright.augment import Augmentation
from posewright.errors import SourceError, UsageError
from posewright.models import variants
from posewright.recipes import toml
from posewright.recipes.groups import RTMOSettings, STNSettings
from posewright.recipes.lookup import families, has_recipe, names, recipe_for, recipe_of
from posewright.recipes.recipe import Recipe, describe_settings

ROOT = Path(__file__).parents[2]

# --- the published numbers ----------------------------------------------------------------------


def test_every_network_has_one_recipe() -> None:
    assert [name for name in variants() if not has_recipe(name)] == []
    every = [name for family in families() for name in family.networks]
    assert sorted(every) == list(variants()) and set(names()) <= set(every)
    assert all(recipe_for(name).model == name for name in every)
    assert all(family.source for family in families())


PUBLISHED = {
    "simple_baseline_r50": {"optimizer": "adam", "lr": 1e-3, "epochs": 140, "batch": 128},
    "hrnet_w32": {"lr": 1e-3, "epochs": 210, "milestones": (170, 200), "weight_decay": 0.0},
    "fastpose_r50": {"epochs": 200, "milestones": (90, 120, 160, 190), "restart": 140},
    "alphapose_old_r101": {"optimizer": "rmsprop", "lr": 2.5e-4, "epochs": 200},
    "fastpose_r50_dcn": {"epochs": 270, "restart": 210},
    "fastpose_r50_dcn_combined": {"epochs": 320, "restart": 230},
    "fastpose_r50_mindspore": {"epochs": 270, "milestones": (170, 200)},
    "simple_pose_duc_se": {"epochs": 180, "milestones": (120, 160)},
    "deeppose_r50": {"lr": 5e-4, "epochs": 210, "batch": 512, "warmup": 500},
    "rle_mobilenetv2": {"lr": 1e-3, "epochs": 210, "batch": 512},
    "seresnet_50": {"lr": 5e-4, "epochs": 210, "batch": 512},
    "simcc_r50": {"lr": 1e-3, "epochs": 140, "milestones": (90, 120)},
    "rle_r50": {"epochs": 270, "milestones": (170, 200)},
    "vitpose_s": {"layer_decay": 0.8},
    "vitpose_b": {"optimizer": "adamw", "lr": 5e-4, "weight_decay": 0.1, "layer_decay": 0.75},
    "vitpose_h": {"layer_decay": 0.85, "clip": 1.0, "warmup": 500},
    "vitpose_plus_l": {"lr": 1e-3, "layer_decay": 0.8},
    "hrformer_b": {"optimizer": "adamw", "lr": 5e-4, "weight_decay": 0.01, "epochs": 210},
    "tokenpose_l_d24": {"lr": 1e-3, "epochs": 300, "milestones": (200, 260)},
    "lite_hrnet_18": {"lr": 2e-3, "warmup": 500},
    "rtmpose_t": {"lr": 4e-3, "weight_decay": 0.0, "ema": 0.0},
    "rtmpose_m": {"lr": 4e-3, "weight_decay": 0.05, "epochs": 420, "cosine_from": 210},
    "rtmo_s": {"epochs": 600, "clip": 0.1, "lr_multipliers": {"neck.encoder": 0.05}},
    "yoloxpose_s": {"epochs": 300, "cosine_until": 280, "ema": 0.9998},
    "yolo_pose_s6": {"optimizer": "sgd", "lr": 0.01, "final_factor": 0.2},
    "poseur_r50": {"lr": 1e-3, "weight_decay": 1e-4, "epochs": 325, "milestones": (255, 310)},
    "posefix_r152": {"lr": 5e-4, "epochs": 140, "milestones": (90, 120)},
    "dekr_w32": {"lr": 1e-3, "epochs": 140, "milestones": (90, 120)},
    "adaptivepose_dla34": {"lr": 2.5e-4, "epochs": 280, "milestones": (230, 260)},
    "movenet_fire717": {"lr": 1e-3, "epochs": 120, "batch": 64, "weight_decay": 5e-4},
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_values(name: str) -> None:
    recipe = recipe_for(name)
    assert {key: getattr(recipe, key) for key in PUBLISHED[name]} == PUBLISHED[name]


def test_published_augmentations() -> None:
    hrnet, fastpose = recipe_for("hrnet_w48").augment, recipe_for("fastpose_r50").augment
    assert (hrnet.rotate, hrnet.scale, hrnet.half_body) == (45, 0.35, 0.3)
    assert (fastpose.rotate, fastpose.scale, fastpose.half_body) == (40, 0.3, 0)
    assert (fastpose.pgpg, fastpose.pgpg_from) == ("alphapose", 140)
    dekr = recipe_for("dekr_w32").augment
    assert (dekr.scale_middle - dekr.scale, dekr.scale_middle + dekr.scale) == (0.75, 1.5)


def test_no_recipe_for_an_unknown_network() -> None:
    with pytest.raises(UsageError, match="did you mean 'hrnet_w32'"):
        recipe_for("hrnet_w23")
    with pytest.raises(UsageError, match=r"^no recipe for 'evil:pebble'; known networks"):
        recipe_for("evil:pebble")
    with pytest.raises(UsageError, match="did you mean 'hrnet_w32'"):
        recipe_for("evil:hrnet_w32")


PEBBLE = """
import json, sys
import posewright.models
posewright.models.__path__.append(sys.argv[1])
from posewright.cli import main
assert [main(command) for command in json.loads(sys.argv[2])] == [0, 0, 0, 0, 0, 0]
"""


def test_adding_a_network_is_adding_a_file(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "extend.md").read_text(encoding="utf-8")
    block = re.search(r"```python title=[^\n]*pebble.py\"\n(.*?)```", page, re.DOTALL)
    assert block is not None
    text, recipes = re.subn(r", recipe=Recipe\(.*\)\)", ")", block[1])
    assert recipes == 1
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "pebble.py").write_text(text, encoding="utf-8")
    labels, run = str(tmp_path / "set" / "annotations.json"), str(tmp_path / "run")
    small = ["options.input_size=[64,64]", "epochs=1", "batch=2", "val_split=0.5"]
    commands = [
        ["data", "synth", "-o", str(tmp_path / "set"), "--count", "4"],
        ["models", "info", "pebble"],
        ["train", labels, "-m", "pebble", "--show"],
        ["train", labels, "-m", "pebble", "-o", run, *small],
        ["eval", "coco", "--ann", labels, "-m", f"{run}/last.safetensors"],
        [
            "export",
            "pebble",
            "--random-weights",
            "--format",
            "torch",
            "-o",
            str(tmp_path / "pebble.safetensors"),
        ],
    ]
    done = subprocess.run(
        [sys.executable, "-c", PEBBLE, str(tmp_path / "more"), json.dumps(commands)],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "no recipe is published for pebble: unset settings are those of HRNet" in done.stdout
    assert "note: no recipe is published for pebble: these are the settings of HRNet" in done.stderr
    recipe = Recipe.read(tmp_path / "run" / "recipe.toml")
    hrnet = recipe_for("hrnet_w32").with_overrides(["epochs=1"])
    assert (recipe.lr, recipe.milestones, recipe.augment) == (
        hrnet.lr,
        hrnet.milestones,
        hrnet.augment,
    )


def test_the_page_is_current() -> None:
    path = ROOT / "tools" / "write_recipes_page.py"
    spec = importlib.util.spec_from_file_location("write_recipes_page", path)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    written = (ROOT / "docs" / "recipes.md").read_text(encoding="utf-8")
    assert written == module.page(), "run: python tools/write_recipes_page.py"


def test_recipes_need_no_torch() -> None:
    code = (
        "import sys\nfrom posewright.recipes.lookup import recipe_for\nrecipe_for('vitpose_b')\n"
        "print(sorted({'torch', 'cv2', 'safetensors'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


# --- overrides ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "key", "value"),
    [
        ("lr=1e-3", "lr", 1e-3),
        ("lr=1", "lr", 1.0),
        ("batch=64", "batch", 64),
        ("batch=64.0", "batch", 64),
        ("compile=true", "compile", True),
        ("milestones=[10, 20]", "milestones", (10, 20)),
        ("milestones=7", "milestones", (7,)),
        ("freeze=[backbone.layer1, neck]", "freeze", ("backbone.layer1", "neck")),
        ("freeze=backbone", "freeze", ("backbone",)),
        ("freeze=[]", "freeze", ()),
        ("data=a b.json", "data", ("a b.json",)),
        ("cache=123", "cache", "123"),
        ('cache="1 2"', "cache", "1 2"),
        ("val=last:400", "val", "last:400"),
        ("options.input_size=[96,128]", "options", {"input_size": (96, 128)}),
        ("options.codec.sigma=3", "options", {"codec": {"sigma": 3}}),
        ("options.codec=simcc", "options", {"codec": "simcc"}),
        ('options={"a": [1, {"b": true}]}', "options", {"a": (1, {"b": True})}),
        ("lr_multipliers.neck.encoder=0.5", "lr_multipliers", {"neck.encoder": 0.5}),
        ("optimizer=sgd", "optimizer", "sgd"),
        ("kind=", "kind", ""),
    ],
)
def test_overrides(text: str, key: str, value: Any) -> None:
    found = getattr(Recipe().with_overrides([text]), key)
    assert found == value and type(found) is type(value)


def test_overrides_reach_augmentation_together() -> None:
    augment = Recipe().with_overrides(["augment.scale_middle=0.3", "augment.scale=.1"]).augment
    assert augment == replace(Augmentation(), scale_middle=0.3, scale=0.1)


def test_whole_numbers_of_an_augmentation_may_become_fractions() -> None:
    recipe = Recipe(augment=Augmentation.none()).with_overrides(["augment.flip=0.5"])
    assert recipe.augment.flip == 0.5
    assert Recipe.from_dict(toml.loads(recipe.to_toml())) == recipe


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("lrr=1", "no 'lrr'; did you mean 'lr'"),
        ("rotate=3", "did you mean 'augment.rotate'"),
        ("augment.rotat=3", "did you mean 'augment.rotate'"),
        ("augment.rotate=fast", "invalid augment.rotate='fast'"),
        ("augment.flip=2", "augment.flip=2.0.*from 0 to 1"),
        ("augment=1", "augment is a group of settings; set one of them: augment.flip=0.5"),
        ("stn=true", "stn is a group of settings; set one of them: stn.loss_weight=1.0"),
        ("stn.lables=boxes", "no 'stn.lables'; did you mean 'stn.labels'"),
        ("stn.labels=box", "one of centred, cropped, boxes; did you mean 'boxes'"),
        ("parallel_labels=box", "invalid stn.labels='box'"),
        ("width=4", "did you mean 'oks_loss.width'"),
        ("weight=a.safetensors", "did you mean 'weights'"),
        ("teach_form=4", "did you mean 'rtmo.teach_from'"),
        ("rtmo.teach_from=-1", "rtmo.teach_from must be a whole number of at least 0"),
        ("lr=-1", "invalid lr=-1; lr must be a number of at least 0"),
        ("lr=nan", "invalid lr='nan'"),
        ("lr=1e999", "invalid lr=inf"),
        ("lr=true", "invalid lr=True"),
        ("epochs=0", "invalid epochs=0; epochs must be a whole number of at least 1"),
        ("epochs=1.5", "invalid epochs=1.5"),
        ("optimizer=adm", "one of adam, adamw, sgd, rmsprop; did you mean 'adam'"),
        ("betas=[.9]", "betas must be two numbers"),
        ("milestones=[1, x]", "milestones must be a list"),
        ("compile=1", "compile must be true or false"),
        ("model.x=2", "has no entries"),
        ("options.=2", "empty name"),
        ("options=2", "options must be a table"),
        ("options.a.b.c=2", "b is 1 and has no entries"),
        ("lr_multipliers.neck=fast", "lr_multipliers must be a table"),
        ("lr", "write key=value"),
        ("=3", "write key=value"),
        ("cache=\0", "cache must be text"),
    ],
)
def test_what_cannot_be_is_one_line(text: str, says: str) -> None:
    with pytest.raises(UsageError, match=says) as error:
        Recipe(options={"a": {"b": 1}}).with_overrides([text])
    assert "\n" not in str(error.value)


def test_epochs_move_the_other_epochs() -> None:
    short = recipe_for("fastpose_r50").with_overrides(["epochs=20"])
    assert (short.milestones, short.restart, short.augment.pgpg_from) == ((9, 12, 16, 19), 14, 14)
    cosine = recipe_for("yoloxpose_s").with_overrides(["epochs=60"])
    assert (cosine.cosine_from, cosine.cosine_until) == (1, 56)


def test_epochs_leave_what_is_given() -> None:
    recipe = recipe_for("fastpose_r50").with_overrides(
        ["milestones=[5]", "epochs=20", "restart=3", "augment.pgpg_from=2"]
    )
    assert (recipe.milestones, recipe.restart, recipe.augment.pgpg_from) == ((5,), 3, 2)


def test_aid_trains_once_more_with_dropped_squares() -> None:
    plain = recipe_for("hrnet_w32")
    aid = plain.with_overrides(["plan=aid"])
    assert (aid.epochs, aid.milestones, aid.restart) == (420, (170, 200, 380, 410), 210)
    assert (aid.augment.hide, aid.augment.hide_share, aid.augment.drop_from) == (1, 0.5, 210)
    assert replace(aid, **{k: getattr(plain, k) for k in PLANNED}) == plain
    short = plain.with_overrides(["epochs=42", "augment.hide=0.5", "plan=aid"])  # in any order
    assert (short.milestones, short.restart) == ((17, 20, 38, 41), 21)
    assert (short.augment.hide, short.augment.drop_from) == (0.5, 21)
    assert Recipe.from_dict(aid.to_dict()) == aid
    assert recipe_of("hrnet_w32", "a.json", {"plan": "aid"}) == replace(aid, data=("a.json",))


PLANNED = ("epochs", "milestones", "restart", "augment")


def test_aid_long_drops_squares_all_the_time() -> None:
    aid = recipe_for("hrnet_w32").with_overrides(["plan=aid-long"])
    assert (aid.epochs, aid.milestones, aid.restart) == (420, (340, 400), 0)
    assert (aid.augment.hide, aid.augment.drop_from) == (1, 0)
    cosine = recipe_for("rtmpose_s").with_overrides(["plan=aid-long"])
    assert (cosine.epochs, cosine.cosine_from, cosine.augment.erase) == (840, 420, 1)


@pytest.mark.parametrize(
    ("model", "texts", "says"),
    [
        ("hrnet_w32", ["plan=aids"], "plan=aids; known: aid, aid-long.*did you mean 'aid'"),
        ("hrnet_w32", ["plan=aid", "plan=aid"], "has augment.hide already; leave the plan out"),
        ("rtmpose_s", ["plan=aid"], "rtmpose_s has another one; take plan=aid-long"),
        ("fastpose_r50", ["plan=aid"], "fastpose_r50 has another one; take plan=aid-long"),
    ],
)
def test_a_plan_that_has_no_place_is_refused(model: str, texts: list[str], says: str) -> None:
    with pytest.raises(UsageError, match=says):
        recipe_for(model).with_overrides(texts)


def test_every_setting_says_what_it_is() -> None:
    found = describe_settings()
    keys = [key for key in Recipe().settings() if not key.startswith("augment.")]
    assert [row[0] for row in found] == keys
    assert all(allowed and says for _, _, allowed, says in found)


EARLIER = """
epochs = 100
parallel = 5.0
parallel_labels = "cropped"
oks_width = 4.0
teach_from = 20
"""
NOW = """
epochs = 100
[stn]
loss_weight = 5.0
labels = "cropped"
[oks_loss]
width = 4.0
[rtmo]
teach_from = 20
"""


def test_settings_of_a_method_are_a_group_and_load_by_their_earlier_names() -> None:
    grouped, flat = (Recipe.from_dict(toml.loads(text)) for text in (NOW, EARLIER))
    assert flat == grouped and flat.to_toml() == grouped.to_toml()
    assert (grouped.stn.loss_weight, grouped.stn.labels) == (5, "cropped")
    assert (grouped.oks_loss.width, grouped.rtmo.teach_from) == (4, 20)
    written = toml.loads(flat.to_toml())
    assert written["stn"] == {"loss_weight": 5.0, "labels": "cropped"}
    assert not {"parallel", "parallel_labels", "oks_width", "teach_from"} & written.keys()


def test_earlier_names_may_stand_beside_their_group() -> None:
    mixed = Recipe.from_dict(toml.loads('parallel = 5\n[stn]\nlabels = "boxes"'))
    assert (mixed.stn.loss_weight, mixed.stn.labels) == (5, "boxes")


@pytest.mark.parametrize(
    ("earlier", "now"),
    [
        ("parallel=5", "stn.loss_weight=5"),
        ("parallel_labels=boxes", "stn.labels=boxes"),
        ("oks_width=4", "oks_loss.width=4"),
        ("teach_from=30", "rtmo.teach_from=30"),
    ],
)
def test_overrides_take_earlier_names(earlier: str, now: str) -> None:
    plain = Recipe(options={"stn": True})
    assert plain.with_overrides([earlier]) == plain.with_overrides([now]) != plain
    # where a given epoch does not move with the number of epochs
    long = replace(recipe_for("rtmo_s"), options={"stn": True})
    assert long.with_overrides(["epochs=60", earlier]) == long.with_overrides(["epochs=60", now])


# --- files --------------------------------------------------------------------------------------

words = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12)
values = st.recursive(
    st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | words,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3),
    max_leaves=6,
)
epochs = st.integers(0, 10**6)
recipes = st.builds(
    Recipe,
    model=words,
    options=st.dictionaries(words, values, max_size=4),
    data=st.lists(words, max_size=3),
    lr=st.floats(0, 1e300),
    milestones=st.lists(epochs, max_size=4),
    betas=st.tuples(st.floats(0, 0.999), st.floats(0, 0.999)),
    compile=st.booleans(),
    seed=st.integers(0, 2**63 - 1),
    lr_multipliers=st.dictionaries(words, st.floats(0, 10), max_size=3),
    stn=st.builds(STNSettings, st.floats(0, 1e300), st.sampled_from(["cropped", "boxes"])),
    rtmo=st.builds(RTMOSettings, epochs),
    augment=st.builds(Augmentation, pgpg=words, rotate=st.floats(0, 180), pgpg_from=epochs),
)


@given(recipes)
@settings(max_examples=150, deadline=None)
def test_a_file_keeps_a_recipe(recipe: Recipe) -> None:
    again = Recipe.from_dict(toml.loads(recipe.to_toml()))
    assert again == recipe and repr(again) == repr(recipe)


@given(st.dictionaries(words, values, max_size=5))
@settings(max_examples=150, deadline=None)
def test_toml_round_trip(table: dict[str, Any]) -> None:
    assert toml.loads(toml.dumps(table)) == table


def test_toml_writes_numbers_without_a_value_and_refuses_nothing() -> None:
    found = toml.loads(toml.dumps({"a": math.inf, "b": -math.inf, "c": math.nan}))
    assert found["a"] == math.inf and found["b"] == -math.inf and math.isnan(found["c"])
    with pytest.raises(TypeError, match="no form for None"):
        toml.dumps({"a": None})


@pytest.mark.parametrize("name", ["vitpose_b", "rtmo_s", "fastpose_r50"])
def test_published_recipes_survive_a_file(name: str, tmp_path: Path) -> None:
    recipe = recipe_for(name).with_overrides(["options.input_size=[96,128]", "data=[a, b]"])
    path = tmp_path / "recipe.toml"
    path.write_text(recipe.to_toml(), encoding="utf-8")
    assert Recipe.read(path) == recipe


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("lr = ", "not a recipe in TOML"),
        ("lrr = 1", "did you mean 'lr'"),
        ("lr = nan", "invalid lr=nan"),
        ("augment = 1", "expected a table"),
        ("stn = true", "invalid stn: expected a table"),
        ("parallel = 2\nstn = true", "invalid stn: expected a table"),
        ("[stn]\nlable = 'boxes'", "did you mean 'stn.labels'"),
        ("[oks_loss]\nwidth = 0", "oks_loss.width must be a number from 1 to 100"),
        ("oks_width = 0", "oks_loss.width must be a number from 1 to 100"),
        ("teach_from = 3\n[rtmo]\nteach_from = 3", "teach_from is now rtmo.teach_from; .* both"),
        ("[augment]\nflip = 'x'", "augment.flip='x'"),
        ("[options]\nwhen = 2020-01-01", "options must be a table"),
        (f"options = {'[' * 50_000}", "not a recipe in TOML"),
        (f"options = {'[' * 100_000}", "cannot be read \\(it has more than 65536 bytes"),
    ],
)
def test_bad_files_are_one_line(text: str, says: str, tmp_path: Path) -> None:
    path = tmp_path / "recipe.toml"
    path.write_text(text, encoding="utf-8")
    broken = "not a recipe" in says or "cannot be read" in says
    with pytest.raises(SourceError if broken else UsageError, match=says) as error:
        Recipe.read(path)
    assert "\n" not in str(error.value) and str(path) in str(error.value)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="cannot be read"):
        Recipe.read(tmp_path / "none.toml")
    path = tmp_path / "latin.toml"
    path.write_bytes(b"model = '\xe9'")
    with pytest.raises(SourceError, match="not a recipe in TOML"):
        Recipe.read(path)


@pytest.mark.parametrize("text", ["{} = 1", "[{}]", "data = [{{{} = 1}}]"])
def test_a_key_of_many_parts_is_refused_at_once(tmp_path: Path, text: str) -> None:
    """One of 30,000 parts took gigabytes."""
    (tmp_path / "r.toml").write_text(text.format(".".join(["a"] * 2000)))
    with pytest.raises(SourceError, match="more than 500 dots"):
        Recipe.read(tmp_path / "r.toml")


@pytest.mark.parametrize(
    ("model", "words", "needed"),
    [
        ("hrnet_w32", ["stn.loss_weight=5"], r"--stn \(options\.stn=true\)"),
        ("hrnet_w32", ["stn.loss_weight=1"], r"--stn"),
        ("hrnet_w32", ["stn.labels=boxes", "options.stn=false"], r"--stn"),
        ("hrnet_w32", ["options.stn=true", "stn.labels=boxes", "stn.loss_weight=0"], "loss_weight"),
        ("hrnet_w32", ["augment.pgpg_from=3"], r"augment\.pgpg=alphapose"),
        ("hrnet_w32", ["augment.half_body=0", "augment.half_body_joints=3"], "half_body above 0"),
        ("hrnet_w32", ["augment.hide_share=0.2"], "augment.hide above 0"),
        ("hrnet_w32", ["augment.drop_from=3"], "augment.erase or augment.hide above 0"),
        ("hrnet_w32", ["schedule=cosine", "gamma=0.5"], "schedule=step"),
        ("hrnet_w32", ["cosine_from=3"], "schedule=cosine"),
        ("hrnet_w32", ["momentum=0.5"], "optimizer=sgd"),
        ("rtmpose_t", ["milestones=[1,2]"], "schedule=step"),
        ("hrnet_w32", ["warmup=0", "warmup_factor=0.1"], "warmup above 0"),
    ],
)
def test_a_setting_of_a_method_that_is_off_is_refused(
    model: str, words: list[str], needed: str
) -> None:
    with pytest.raises(UsageError, match=rf"has no effect without .*{needed}.*; add that, or"):
        recipe_for(model).with_overrides(words)


def test_a_method_that_is_switched_on_or_off_takes_its_settings_along() -> None:
    plain = recipe_for("hrnet_w32")
    for words in (
        ["stn.loss_weight=5", "options.stn=light"],
        ["options.stn=light", "stn.labels=boxes"],
        ["augment.pgpg_from=3", "augment.pgpg=alphapose"],
        ["cosine_from=3", "schedule=cosine"],
        ["schedule=constant"],  # the milestones of the published recipe do no harm
    ):
        assert plain.with_overrides(words) != plain
    recipe_for("fastpose_duc_r50").with_overrides(["augment.pgpg="])

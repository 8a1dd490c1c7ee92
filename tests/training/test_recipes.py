"""Recipes: what they are, what they refuse, and the schedule of the paper's logs."""

from dataclasses import asdict

import pytest
import torch
from ichnode_training.backbone import PACKAGES
from ichnode_training.learner import Learner, counts
from ichnode_training.pictures import Batch
from ichnode_training.recipe import Augmentation, Losses, RecipeError
from ichnode_training.recipe_file import as_values, changed, names, read_recipe, recipe_from
from ichnode_training.schedule import rate
from ichnode_training.start import StartError, first_state

from ichnode.inference.bundle import Architecture, Preprocessing, default_bundle_path, load_bundle
from ichnode.inference.network import CnnLstm

LOGGED = {1: 0.000332, 2: 0.000659, 3: 0.000975, 4: 0.000957, 10: 0.000750, 15: 0.000500, 20: 0.000250, 30: 0.0}
"""Learning rate at the end of epochs, as the authors' logs print it."""
TRAINED_ON = 19_530


def test_the_schedule_is_the_one_of_the_authors_logs():
    recipe = read_recipe("paper-resnet50")
    steps = recipe.steps(TRAINED_ON)
    assert steps == 58_590
    for epoch, printed in LOGGED.items():
        found = recipe.optimisation.rate * rate(epoch * steps // 30, steps, recipe.optimisation.warm_up * steps)
        assert found == pytest.approx(printed, abs=1e-6), epoch
    assert rate(0, steps, 5859) == 0
    assert rate(5859 // 2, steps, 0) == pytest.approx(1, abs=0.01)


def test_every_recipe_that_comes_with_the_lab_is_whole():
    assert set(names()) >= {"paper-resnet50", "paper-seresnext50", "baseline-2d", "shipped", "better-resnet50"}
    for name in names():
        recipe = read_recipe(name)
        assert recipe.name == name
        assert recipe_from(as_values(recipe)) == recipe


def test_the_papers_recipes_are_the_defaults_and_differ_in_what_they_say():
    paper, wider, flat = (read_recipe(name) for name in ("paper-resnet50", "paper-seresnext50", "baseline-2d"))
    assert (paper.architecture, paper.preprocessing) == (Architecture(), Preprocessing())
    assert changed(paper, {"name": "", "architecture.backbone": wider.architecture.backbone}) == changed(
        wider, {"name": ""}
    )
    assert changed(paper, {"name": "", "architecture.layers": 0}) == changed(flat, {"name": ""})
    assert asdict(paper.optimisation) == asdict(recipe_from({"name": "x", "optimisation": {"epochs": 30}}).optimisation)


def test_loss_and_optimiser_are_those_of_the_authors_code():
    """BCEWithLogitsLoss(weight=[2, 1, 1, 1, 1, 1]), the mean over slices and classes; AdamW(1e-3, eps 1e-3, decay 1e-2)
    without decay of what is called a bias; two steps of accumulation count half each."""
    recipe = changed(read_recipe("paper-resnet50"), {"architecture.backbone": "test_resnet", "architecture.hidden": 8})
    learner = Learner(recipe, CnnLstm.build(recipe.architecture).state_dict(), frozenset(), torch.device("cpu"))
    optimiser = learner.optimiser
    assert isinstance(optimiser, torch.optim.AdamW)
    for group in optimiser.param_groups:
        assert (group["lr"], group["eps"], group["betas"]) == (1e-3, 1e-3, (0.9, 0.999))
    decay = {id(p): group["weight_decay"] for group in optimiser.param_groups for p in group["params"]}
    for name, parameter in learner.network.named_parameters():
        assert decay[id(parameter)] == (0 if "bias" in name else 1e-2), name
    assert any(".bn1.weight" in name or name.endswith("bn1.weight") for name, _ in learner.network.named_parameters())

    learner.eval()
    labels = torch.tensor([[1.0, 0, 0, 1, 0, 0], [0, 0, 0, 0, 0, 0], [1, 0, 0.3, 0, 0, 1]])
    seen = torch.randn(3, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    batch = Batch(seen, labels, torch.zeros(1, 6), (3,), None, torch.zeros(3), (frozenset(),))
    theirs = torch.nn.BCEWithLogitsLoss(weight=torch.tensor([2.0, 1, 1, 1, 1, 1]))
    with torch.no_grad():
        assert float(learner(batch, seen, counts(batch))) == pytest.approx(
            float(theirs(learner.network(seen, [3]), labels)), rel=1e-5
        )
    assert (recipe.sampling.length, recipe.sampling.sequences, recipe.sampling.groups) == (10, 5, 2)
    assert (recipe.optimisation.clip, recipe.optimisation.averaging, recipe.losses) == (0, 0, Losses())


def test_the_shipped_recipe_varies_sequences_as_a_whole_and_mixes_no_patients():
    assert read_recipe("shipped").augmentation == Augmentation("head", per_slice=False, cutmix="off")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("learning_rate = 1", "There is no setting learning_rate"),
        ("[optimisation]\nepochs = 1\nmomentum = 0.9", "There is no setting optimisation.momentum"),
        ("[augmentation]\ncutmix = 'always'", "augmentation.cutmix"),
        ("[sampling]\nlength = 'ten'", "sampling.length"),
        ("[optimisation]\nepochs = 1\nsteps = 5", "either epochs or steps"),
        ("[optimisation]\nsteps = 0", "above 0"),
        ("[preprocessing]\nneighbours = 1", "makes 9 channels"),
        ("[architecture]\nchannels = 9\n[preprocessing]\nneighbours = 1", "tears the neighbours"),
        ("[architecture]\nattention = true", "losses.scan alone"),
        ("[sampling]\nreal = 0.8\nadded = 0.4", "add up to 1"),
        ("[augmentation]\nkind = 'features'", "frozen_cnn"),
        ("start = 'bundle'\n[optimisation]\nepochs = 1\nfrozen_cnn = true", "features that are computed once"),
        ("sampling = 3", "has to be a table"),
        ("= broken", "recipe.toml"),
    ],
)
def test_what_a_recipe_cannot_say_is_refused_by_name(tmp_path, text, said):
    file = tmp_path / "recipe.toml"
    file.write_text(text)
    with pytest.raises(RecipeError, match=said):
        read_recipe(str(file))


def test_steps_take_the_place_of_epochs_and_the_other_way_round():
    steps = changed(read_recipe("paper-resnet50"), {"optimisation.steps": 7})
    assert (steps.optimisation.epochs, steps.steps(1000)) == (None, 7)
    assert changed(steps, {"optimisation.epochs": 2}).steps(1000) == 200


def test_a_missing_recipe_names_those_there_are():
    with pytest.raises(RecipeError, match="better-resnet50"):
        read_recipe("nothing-of-the-kind")


def test_imagenet_weights_that_are_not_at_hand_are_asked_for():
    with pytest.raises(StartError, match="--init"):
        first_state(read_recipe("paper-resnet50"))


def test_the_shipped_recipe_is_the_one_the_shipped_card_tells():
    recipe, card = read_recipe("shipped"), load_bundle(default_bundle_path()).card
    assert recipe.sampling.a_step * recipe.sampling.length == card["training"]["slices_a_step"]
    assert recipe.optimisation.steps == card["training"]["steps"]
    assert recipe.architecture == Architecture(**card["architecture"])
    assert recipe.preprocessing == Preprocessing.from_json(card["preprocessing"])


def test_weights_in_a_package_that_is_not_there_are_asked_for_by_its_name(monkeypatch):
    recipe = changed(read_recipe("shipped"), {"architecture.backbone": "tf_efficientnet_lite2"})
    monkeypatch.setitem(PACKAGES, "tf_efficientnet_lite2", "no_such_package_of_weights")
    with pytest.raises(StartError, match="no_such_package_of_weights: install it"):
        first_state(recipe)

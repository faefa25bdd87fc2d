"""Members: the models of an ensemble, passes with seeds, views, and an axis of the model's own, beside their mean."""

import numpy as np
import pytest

from probly.data_generator import FirstOrderDataGenerator, InvalidOutputError
from probly.data_generator.hookspecs import hookimpl
from probly.data_generator.run.passes import Passes

RANDOM = np.random.default_rng(5)
X = RANDOM.normal(size=(23, 4))
WEIGHTS = RANDOM.normal(size=(3, 4, 3))
MODELS = [lambda inputs, weights=weights: inputs @ weights for weights in WEIGHTS]


def softmax(logits):
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)


EXPECTED = softmax(np.einsum("nf,mfk->nmk", X, WEIGHTS))


class Noise:
    """A wrapper that gives the agnostic backend something random: noise on the inputs, from the seed alone."""

    def __init__(self, hook):
        self.hook, self.seeds = hook, []

    @hookimpl(tryfirst=True)
    def stochastic_forward(self, model, inputs, batch_size, seed):
        self.seeds.append(seed)
        noise = np.random.default_rng(seed).normal(size=inputs.shape)
        return self.hook.forward(model=model, inputs=inputs + noise, batch_size=batch_size)


def run(model=MODELS, data=X, *, keep=(), progress=False, **options):
    options = {"backend": "numpy", "batch_size": 5, "output_mode": "logits", **options}
    return FirstOrderDataGenerator(model, **options).generate_distributions(data, progress=progress, keep=keep)


def test_the_members_of_a_list_of_models_stand_beside_their_mean():
    found = run()
    np.testing.assert_allclose(found.members, EXPECTED, atol=1e-6)
    np.testing.assert_allclose(found.probabilities, EXPECTED.mean(axis=1), atol=1e-6)
    np.testing.assert_array_equal(found.probabilities, found.members.mean(axis=1, dtype=np.float64).astype(np.float32))
    assert found.meta["members"] == 3
    assert len(found.meta["models"]) == 3


def test_a_list_of_one_model_has_one_member_and_a_model_alone_has_none():
    found = run(MODELS[:1])
    np.testing.assert_array_equal(found.members[:, 0], found.probabilities)
    alone = run(MODELS[0])
    np.testing.assert_array_equal(alone.probabilities, found.probabilities)
    assert alone.members is None
    assert "members" not in alone.meta


def test_each_model_of_a_list_has_a_mode_of_its_own():
    probs = FirstOrderDataGenerator(lambda inputs: softmax(inputs @ WEIGHTS[1]), backend="numpy", output_mode="probs")
    found = run([MODELS[0], probs, MODELS[2]])
    np.testing.assert_allclose(found.members, EXPECTED, atol=1e-6)
    assert found.meta["output_mode"] == "logits,probs,logits"


def test_members_land_under_their_index_when_a_loader_shuffles():
    order = np.random.default_rng(1).permutation(len(X))
    found = run(
        data=[(X[row], int(row)) for row in order], input_getter=lambda pair: pair[0], index_getter=lambda pair: pair[1]
    )
    np.testing.assert_allclose(found.members, EXPECTED, atol=1e-6)


def test_an_axis_of_the_models_own_is_taken_where_it_is_said():
    def model(inputs):
        return np.einsum("nf,mfk->nmk", inputs, WEIGHTS)

    np.testing.assert_array_equal(run(model, members=True).members, run().members)
    with pytest.raises(InvalidOutputError, match=r"set members=True where they are \(rows, members, classes\)"):
        run(model)
    with pytest.raises(
        InvalidOutputError, match=r"members=True: expected the shape \(rows, members, classes\), got \(5, 3\)"
    ):
        run(MODELS[0], members=True)


def test_another_number_of_members_is_refused():
    def model(inputs):
        return np.zeros((len(inputs), len(inputs), 2))

    with pytest.raises(InvalidOutputError, match="expected 5 members as before, got 3"):
        run(model, members=True)


def test_members_of_other_classes_are_refused():
    with pytest.raises(InvalidOutputError, match=r"expected equally many classes from all models, got \[3, 2\]"):
        run([MODELS[0], lambda inputs: inputs[:, :2]])


def test_a_member_that_is_no_distribution_is_named():
    with pytest.raises(
        InvalidOutputError, match="batch 2, index 12: the row is no distribution, member 1: it has a value that is not"
    ):
        run([MODELS[0], lambda inputs: np.where(inputs[:, :1] == X[12, 0], np.nan, inputs @ WEIGHTS[1])])


def test_models_that_name_other_columns_are_refused():
    class Named:
        def __init__(self, names):
            self.classes_ = np.array(names)

        def predict_proba(self, inputs):
            return softmax(inputs @ WEIGHTS[0])

    with pytest.raises(ValueError, match=r"model 0 has the columns .*, but model 1 has .*; a mean over them would mix"):
        run([Named(["a", "b", "c"]), Named(["b", "a", "c"])], output_mode="auto")


@pytest.mark.parametrize(("model", "message"), [([], "expected one or more models"), ([MODELS], "a list in it")])
def test_lists_that_are_no_ensemble_are_refused(model, message):
    with pytest.raises((ValueError, TypeError), match=message):
        run(model)


# Passes


def test_passes_differ_and_depend_on_the_seed_the_pass_and_the_first_row_alone():
    first, second = (run(MODELS[0], passes=4, seed=9, wrappers=[Noise]) for _ in range(2))
    np.testing.assert_array_equal(first.members, second.members)
    assert len(np.unique(first.members[0, :, 0])) == 4
    part = run(MODELS[0], X[:10], passes=2, seed=9, wrappers=[Noise])
    np.testing.assert_array_equal(part.members, first.members[:10, :2])
    assert not np.array_equal(run(MODELS[0], passes=4, seed=8, wrappers=[Noise]).members, first.members)
    assert (first.meta["passes"], first.meta["seed"], first.meta["members"]) == (4, 9, 4)


def test_seed_pass_and_first_row_all_tell_seeds_apart_and_those_of_a_store_stay():
    found = {Passes(9, seed).seed_of(number, row) for seed in range(9) for number in range(9) for row in range(9)}
    assert len(found) == 9**3
    # A store that was begun with an earlier version is continued with the same draws.
    assert [Passes(3, seed).seed_of(number, row) for seed, number, row in ((0, 0, 0), (7, 1, 64))] == [
        821328062,
        1082341434,
    ]


def test_a_pass_computes_what_its_seed_says():
    found = run(MODELS[0], passes=3, seed=2, wrappers=[Noise])
    passes = Passes(3, 2)
    for start in range(0, len(X), 5):
        for number in range(3):
            part = X[start : start + 5]
            noise = np.random.default_rng(passes.seed_of(number, start)).normal(size=part.shape)
            expected = softmax((part + noise) @ WEIGHTS[0])
            np.testing.assert_allclose(found.members[start : start + 5, number], expected, atol=1e-6)


def test_passes_without_anything_random_are_refused():
    class Nothing(Noise):
        @hookimpl(tryfirst=True)
        def stochastic_forward(self, model, inputs, batch_size, seed):
            return self.hook.forward(model=model, inputs=inputs, batch_size=batch_size)

    with pytest.raises(InvalidOutputError, match="all 3 passes gave the same scores"):
        run(MODELS[0], passes=3, wrappers=[Nothing])
    with pytest.raises(ValueError, match="backend 'numpy' cannot activate stochastic layers"):
        run(MODELS[0], passes=3)


def test_passes_that_are_the_same_by_chance_are_no_reason_to_refuse():
    """A store whose last row is left would never be finished: the same seed draws the same again."""

    class Rarely(Noise):
        @hookimpl(tryfirst=True)
        def stochastic_forward(self, model, inputs, batch_size, seed):
            noise = np.random.default_rng(seed).random() < 0.1
            return self.hook.forward(model=model, inputs=inputs + noise, batch_size=batch_size)

    for seed in range(8):
        found = run(MODELS[0], X[:1], passes=2, seed=seed, wrappers=[Rarely])
        assert found.members.shape == (1, 2, 3)


def test_views_of_a_sample_are_members():
    def augment(inputs, seed):
        return inputs * np.random.default_rng(seed).choice([-1.0, 1.0], inputs.shape)

    found = run(MODELS[0], passes=3, seed=4, augment=augment)
    passes = Passes(3, 4)
    for number in range(3):
        expected = softmax(augment(X[5:10], passes.seed_of(number, 5)) @ WEIGHTS[0])
        np.testing.assert_allclose(found.members[5:10, number], expected, atol=1e-6)
    with pytest.raises(InvalidOutputError, match="all 2 views gave the same scores"):
        run(MODELS[0], passes=2, augment=lambda inputs, seed: inputs)
    with pytest.raises(InvalidOutputError, match="augment returned None; let it return another view of all inputs"):
        run(MODELS[0], passes=2, augment=lambda inputs, seed: None)
    with pytest.raises(ValueError, match="set passes to the number of views"):
        run(MODELS[0], augment=augment)


@pytest.mark.parametrize("options", [{"passes": 0}, {"passes": 2.0}, {"passes": True}, {"passes": 2, "seed": -1}])
def test_numbers_of_passes_that_mean_nothing_are_refused(options):
    with pytest.raises(ValueError, match="expected a whole number of at least"):
        run(MODELS[0], **options)


# Logits and layers


def test_logits_are_kept_beside_the_rows():
    found = run(MODELS[0], keep=["logits"])
    np.testing.assert_allclose(found.columns["logits"], X @ WEIGHTS[0], rtol=1e-6)
    np.testing.assert_allclose(softmax(found.columns["logits"]), found.probabilities, atol=1e-6)
    assert not found.columns["logits"].flags.writeable


def test_the_logits_of_members_have_their_axis():
    found = run(keep=["logits"])
    np.testing.assert_allclose(found.columns["logits"], np.einsum("nf,mfk->nmk", X, WEIGHTS), rtol=1e-5, atol=1e-6)


def test_one_logit_per_row_is_that_of_the_second_of_two_classes():
    found = run(lambda inputs: inputs[:, 0], keep=["logits"])
    np.testing.assert_allclose(found.columns["logits"], np.stack([np.zeros(len(X)), X[:, 0]], axis=1), rtol=1e-6)


def test_probabilities_have_no_logits():
    with pytest.raises(InvalidOutputError, match="keep='logits': the model returns probabilities"):
        run(lambda inputs: softmax(inputs @ WEIGHTS[0]), output_mode="auto", keep=["logits"])


@pytest.mark.parametrize("keep", ["logits", ["logit"], ["features:"], ["logits", "logits"], [3]])
def test_what_nobody_knows_is_not_kept(keep):
    with pytest.raises((ValueError, TypeError), match="keep: expected a list of 'logits' and"):
        run(MODELS[0], keep=keep)


def test_a_backend_without_layers_says_so():
    with pytest.raises(ValueError, match="backend 'numpy' has no access to hidden layers"):
        run(MODELS[0], keep=["features:encoder"])


def test_the_batches_of_one_backend_reach_the_model_of_another():
    import torch  # the point of the test

    layer = torch.nn.Linear(4, 3, bias=False)
    layer.weight.data = torch.tensor(WEIGHTS[1].T, dtype=torch.float32)
    found = run(
        [FirstOrderDataGenerator(layer, output_mode="logits"), MODELS[0]], backend="auto", data=X.astype(np.float32)
    )
    np.testing.assert_allclose(found.members, EXPECTED[:, [1, 0]], atol=1e-5)
    again = run([MODELS[0], FirstOrderDataGenerator(layer, output_mode="logits")], data=X.astype(np.float32))
    np.testing.assert_allclose(again.members, EXPECTED[:, [0, 1]], atol=1e-5)


# Lists and tuples that ask for what cannot be


def test_a_tuple_is_no_ensemble_and_says_so():
    with pytest.raises(TypeError, match="got tuple; an ensemble is a list of models"):
        run(tuple(MODELS))


def test_what_generators_in_a_list_would_not_hear_is_refused():
    made = [FirstOrderDataGenerator(model, backend="numpy", output_mode="logits") for model in MODELS]
    assert run(made, output_mode="auto").members.shape == (23, 3, 3)
    with pytest.raises(ValueError, match="passes: the generators in the list have their own; set it there"):
        run(made, output_mode="auto", passes=3)
    with pytest.raises(ValueError, match="output_mode, members: the generators"):
        run(made, members=True)
    assert run([made[0], MODELS[1]]).members.shape == (23, 2, 3)  # which is for the other one


def test_the_passes_of_each_model_are_recorded():
    drawing = FirstOrderDataGenerator(
        MODELS[1], backend="numpy", output_mode="logits", passes=2, seed=4, wrappers=[Noise]
    )
    meta = run([MODELS[0], drawing]).meta
    assert [one.get("passes") for one in meta["models"]] == [None, 2]
    assert meta["models"][1]["seed"] == 4
    assert "passes" not in meta


def test_the_seed_is_checked_without_passes_too():
    with pytest.raises(ValueError, match="seed: expected a whole number of at least 0, got 'x'"):
        run(MODELS[0], seed="x")


def test_numbers_of_numpy_are_numbers_of_passes():
    found = run(MODELS[0], passes=np.int64(2), seed=np.int32(3), wrappers=[Noise])
    np.testing.assert_array_equal(found.members, run(MODELS[0], passes=2, seed=3, wrappers=[Noise]).members)
    assert type(found.meta["passes"]) is type(found.meta["seed"]) is int


def test_outputs_with_members_become_probabilities():
    logits = np.einsum("nf,mfk->nmk", X, WEIGHTS)
    alone = FirstOrderDataGenerator(MODELS[0], backend="numpy", output_mode="logits", members=True)
    np.testing.assert_allclose(alone.to_probs(logits), EXPECTED, atol=1e-6)
    own = [FirstOrderDataGenerator(model, backend="numpy", output_mode="logits") for model in MODELS]
    small = logits[:, 0] / 1e3  # which auto might take for anything
    np.testing.assert_allclose(FirstOrderDataGenerator(own).to_probs(small), softmax(small), atol=1e-6)


def test_a_list_has_no_posterior_of_its_own():
    generator = FirstOrderDataGenerator(MODELS, backend="numpy")
    for _ in range(2):
        with pytest.raises(ValueError, match="a list of models has no posterior of its own"):
            generator.get_posterior_distributions()

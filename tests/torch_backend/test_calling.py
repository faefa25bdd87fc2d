"""How a torch model is called, and the inputs that are no plain tensors."""

import numpy as np
import pytest
import torch
from torch.nn.utils.rnn import pack_sequence
from torch.utils.data import DataLoader, TensorDataset

from probly.data_generator import FirstOrderDataGenerator
from probly.data_generator.testing.reference import softmax
from probly.data_generator.toolkit.nests import Samples
from probly_data_generator_torch.calling import call

ROWS = 11
X = np.random.default_rng(0).normal(size=(ROWS, 3)).astype(np.float32)
TENSOR, LABELS = torch.tensor(X), torch.arange(ROWS) % 3
SEQUENCES = [(torch.full((1 + place % 4, 3), float(place)), place % 3) for place in range(ROWS)]
SUMS = softmax(np.stack([sequence.sum(0).numpy() for sequence, _ in SEQUENCES]))


def run(model, dataset, **options):
    generator = FirstOrderDataGenerator(model, backend="torch", output_mode="logits", **{"batch_size": 4, **options})
    return generator.generate_distributions(dataset, progress=False)


def check(found, expected, labels=LABELS):
    np.testing.assert_allclose(found.probabilities, expected, rtol=0, atol=1e-6)
    if labels is None:
        assert found.labels is None
    else:
        np.testing.assert_array_equal(found.labels, labels)


class Site(torch.nn.Module):
    """As the classifiers of Hugging Face: the second input is optional."""

    def forward(self, pixels, mask=None):
        return pixels if mask is None else pixels * mask


@pytest.mark.parametrize(
    ("inputs", "expected"),
    [
        (TENSOR, "tensor"),
        ((TENSOR, TENSOR), "tensor, tensor"),
        ([TENSOR, TENSOR], "tensor, tensor"),
        (Samples(["a", "b"]), "list"),
        (Samples([TENSOR, TENSOR[:2]]), "list"),
        (("a", "b"), "tuple"),
        ({"left": TENSOR, "right": TENSOR}, "left right"),
        ({"left": TENSOR, "right": TENSOR, "label": 0}, "left right"),
        (pack_sequence([TENSOR]), "packedsequence"),
        (object(), "object"),
    ],
)
def test_what_is_positional_what_is_a_keyword_and_what_is_whole(inputs, expected):
    def model(*parts, **named):
        return " ".join(named) or ", ".join(type(part).__name__.lower() for part in parts)

    assert call(model, inputs) == expected


def test_a_mapping_is_one_argument_of_a_model_that_does_not_take_its_names():
    def model(batch):
        return sorted(batch)

    assert call(model, {"left": 1, "label": 2}) == ["label", "left"]
    assert call(lambda label, left: label - left, {"left": 1, "label": 2}) == 1


@pytest.mark.parametrize("inputs", [(TENSOR, TENSOR, TENSOR), [TENSOR, TENSOR, TENSOR]])
def test_the_number_of_inputs_is_named(inputs):
    with pytest.raises(TypeError, match=r"takes 1 input or more \(pixels, mask=None\), but a batch has 3 \(Tensor of"):
        call(Site(), inputs)
    with pytest.raises(TypeError, match=r"takes 2 inputs \(left, right\), but a batch has 1 \(Tensor of shape"):
        call(lambda left, right: left, TENSOR)
    with pytest.raises(TypeError, match=r"takes 2 inputs \(left, right\), but a batch has 1 \('x'\)"):
        call(lambda left, right: left, {"x": 1})


def test_an_optional_input_is_never_dropped():
    mask = torch.tensor([1.0, 0.0, 1.0]).expand(ROWS, 3).contiguous()
    with pytest.raises(ValueError, match="3 parts"):
        run(Site(), TensorDataset(TENSOR, mask, LABELS))
    getters = {"input_getter": lambda part: (part[0], part[1]), "label_getter": lambda part: part[2]}
    for dataset in (TensorDataset(TENSOR, mask, LABELS), DataLoader(TensorDataset(TENSOR, mask, LABELS), 3)):
        check(run(Site(), dataset, **getters), softmax(X * mask.numpy()))
    named = [{"pixels": TENSOR[row], "mask": mask[row], "labels": LABELS[row]} for row in range(ROWS)]
    for dataset in (named, DataLoader(named, 3)):
        check(run(Site(), dataset), softmax(X * mask.numpy()))


@pytest.mark.parametrize("size", [1, 2, 4])
def test_texts_are_whole(size):
    texts = ["a" * (1 + place % 4) for place in range(ROWS)]
    expected = softmax(np.array([[len(text), 0.5] for text in texts], np.float32))

    def model(batch):
        assert type(batch) is list
        return torch.tensor([[len(text), 0.5] for text in batch])

    pairs = list(zip(texts, LABELS.tolist(), strict=True))
    check(run(model, texts, batch_size=size), expected, None)
    check(run(model, DataLoader(texts, size)), expected, None)
    for dataset in (pairs, (texts, LABELS), DataLoader(pairs, size), DataLoader(pairs, size, collate_fn=list)):
        check(run(model, dataset, batch_size=size), expected)


def test_packed_and_joined_sequences_have_as_many_rows_as_the_sampler_chose():
    class Last(torch.nn.Module):
        def forward(self, packed):
            padded, _ = torch.nn.utils.rnn.pad_packed_sequence(packed)
            return padded.sum(0)

    class Joined(torch.nn.Module):
        def forward(self, steps, lengths):
            return torch.stack([part.sum(0) for part in steps.split(lengths.tolist())])

    def labels(batch):
        return torch.tensor([label for _, label in batch])

    def packed(batch):
        return pack_sequence([sequence for sequence, _ in batch], enforce_sorted=False), labels(batch)

    def joined(batch):
        return torch.cat([one for one, _ in batch]), torch.tensor([len(one) for one, _ in batch]), labels(batch)

    check(run(Last(), DataLoader(SEQUENCES, 4, shuffle=True, collate_fn=packed)), SUMS)
    getters = {"input_getter": lambda batch: batch[:2], "label_getter": lambda batch: batch[2]}
    check(run(Joined(), DataLoader(SEQUENCES, 4, shuffle=True, collate_fn=joined), **getters), SUMS)


@pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors")
def test_nested_tensors_are_whole():
    nested = torch.nested.nested_tensor([sequence for sequence, _ in SEQUENCES])

    def model(batch):
        assert batch.is_nested
        return torch.nested.to_padded_tensor(batch, 0.0).sum(1)

    check(run(model, (nested, LABELS)), SUMS)
    check(run(model, TensorDataset(nested, LABELS)), SUMS)


@pytest.mark.filterwarnings("ignore:Sparse CSR")
@pytest.mark.parametrize("layout", [torch.sparse_coo, torch.sparse_csr])
def test_sparse_tensors_are_whole(layout):
    sparse = TENSOR.to_sparse(layout=layout)

    def model(batch):
        assert batch.layout is layout
        return batch.to_dense()

    for dataset in ((sparse, LABELS), TensorDataset(sparse, LABELS)):
        check(run(model, dataset), softmax(X))
    check(run(model, sparse), softmax(X), None)


def test_lists_of_numbers_are_rows():
    model = torch.nn.Identity()
    check(run(model, X.tolist()), softmax(X), None)
    check(run(model, list(zip(X.tolist(), LABELS.tolist(), strict=True))), softmax(X))


def test_a_copy_of_what_moves_itself():
    class Graph:
        def __init__(self, nodes):
            self.nodes = nodes

        def clone(self):
            return Graph(self.nodes.clone())

        def to(self, device):
            self.nodes = self.nodes.to(device)
            return self

    def model(graph):
        return graph.nodes.mul_(2)

    kept = Graph(TENSOR.clone())
    check(run(model, [(kept, LABELS)], batched=True), softmax(2 * X))
    assert torch.equal(kept.nodes, TENSOR)


@pytest.mark.parametrize("dtype", ["float64", "bfloat16"])
def test_input_dtype_casts_on_the_device_and_is_recorded(dtype):
    model = torch.nn.Linear(3, 3).to(getattr(torch, dtype))
    distributions = run(model, (X, LABELS), input_dtype=dtype)
    cast = TENSOR.to(getattr(torch, dtype))
    check(distributions, softmax(model(cast).detach().float().numpy()))
    assert distributions.meta["options"] == {"input_dtype": dtype}
    with pytest.raises(ValueError, match="input_dtype: expected the name of a dtype of numbers"):
        FirstOrderDataGenerator(model, input_dtype="double precision")

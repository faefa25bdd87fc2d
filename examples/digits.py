"""From classifiers to first-order data to a report and a student, on scikit-learn's handwritten digits.

python examples/digits.py [--backends "torch jax tensorflow"] [--output demo_output]
"""

import argparse
import time
import warnings
from pathlib import Path

import numpy as np
from same_weights import MODELS
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier
from student import train

from probly.data_generator import Distributions, FirstOrderDataGenerator, output_dataloader
from probly.data_generator.labels import class_columns
from probly.data_generator.metrics import mean_entropy
from probly.data_generator.report import write_report
from probly_data_generator_evaluation import calibration_errors, decompose, fit_temperature, rank, rescale


def train_teacher(inputs, labels, seed=0):
    """Return the layers of a trained classifier as (weight, bias) pairs in float32."""
    classifier = MLPClassifier((64,), max_iter=100, random_state=seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # stopped early, so that it stays unsure of some digits
        classifier.fit(inputs, labels)
    pairs = zip(classifier.coefs_, classifier.intercepts_, strict=True)
    return [(weight.astype(np.float32), bias.astype(np.float32)) for weight, bias in pairs]


def generate(backend, layers, held_out, path):
    """Generate, save, load and check the first-order data of one backend; return it with the seconds it took."""
    generator = FirstOrderDataGenerator(
        MODELS[backend](layers), backend=backend, output_mode="logits", model_name="digits-mlp"
    )
    start = time.perf_counter()
    distributions = generator.generate_distributions(held_out)
    seconds = time.perf_counter() - start
    generator.save_distributions(path, distributions, meta={"dataset": "scikit-learn digits, held-out half"})
    loaded, meta = generator.load_distributions(path)
    assert loaded == distributions
    assert meta["model_name"] == "digits-mlp"
    return loaded, seconds


def print_table(results):
    """Print one line per backend."""
    reference = results["numpy"][0].probabilities
    print("backend      samples  accuracy  confidence  entropy  seconds  max |p - p(numpy)|")
    for backend, (distributions, seconds) in results.items():
        rows = distributions.probabilities
        labels = class_columns(distributions.labels, distributions.num_classes).columns
        accuracy = np.mean(rows.argmax(axis=1) == labels)
        difference = np.abs(rows - reference).max()
        print(
            f"{backend:<12}{len(rows):>8}{accuracy:>10.4f}{rows.max(axis=1).mean():>12.4f}"
            f"{mean_entropy(rows):>9.4f}{seconds:>9.3f}  {difference:.1e}"
        )


def exchange(results, layers, folder):
    """Load the file of every backend with every other one, and print the largest difference of the rows."""
    print("\nLargest difference between the file of one backend (row) and the rows of another (column):")
    print(" " * 12 + "".join(f"{backend:>12}" for backend in results))
    for writer in results:
        differences = []
        for reader, (own, _) in results.items():
            generator = FirstOrderDataGenerator(MODELS[reader](layers), backend=reader)
            loaded, _ = generator.load_distributions(folder / f"{writer}.json")
            differences.append(np.abs(loaded.probabilities - own.probabilities).max())
        print(f"{writer:<12}" + "".join(f"{difference:>12.1e}" for difference in differences))


def compare_students(held_out, distributions):
    """Train one student on the soft targets and one on the labels of the same digits, and print both."""
    inputs, labels = held_out
    split = 2 * len(inputs) // 3
    part = {index: distributions[index] for index in range(split)}
    loader = output_dataloader((inputs[:split], labels[:split]), part, batch_size=64, shuffle=True, seed=0)
    soft = train(loader, inputs.shape[1], 10, lambda labels, rows: rows)
    hard = train(loader, inputs.shape[1], 10, lambda labels, rows: np.eye(10)[labels])
    teacher = distributions.gather(np.arange(split, len(inputs)))
    print(f"\nA linear student of {split} digits, tested on the other {len(inputs) - split}:")
    for name, student in (("soft targets", soft), ("labels only", hard)):
        rows = student(inputs[split:])
        accuracy = np.mean(rows.argmax(axis=1) == labels[split:])
        agreement = np.mean(rows.argmax(axis=1) == teacher.argmax(axis=1))
        distance = np.abs(rows - teacher).sum(axis=1).mean() / 2
        print(
            f"  trained on {name:<13} accuracy {accuracy:.4f}, agrees with the teacher on {agreement:.4f}, "
            f"total variation to it {distance:.4f}"
        )


def ensemble(train_set, held_out, path):
    """Return first-order data of five classifiers, each of its own part of the digits: their mean, and its members."""
    random, models = np.random.default_rng(0), []
    for seed in range(5):
        part = random.choice(len(train_set[0]), 300)
        models.append(MODELS["numpy"](train_teacher(train_set[0][part], train_set[1][part], seed)))
    generator = FirstOrderDataGenerator(models, backend="numpy", output_mode="logits", model_name="digits-ensemble")
    keys = [f"digit-{number}" for number in range(len(held_out[0]))]
    return generator.generate_distributions(held_out, out=path, keys=keys, progress=False)


def evaluate(distributions, path):
    """Calibrate the ensemble, take its uncertainty apart, rank what to look at, and print all of it."""
    half = len(distributions) // 2
    fitted = fit_temperature(distributions.head(half))
    rest = Distributions(distributions.probabilities[half:], labels=distributions.labels[half:])
    before, after = (calibration_errors(rows).expected for rows in (rest, rescale(rest, fitted.temperature)))
    parts = decompose(distributions).means()
    disputed = rank(distributions, "mutual_information", count=20)
    disputed.save(path)
    print(f"\nFive classifiers: their mean, and its members, of {len(distributions)} digits:")
    print(f"  temperature {fitted.temperature:.3f}, of one half of the digits")
    print(f"  calibration error of the other {before:.4f} -> {after:.4f}")
    print(
        f"  uncertainty {parts['total']:.4f} nats = {parts['aleatoric']:.4f} of the data + {parts['epistemic']:.4f} of "
        "the models"
    )
    print(f"  label next: {', '.join(disputed.keys[:5].tolist())}, ...")


def main():
    """Run the demo."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--backends", default="", help="further backends, separated by spaces")
    parser.add_argument("--output", type=Path, default=Path("demo_output"), help="folder of the files")
    arguments = parser.parse_args()
    backends = list(dict.fromkeys(["numpy", *arguments.backends.split()]))
    unknown = set(backends) - MODELS.keys()
    if unknown:
        parser.error(f"unknown backends {', '.join(sorted(unknown))}; there are {', '.join(MODELS)}")

    inputs, labels = load_digits(return_X_y=True)
    inputs = (inputs / 16).astype(np.float32)
    train_inputs, held_inputs, train_labels, held_labels = train_test_split(
        inputs, labels, test_size=0.5, random_state=0, stratify=labels
    )
    layers = train_teacher(train_inputs, train_labels)
    held_out = (held_inputs, held_labels)
    results = {
        backend: generate(backend, layers, held_out, arguments.output / f"{backend}.json") for backend in backends
    }
    print_table(results)
    if len(results) > 1:
        exchange(results, layers, arguments.output)
    distributions = results["numpy"][0]
    compare_students(held_out, distributions)
    store, ranking = arguments.output / "ensemble.fod", arguments.output / "label_next.csv"
    members = ensemble((train_inputs, train_labels), held_out, store)
    evaluate(members, ranking)
    page, figures = arguments.output / "report.html", arguments.output / "figures"
    pictures = held_inputs.reshape(-1, 8, 8)
    title = f"First-order data of {len(distributions)} handwritten digits"
    write_report(page, members, distributions, inputs=pictures, title=title, figures=figures)
    files = [*(arguments.output / f"{backend}.json" for backend in results), store, ranking]
    print("\nWritten:", *map(str, files), f"{page} (open it in a browser)", str(figures), sep="\n  ")


if __name__ == "__main__":
    main()

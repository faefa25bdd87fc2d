"""``first-order generate``."""

import contextlib
import os
from pathlib import Path
from typing import Any

import numpy as np

from probly.data_generator.distributions import Distributions
from probly.data_generator.errors import StoreError
from probly.data_generator.formats.choosing import format_of, suffixes
from probly.data_generator.generator import FirstOrderDataGenerator
from probly.data_generator.temperature import Temperature
from probly.data_generator.toolkit.casting import check_dtype
from probly.data_generator.toolkit.importing import import_model
from probly.data_generator.toolkit.trust import TRUST
from probly_data_generator_command_line import resuming
from probly_data_generator_command_line.arguments import json_option, key_values, subcommand
from probly_data_generator_command_line.commands.convert import encoding_of
from probly_data_generator_command_line.commands.generate_options import GenerateCommand, generate_options
from probly_data_generator_command_line.commands.sharing_options import device_of, refuse_fresh, sharing_of
from probly_data_generator_command_line.data.loading import check_source, load_data
from probly_data_generator_command_line.data.picture_options import picture_settings
from probly_data_generator_command_line.data.settings import Data, DataSettings
from probly_data_generator_command_line.errors import InputError
from probly_data_generator_command_line.notices import notice, score_lines
from probly_data_generator_command_line.opening import bytes_text, size_of
from probly_data_generator_command_line.printing import apart, emit, named, say, shortened
from probly_data_generator_command_line.stores import as_store, check_place, is_store_path

EXAMPLE = """\
first-order generate --backend numpy --model demo.model:build --data demo/test.npz --out teacher.fod
first-order generate --backend numpy --model demo.model:build --data demo/test.npz --temperature 4 --out soft.fod"""

GETTERS = ("input_getter", "label_getter", "index_getter")


@subcommand("generate", EXAMPLE, GenerateCommand)
@generate_options
@json_option
def generate(out: Path, resume: bool, quiet: bool, as_json: bool, **options: Any) -> None:
    """Run a model over a dataset and write one checked class distribution per sample to a store.

    A run that was stopped, in whatever way, continues where it ended when the same command is given again; its rows are
    those of an uninterrupted run. Other weights, data or settings are refused by name: choose another --out, or
    replace the store with --fresh, which makes the new one beside it and removes the old one when the new one is
    complete.

    \b
    --model takes
      pkg.module:build      your own code: a model, or a function or class without
                            arguments that makes one; the current directory is
                            importable
      a file or folder      of a format that the backend opens; without --backend,
                            the suffix tells which backend. Those that run code
                            when they are opened (.pt2, TorchScript, SavedModel,
                            pickles) are opened with --trust-model only
    Several --model make an ensemble: a row is the mean of its members, which are kept
    beside it, as are the passes of --passes.
    --weights fills the model that pkg.module:build makes, if the backend takes
    weights apart from their model; in other frameworks, let your function load
    them.

    \b
    --data takes
      pkg.module:test_set   your own code: a dataset or loader of your framework, or
                            a function or class without arguments that makes one
      file.npz              the arrays inputs (or x) and labels (or label, y)
      file.npy              the inputs
      file.parquet, .csv or .jsonl
                            a column label (or labels, y), and the inputs: those that
                            the model knows by name; or a column of lists or texts
                            called inputs, x or text (with text_pair beside it for
                            pairs), or else all other columns
      a folder              one subfolder of pictures per class, or pictures
                            without labels, or a dataset that Hugging Face
                            datasets saved to disk; one of several with --split
    Nothing is run from a file without --trust-model. --out is a store, a folder
    ending in .fod, or a file of another format that takes rows as they come;
    `first-order convert` makes all other formats of a store. Labels that have
    names count the columns of --class-names, where these are given; else their
    own names are recorded as those of the columns, which must be as many.
    """  # noqa: D301  # Click reads the control character \b as "do not wrap"
    replaces = not resume and is_store_path(out)
    _check_out(out, fresh=not resume)
    encoding = encoding_of(options["top_k"], options["dtype"]) or "float32"
    _check_early(options)
    if not resume:
        refuse_fresh(options, out)
    target = out
    if replaces:  # the store may not be installed, and the help and formats of others do without it
        from probly.data_generator.store import replacing

        target = replacing.beside(out)
        replacing.check_replaceable(out)
    with resuming.explaining_stops(target), apart(as_json):
        generator = _generator(options)
        data = _data(options, generator)
        for problem in data.skipped:
            say(f"Left out: {problem}", err=True)
        _print_start(data, quiet or as_json)
        before = resuming.safe_rows(target)[0]
        try:
            found = _run(generator, data, target, encoding, options, quiet)
        except StoreError as error:
            if not replaces or not resuming.of_another_run(error):
                raise
            replacing.discard(target)
            before = 0
            found = _run(generator, data, target, encoding, options, quiet)
        scores = notice(found, options["data"])
        if replaces:
            replacing.replace(out, target)
    result = _result(out, found, data, before) | {"temperature": options["temperature"], "scores": scores}
    if not quiet or as_json:
        emit(result, _lines(result), as_json)


def _check_out(out: Path, *, fresh: bool) -> None:
    """Refuse a path that rows cannot be written to as they come, or that would have to be replaced and cannot be."""
    known = is_store_path(out) or out.suffix.lower() in suffixes()
    if not known or not hasattr(format_of(out), "open_sink"):
        other = out if known else out.with_suffix(".npz")
        message = (
            f"--out {out}: expected a store's path, which ends in .fod; other formats are made of it: "
            f"first-order convert {out.with_suffix('.fod')} {other}"
        )
        raise InputError(message)
    check_place(out)
    if fresh and not is_store_path(out) and os.path.lexists(out):
        message = f"--out {out}: --fresh replaces stores only, which end in .fod; remove it, or choose another --out"
        raise InputError(message)


def _check_early(options: dict[str, Any]) -> None:
    """Refuse what can be refused before a framework is imported.

    Raises:
        InputError: The message says what to do.
    """
    if options["temperature"] is not None and options["output_mode"].lower() == "probs":
        message = "--temperature divides logits, which a model with --output-mode probs does not return"
        raise InputError(message)
    options["input_dtype"] = check_dtype(options["input_dtype"])
    sharing_of(options), device_of(options)
    check_source(options["data"], "--data")
    for model in options["models"]:
        check_source(model, "--model")
    if options["weights"] is not None and len(options["models"]) > 1:
        message = "--weights goes with one --model; let each --model name a function that loads its own weights"
        raise InputError(message)
    if options["weights"] is not None and not options["weights"].exists():
        message = f"--weights {options['weights']}: there is no such file in {Path.cwd()}"
        raise InputError(message)


def _generator(options: dict[str, Any]) -> FirstOrderDataGenerator:
    models, weights, temperature = options["models"], options["weights"], options["temperature"]
    names = [Path(text).name if Path(text).exists() else text for text in models]
    whole = ", ".join(names) + ("" if weights is None else f" with {weights.name}")
    transform = None if temperature is None else Temperature(temperature, options["output_mode"].lower())
    getters = {name: import_model(options[name]) for name in GETTERS if options[name] is not None}
    try:
        return FirstOrderDataGenerator(
            list(models) if len(models) > 1 else models[0] if weights is None else (models[0], str(weights)),
            device_of(options),
            options["batch_size"],
            options["output_mode"],
            transform,
            model_name=options["model_name"] or whole,
            backend=options["backend"],
            options=key_values(options["option"]) | ({TRUST: True} if options["trust_model"] else {}),
            wrappers=options["wrapper"],
            batched=options["batched"],
            input_dtype=options["input_dtype"],
            passes=options["passes"],
            seed=options["seed"],
            members=options["members"],
            **getters,
        )
    except TypeError as error:
        error.add_note(f"raised while --model {' --model '.join(models)} was loaded")
        if weights is not None:
            error.add_note(
                "if this backend takes no --weights, let --model name a function that loads them, or a file with both"
            )
        raise


def _run(
    generator: FirstOrderDataGenerator, data: Data, target: Path, encoding: str, options: dict[str, Any], quiet: bool
) -> Distributions:
    # What the columns mean: said by the user or known by the model, else the names that the labels count.
    generator.class_names = _columns(options, generator) or data.class_names
    try:
        return generator.generate_distributions(
            data.samples,
            out=target,
            encoding=encoding,
            progress=not quiet,
            keys=data.keys,
            shard_seconds=options["shard_seconds"],
            probe=options["probe"],
            keep=options["keep"],
            **sharing_of(options),
        )
    except ValueError as error:
        if str(error).startswith("class_names:") and generator.class_names is data.class_names:
            error.add_note(f"they are those of the labels in {options['data']}; pass --class-names, one per column")
        raise


def _columns(options: dict[str, Any], generator: FirstOrderDataGenerator) -> list[str] | None:
    names = options["class_names"] or getattr(generator.loaded_model, "class_names", None)
    return None if names is None else list(names)


def _data(options: dict[str, Any], generator: FirstOrderDataGenerator) -> Data:
    settings = DataSettings(
        options["inputs_key"],
        options["labels_key"],
        options["input_dtype"],
        _columns(options, generator),
        picture_settings(options, generator.loaded_model),
        limit=options["data_limit"],
        feature_names=getattr(generator.loaded_model, "feature_names", None),
        skip_damaged=options["skip_damaged"],
        split=options["split"],
    )
    data = load_data(options["data"], settings)
    if options["input_dtype"] is not None:
        _check_cast(generator, options["input_dtype"])
        data.description["cast to"] = options["input_dtype"]
    return data


def _check_cast(generator: FirstOrderDataGenerator, dtype: str) -> None:
    """Refuse the dtype that NumPy does not have where the model gets arrays of NumPy."""
    if dtype == "bfloat16" and isinstance(generator.to_device(np.zeros(1, np.float32)), np.ndarray):
        message = (
            f"--input-dtype {dtype}: models of backend {generator.framework!r} get arrays of NumPy, which has no "
            "bfloat16; pass float32 or float16"
        )
        raise InputError(message)


def _print_start(data: Data, silent: bool) -> None:
    if silent:
        return
    with contextlib.suppress(BrokenPipeError):  # a run continues where nobody reads what it prints
        for line in named(data.description):
            say(line)


def _result(out: Path, found: Distributions, data: Data, before: int) -> dict[str, Any]:
    store = as_store(found)
    encoding = None if store is None else store.spec.encoding
    return {
        "path": str(out),
        "rows": len(found),
        "classes": found.num_classes,
        "class_names": found.class_names,
        "encoding": encoding,
        "representation": encoding,  # its name in version 0.1
        "bytes": size_of(out),
        "rows_before": before,
        "data": data.description,
        "skipped": data.skipped,
        "meta": found.meta,
    }


def _lines(found: dict[str, Any]) -> list[str]:
    meta = found["meta"]
    before = found["rows_before"]
    resumed = f"{before:,} of the rows were there already" if before else None
    lines = {
        "model": f"{meta['model_name']} (backend {meta['backend']}, {meta['device']})",
        "members": meta.get("members"),
        "output mode": meta["output_mode"] if found["temperature"] is None else None,
        "temperature": found["temperature"],
        "class names": shortened(found["class_names"] or []),
        **score_lines(found["scores"]),
        "resumed": "it was complete already" if before == found["rows"] and before else resumed,
    }
    encoding = "" if found["encoding"] is None else f", {found['encoding']}"
    size = f"{found['rows']:,} rows x {found['classes']:,} classes{encoding}"
    return [f"{found['path']}: {size}, {bytes_text(found['bytes'])}, complete", *named(lines)]

"""The options of ``first-order generate``."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from probly.data_generator.discovery.listing import find_backend, list_backends
from probly_data_generator_command_line import choices
from probly_data_generator_command_line.arguments import PlaceType, limit_option, names, numbers
from probly_data_generator_command_line.commands.sharing_options import SHARING_OPTIONS
from probly_data_generator_command_line.printing import emit

MODEL_OPTIONS = (
    click.option(
        "--backend",
        default="auto",
        show_default=True,
        shell_complete=choices.complete(lambda *_: ["auto", *choices.backend_names()]),
        help="Who runs the model; see `first-order backends`.",
    ),
    click.option(
        "--model",
        "models",
        required=True,
        multiple=True,
        help="MODULE:ATTRIBUTE, or a file that the backend opens; several make an ensemble.",
    ),
    click.option(
        "--weights", type=click.Path(path_type=Path), help="The weights, where --model only builds the model."
    ),
    click.option("--trust-model", is_flag=True, help="Open files that run code when they are opened; see above."),
    click.option("--model-name", help="Recorded in the store.  [default: from --model]"),
    click.option(
        "--device",
        shell_complete=choices.complete(choices.device_names),
        help="A device of the framework.  [default: where the model is, else the best one]",
    ),
    click.option("--batch-size", default=64, show_default=True, type=click.IntRange(1), help="Rows per forward pass."),
    click.option(
        "--output-mode",
        default="auto",
        show_default=True,
        type=click.Choice(["auto", "logits", "probs"], case_sensitive=False),
        help="What the model returns; auto decides once, from the first batch.",
    ),
    click.option("--temperature", type=float, metavar="T", help="Return softmax(logits / T)."),
    click.option(
        "--class-names",
        callback=names,
        metavar="NAMES",
        help="One name per column: a,b,c or a text file with one per line.",
    ),
    click.option(
        "--option",
        multiple=True,
        metavar="NAME=VALUE",
        shell_complete=choices.complete(choices.option_values),
        help="What only the backend knows; see its README, and --help-options.",
    ),
    click.option(
        "--help-options",
        is_flag=True,
        expose_value=False,
        help="List what --backend, or each backend, has for --device and --option.",
    ),
    click.option(
        "--wrapper",
        multiple=True,
        metavar="NAME",
        shell_complete=choices.complete(choices.wrapper_names),
        help="An installed wrapper; the last one is outermost.",
    ),
    click.option("--passes", type=click.IntRange(1), metavar="N", help="Passes with dropout active; each is a member."),
    click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="What passes draw from."),
    click.option("--members", is_flag=True, help="The model returns its members, shape (rows, members, classes)."),
)
DATA_OPTIONS = (
    click.option("--data", required=True, help="MODULE:ATTRIBUTE, a file or a folder; see above."),
    click.option("--inputs-key", help="The array or columns of the inputs, separated by commas.  [default: inputs, x]"),
    click.option("--split", metavar="NAME", help="Which dataset of a saved DatasetDict, such as test."),
    click.option("--labels-key", help="The array or column of the labels.  [default: labels, label, y]"),
    click.option("--input-dtype", metavar="DTYPE", help="Cast inputs, as to float32.  [default: as they are]"),
    limit_option,
    click.option(
        "--input-getter", metavar="MODULE:FUNCTION", help="Pick the model's input from a sample, or a loader's batch."
    ),
    click.option("--label-getter", metavar="MODULE:FUNCTION", help="Pick the label likewise."),
    click.option("--index-getter", metavar="MODULE:FUNCTION", help="Pick the dataset index likewise."),
    click.option(
        "--batched/--not-batched", default=None, help="Whether --data yields batches.  [default: told by its type]"
    ),
    click.option(
        "--image-config",
        type=click.Path(path_type=Path),
        help="What happens to pictures: a file of timm or transformers, or its folder.  [default: the model's]",
    ),
    click.option("--image-size", type=click.IntRange(1), metavar="N", help="Scale pictures, cut out the centre N x N."),
    click.option("--resize", type=click.IntRange(1), metavar="M", help="Scale the shorter side to M.  [default: N]"),
    click.option(
        "--mean", callback=numbers, metavar="NUMBERS", help="Subtract this per channel from pictures in [0, 1]."
    ),
    click.option("--std", callback=numbers, metavar="NUMBERS", help="Divide by this per channel after that."),
    click.option(
        "--colour",
        "--color",
        "colour",
        type=click.Choice(["rgb", "grayscale"]),
        help="What pictures are converted to.  [default: rgb]",
    ),
    click.option(
        "--channels", type=click.Choice(["first", "last"]), help="The axis of the channels.  [default: the model's]"
    ),
    click.option("--transform", metavar="MODULE:FUNCTION", help="Your own way from a Pillow image to an array."),
    click.option("--skip-damaged", is_flag=True, help="Leave out pictures that cannot be read, and list them."),
)
STORE_OPTIONS = (
    click.option(
        "--out",
        required=True,
        type=PlaceType(),
        shell_complete=choices.stores,
        help="The store, a folder ending in .fod; see above.",
    ),
    click.option(
        "--keep", multiple=True, metavar="COLUMN", help="Keep logits, or features:LAYER, beside the rows; repeatable."
    ),
    click.option("--top-k", type=click.IntRange(1), metavar="K", help="Keep only the K largest numbers of a row."),
    click.option(
        "--dtype", type=click.Choice(["float32", "float16"]), help="How numbers are kept.  [default: float32]"
    ),
    click.option(
        "--resume/--fresh", default=True, show_default=True, help="Continue the store at --out, or replace it."
    ),
    click.option(
        "--shard-seconds",
        default=30.0,
        show_default=True,
        type=click.FloatRange(0, min_open=True),
        help="A crash costs no more work than this.",
    ),
    click.option(
        "--probe/--no-probe", default=True, show_default=True, help="Compute a batch again before a store is continued."
    ),
    click.option("--quiet", is_flag=True, help="Print nothing but errors."),
)


SECTIONS = (
    ("Model", MODEL_OPTIONS),
    ("Data", DATA_OPTIONS),
    ("Store", STORE_OPTIONS),
    ("Several workers", SHARING_OPTIONS),
)


class GenerateCommand(click.Command):
    """A command whose help has its options under the headings of ``SECTIONS``, and what is left after them."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Read the arguments; with ``--help-options``, print what backends know, for which no other is needed."""
        if "--help-options" in args and not ctx.resilient_parsing:
            given = self.make_parser(ctx).parse_args(list(args))[0]
            if given.get("help_options"):
                _print_choices(given.get("backend", "auto"), as_json=bool(given.get("as_json")))
                ctx.exit()
        return super().parse_args(ctx, args)

    def collect_usage_pieces(self, ctx: click.Context) -> list[str]:
        """Return what follows the name in the usage."""
        return ["--model MODEL --data DATA --out STORE", *super().collect_usage_pieces(ctx)]

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options."""
        rest = self.get_params(ctx)
        for title, options in (*SECTIONS, ("Other options", rest)):
            part, rest = rest[: len(options)], rest[len(options) :]
            with formatter.section(title):
                formatter.write_dl([record for option in part if (record := option.get_help_record(ctx))])


def _print_choices(backend: str, *, as_json: bool) -> None:
    chosen = {info.name: info for info in list_backends().values()} if backend == "auto" else None
    infos = [find_backend(backend)] if chosen is None else [chosen[name] for name in sorted(chosen)]
    found = [(info.name, *choices.described(info)) for info in infos]
    emit({name: said for name, said, _ in found}, [line for _, _, lines in found for line in lines], as_json)


def generate_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Give a function all of the options."""
    for _, options in reversed(SECTIONS):
        for option in reversed(options):
            function = option(function)
    return function

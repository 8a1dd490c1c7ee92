"""The lab's commands: ``python -m ichnode_training COMMAND --help``.

On a machine that others use, too, set ``OMP_WAIT_POLICY=passive``: threads that spin while they wait cost a factor of
seven.
"""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Sequence

from ichnode.errors import ConfigError, IchnodeError

_COMMANDS = {
    "import": ("imports", "make a data set of planes from RSNA 2019, CQ500, CT-ICH or any folder of DICOM"),
    "evaluate": ("evaluate", "figures of a model bundle on a data set, with a report"),
    "train": ("train", "train a network by a recipe and write its bundle"),
    "authors": ("authors", "make a bundle of a checkpoint of the paper's authors"),
    "compare": ("compare", "networks side by side on the same data, or a recipe without each of its switches"),
    "scan-level": ("scan_level", "maximum, learned pooling and random forest over the slices, side by side"),
    "first": ("first", "train the first bundle on CT-ICH and cross-validate it"),
    "card": ("card", "write a bundle's card as Markdown"),
    "phantom": ("phantom", "make a synthetic head CT with known truth: series/, truth.json, masks.npz"),
    "phantom-suite": ("phantom_suite", "measure a bundle on phantoms: sensitivity by volume, density and kind"),
    "pointing": ("pointing", "measure whether heat maps point at the lesion"),
    "retrain": ("local", "make a candidate from a node's labels, and judge it; `ichnode retrain` starts it"),
    "judge": ("local", "judge a candidate; `ichnode model judge` starts it"),
}
"""Name to module in `ichnode_training.commands` and what it is for; only the one asked for is imported."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; a person sees one sentence where it cannot be done."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    parser = argparse.ArgumentParser(prog="python -m ichnode_training", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    for name, (module, text) in _COMMANDS.items():
        command = commands.add_parser(name, help=text, description=text)
        if arguments[:1] == [name]:
            asked = importlib.import_module(f".commands.{module}", __package__)
            asked.add(command)
            command.set_defaults(run=asked.run)
    given = parser.parse_args(arguments)
    try:
        return int(given.run(given))
    except IchnodeError as error:
        sys.stderr.write(f"{error.sentence}\n")
        return 2 if isinstance(error, ConfigError) else 1
    except BrokenPipeError:
        return 1
    except OSError as error:
        sys.stderr.write(f"{error.filename or 'A file'}: {error.strerror or error}.\n")
        return 1
    except KeyboardInterrupt:
        sys.stderr.write("Stopped.\n")
        return 1


if __name__ == "__main__":
    sys.exit(main())

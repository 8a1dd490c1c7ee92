"""The command line: ``ichnode COMMAND``; each command is a file in `ichnode.cli` and is imported when it runs."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command line; the only place that turns exceptions into exit codes."""
    from ichnode.cli import ichnode

    sys.exit(ichnode.main(sys.argv[1:]))


if __name__ == "__main__":
    main()

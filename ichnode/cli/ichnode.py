"""The group of all commands: imported lazily, so that ``ichnode --help`` answers in a blink."""

from __future__ import annotations

import importlib
import traceback

import click

from ichnode.errors import ConfigError, IchnodeError

_COMMANDS = {
    "analyse": "Analyse a folder or file without a server: scores, and a Structured Report file.",
    "backfill": "Fetch head CTs of past days from the archive, and analyse them behind all else.",
    "backup": "Copy worklist, spool and models while the node runs.",
    "config": "Check a configuration, or show every setting with its value.",
    "doctor": "Check port, disk, decoders, model, destinations, channels and clock, each with a remedy.",
    "echo": "Ask a destination by C-ECHO, or over the web, whether it answers.",
    "evaluate": "Judge a model bundle on a data set: figures, report, submission file.",
    "export": "Write studies de-identified, with their labels, to take elsewhere.",
    "explain": "Say what the node would do with a file or folder, and why.",
    "healthy": "Ask the node that runs here whether it is alive: for containers.",
    "model": "List, import, judge, promote and roll back models.",
    "notify": "Try a channel with a message that says that it is a test.",
    "phantom": "Make a synthetic head CT with known truth, as a DICOM series.",
    "phantom-suite": "Measure what a model bundle finds on phantoms, by kind, volume and density.",
    "priors": "Fetch the older head CTs of a patient, and analyse them.",
    "prune": "Remove images that retention lets go, or say what that would be.",
    "restore": "Put a backup into an empty data folder.",
    "retract": "Take back a result that is wrong.",
    "retrain": "Make a candidate model from this hospital's own labels, and judge it.",
    "retry": "Start failed analyses, deliveries, notices and retrievals again.",
    "send": "Send DICOM files to a node or PACS by C-STORE or STOW-RS.",
    "serve": "Run the node: receive, assemble, analyse, report, deliver.",
    "show": "Show all that is known of one study.",
    "token": "Make and revoke the tokens by which programs use the JSON of the node.",
    "user": "Add and change the accounts of those who may open the pages.",
    "worklist": "List the studies, the most urgent first.",
}


class _Lazy(click.Group):
    """A group whose commands are imported when they are called, and whose help is a table."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        command: click.Command = importlib.import_module(f"ichnode.cli.{cmd_name.replace('-', '_')}").command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(sorted(_COMMANDS.items()))


@click.group(cls=_Lazy, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="ichnode")
@click.option("--traceback", "show_traceback", is_flag=True, help="Show where an unexpected error happened.")
@click.pass_context
def group(ctx: click.Context, show_traceback: bool) -> None:
    """Find intracranial haemorrhage on head CT, and answer with DICOM Structured Reports. Research use only.

    Example: ichnode serve --aet ICHAI --port 11112
    """


def main(arguments: list[str]) -> int:
    """Run one command line and return its exit code; a person never sees a traceback unless they ask for one."""
    try:
        result = group.main(arguments, prog_name="ichnode", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        return 2
    except (click.Abort, KeyboardInterrupt):
        click.echo("Stopped.", err=True)
        return 1
    except IchnodeError as error:
        click.echo(error.sentence, err=True)
        return 2 if isinstance(error, ConfigError) else 1
    except BrokenPipeError:
        return 1
    except Exception as error:  # noqa: BLE001 (the boundary to the person at the terminal)
        if "--traceback" in arguments:
            traceback.print_exc()
        else:
            click.echo(
                f"Something unexpected happened ({type(error).__name__}). Run `ichnode --traceback …` to see where, "
                "and report it; take patient data out first.",
                err=True,
            )
        return 1
    return result if isinstance(result, int) else 0

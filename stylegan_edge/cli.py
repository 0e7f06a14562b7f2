"""`stylegan-edge`: commands imported when they are used, and every error as one line with its exit code."""

from __future__ import annotations

import logging
import os
import signal
import sys
import traceback
from typing import NoReturn

import click

from runtime.errors import MAX_MESSAGE, ParityError, StyleganEdgeError
from stylegan_edge.lazy_group import LazyGroup

EXIT_CHECK_FAILED = 1
EXIT_BAD_INPUT = 2
EXIT_INTERRUPTED = 128 + signal.SIGINT
EXIT_TERMINATED = 128 + signal.SIGTERM

TRACEBACK_VARIABLE = "STYLEGAN_EDGE_TRACEBACK"
"""Set it to see where an error comes from."""

COMMANDS = {
    "bench": "Time a bundle's images in every way this machine has.",
    "build": "Build a bundle's TensorRT engines for this machine's GPU.",
    "convert": "Write a checkpoint as .safetensors: weights and specification, nothing to execute.",
    "demo": "Export the bundled checkpoint, verify it, and draw a grid.",
    "deploy": "Serve bundles on a cluster: Ray Serve, or Triton.",
    "doctor": "Show what this machine has of what the commands need, and what to install.",
    "export": "Turn a checkpoint into a bundle of verified ONNX graphs.",
    "generate": "Draw images from seeds.",
    "inspect": "Show what a checkpoint or a bundle holds.",
    "interpolate": "Draw a film that moves from seed to seed.",
    "mix": "Draw a grid that mixes the styles of rows and columns of seeds.",
    "serve": "Serve bundles over HTTP: a page, images, the Open Inference Protocol.",
    "verify": "Check that a bundle's images are the right ones.",
}
"""Each lives in the module of its name under `stylegan_edge.commands`, as `command`."""


class Terminated(BaseException):
    """SIGTERM arrived: unwind, so that what was begun is removed."""


@click.group(
    cls=LazyGroup,
    table=COMMANDS,
    home="stylegan_edge.commands.",
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120},
)
@click.version_option(package_name="stylegan-edge")
@click.option("-v", "--verbose", is_flag=True, help="Tell what was tried, as which backend takes the graphs and why.")
def cli(verbose: bool) -> None:
    """From a trained StyleGAN, StyleGAN2 or StyleGAN3 checkpoint to verified images, without PyTorch at the end.

    Exit codes: 0 done, 1 a check failed, 2 wrong usage or bad input.
    """
    logging.basicConfig(format="%(message)s")
    logging.getLogger("runtime").setLevel(logging.INFO if verbose else logging.WARNING)


def main() -> NoReturn:
    """Run the command line and exit with the documented code."""
    signal.signal(signal.SIGTERM, _terminate)
    sys.exit(run(sys.argv[1:]))


def run(arguments: list[str]) -> int:
    """Run the command line; errors become one line on standard error and an exit code."""
    try:
        result = cli.main(arguments, prog_name="stylegan-edge", standalone_mode=False)
    except click.exceptions.Exit as error:
        return error.exit_code
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message(), err=True)
        return EXIT_BAD_INPUT
    except BrokenPipeError:  # the reader of our output has gone
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_BAD_INPUT
    except (Exception, KeyboardInterrupt, Terminated) as error:
        return _report(error)
    return result if isinstance(result, int) else 0


def _report(error: BaseException) -> int:
    """Say in one line what went wrong, and return the exit code that it has."""
    if isinstance(error, Terminated):
        return _fail("terminated; nothing was left behind", EXIT_TERMINATED)
    if isinstance(error, (click.exceptions.Abort, KeyboardInterrupt)):
        return _fail("interrupted; nothing was left behind", EXIT_INTERRUPTED)
    if isinstance(error, click.ClickException):
        return _fail(_usage_line(error), EXIT_BAD_INPUT)
    if isinstance(error, StyleganEdgeError):
        return _fail(str(error), EXIT_CHECK_FAILED if isinstance(error, ParityError) else EXIT_BAD_INPUT)
    if isinstance(error, MemoryError):
        return _fail("not enough memory; a smaller --batch needs less", EXIT_BAD_INPUT)
    if isinstance(error, ModuleNotFoundError):
        return _fail(f"{error.name} is not installed: install stylegan-edge with the extra it needs", EXIT_BAD_INPUT)
    return _fail(  # a defect of ours: still one line, never a traceback
        f"unexpected {type(error).__name__}: {error} (a defect of stylegan-edge: please report it with what "
        f"{TRACEBACK_VARIABLE}=1 prints)",
        EXIT_BAD_INPUT,
    )


def _terminate(*_: object) -> NoReturn:
    raise Terminated


def _usage_line(error: click.ClickException) -> str:
    context = getattr(error, "ctx", None)
    hint = f" (see '{context.command_path} --help')" if context is not None else ""
    return error.format_message() + hint


def _fail(message: str, code: int) -> int:
    if os.environ.get(TRACEBACK_VARIABLE):
        traceback.print_exc()
    line = " ".join(message.split())
    click.echo("Error: " + (line if len(line) <= MAX_MESSAGE else line[:MAX_MESSAGE] + "..."), err=True)
    return code

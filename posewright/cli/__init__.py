"""The command line: one file per verb; a verb imports what it needs inside its handler.

A file of this folder is a verb if it has `add_arguments(parser)` and `run(args)`, which returns the
exit code; its docstring is the help.

Exit codes: 0 ok, 1 an unexpected error, 2 usage, 3 bad inputs (a missing or broken source, file of
labels or results), 4 environment (a runtime, network's file or output that is missing or does not
work); 128 + the number of the signal that stopped it: 129 SIGHUP, 130 Ctrl-C (SIGINT), 138 SIGUSR1,
143 SIGTERM.

bins       raw files of `data to-bin` and `eval --from-bins`
common     options of several verbs, and the summary
described  info of `models`
listing    list of `models`
ranges     options that choose frames
running    options of `eval` for running a model
debugging  tracebacks and reports of --debug
progress   bars, lines or JSON
renamed    earlier names of verbs and options
stopping   signals, in one place
named      options that name published networks
published  pull, verify, path, remove and prune of `models`
tables     scores as lines
"""

from __future__ import annotations

import argparse
import errno
import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from textwrap import TextWrapper
from typing import TYPE_CHECKING, NoReturn

from posewright import __version__
from posewright.cli import debugging
from posewright.cli.foreign import translated
from posewright.cli.named import fetching
from posewright.cli.renamed import current
from posewright.cli.stopping import asked_to_stop, raising, speaking_anywhere
from posewright.errors import PosewrightError, UsageError, nearest, one_line
from posewright.extras import naming_extras

if TYPE_CHECKING:
    from types import ModuleType

__all__ = ["VERBS", "build_parser", "main", "parse"]

# The order of the help: what people do first comes first; verbs that are not named here are last.
_ORDER = tuple(
    "demo predict track view measure refine models data train fit eval compare study".split()
    + "export serve bench schema doctor".split()
)


def _verbs() -> dict[str, ModuleType]:
    """Return the files that are verbs, by their names."""
    from posewright.files.modules import modules_in

    parts = [m for m in modules_in(__name__) if hasattr(m, "add_arguments") and hasattr(m, "run")]
    found = {module.__name__.rpartition(".")[2]: module for module in parts}
    first = [name for name in _ORDER if name in found]
    return {name: found[name] for name in [*first, *(n for n in found if n not in first)]}


VERBS = _verbs()

# Arguments that name a file or folder to write.
_WRITTEN = ("out", "target", "output", "report", "into", "carried", "home")

# What a system answers, before any of a file is read, to the question whether a path is there.
_REFUSED_PATHS = (errno.ENAMETOOLONG, errno.ELOOP, errno.EACCES, errno.EPERM)


class Parser(argparse.ArgumentParser):
    """A parser whose complaints are one line and suggest the nearest option or word."""

    def error(self, message: str) -> NoReturn:
        """Print the complaint with a suggestion; exit with 2."""
        wrong = re.search(r"unrecognized arguments: (\S+)|invalid choice: '([^']+)'", message)
        listed = re.search(r"choose from (.+)\)", message)
        words = re.findall(r"[^\s,']+", listed[1]) if listed else self.words()
        hint = nearest(wrong[1] or wrong[2], words) if wrong else ""
        said = one_line(f"{message}{hint} (see {self.prog} --help)")
        print(f"{self.prog}: {said}", file=sys.stderr)
        raise SystemExit(2)

    def verb(self, name: str) -> Parser:
        """Return the parser of a verb."""
        choices = next(a.choices for a in self._actions if isinstance(a.choices, dict))
        found: Parser = choices[name]
        return found

    def words(self) -> list[str]:
        """Return every option and choice that this parser knows."""
        words = [option for action in self._actions for option in action.option_strings]
        for action in self._actions:
            words += [str(choice) for choice in action.choices or ()]
        return words


class Paragraphs(argparse.HelpFormatter):
    """Help whose paragraphs are filled to the width of the terminal; names stay in one piece."""

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        wrapper = TextWrapper(width, indent, indent, break_on_hyphens=False, break_long_words=False)
        parts = (" ".join(part.split()) for part in text.split("\n\n"))
        return "\n\n".join(map(wrapper.fill, filter(None, parts)))


def build_parser() -> Parser:
    """Return the parser of all verbs."""
    parser = Parser(
        prog="posewright",
        description="2D multi-person human pose: everybody's joints from images and video.",
        epilog="exit codes: 0 ok, 1 unexpected error, 2 usage, 3 bad inputs, 4 environment; "
        "stopped by a signal: 129 SIGHUP, 130 Ctrl-C, 138 SIGUSR1, 143 SIGTERM",
    )
    parser.add_argument("--version", action="version", version=f"posewright {__version__}")
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True)
    for name, module in VERBS.items():
        summary = (module.__doc__ or "").strip().splitlines()[0]
        sub = verbs.add_parser(
            name,
            help=summary,
            description=module.__doc__,
            formatter_class=Paragraphs,
            allow_abbrev=False,
        )
        sub.set_defaults(parser=sub)
        module.add_arguments(sub)
    debugging.add_debug(parser)
    return parser


def parse(argv: Sequence[str] | None) -> tuple[argparse.Namespace, list[str]]:
    """Return the arguments, and the words that mean nothing."""
    words = list(sys.argv[1:] if argv is None else argv)
    parser = build_parser()
    args, unknown = parser.parse_known_args(_ours(current(words), parser))
    for name in ("items", "source"):
        if isinstance(getattr(args, name, None), list):
            # argparse takes words before an option or after it, never both
            getattr(args, name).extend(word for word in unknown if not word.startswith("-"))
            unknown = [word for word in unknown if word.startswith("-")]
    return args, unknown


def _ours(words: list[str], parser: Parser) -> list[str]:
    """Return the words with our options for those of other systems; notes tell of them."""
    verb = words[0] if words else ""
    if verb not in VERBS:
        return words
    sub = parser.verb(verb)
    try:
        made, told = translated(words[1:], verb, sub.words())
    except UsageError as error:
        sub.error(str(error))
    for line in told:
        print(f"note: {one_line(line)}", file=sys.stderr)
    return [verb, *made]


def main(argv: Sequence[str] | None = None) -> int:
    """Run a verb; return its exit code."""
    with speaking_anywhere():
        try:
            with raising():
                return _run(argv)
        except KeyboardInterrupt as stopped:
            return asked_to_stop(stopped)


def _run(argv: Sequence[str] | None) -> int:
    args, unknown = parse(argv)
    if unknown:
        args.parser.error(f"unrecognized arguments: {' '.join(unknown)}")
    if not debugging.wanted(args):
        return _verb(args)[0]
    with debugging.recording() as printed:
        code, error = _verb(args)
    if 0 < code < 128 and not isinstance(error, BrokenPipeError):  # then nobody listens
        words = sys.argv[1:] if argv is None else argv
        debugging.report(words, args.verb, code, error, printed.lines)
    return code


def _verb(args: argparse.Namespace) -> tuple[int, Exception | None]:
    """Run a verb and print its error in one line; return the exit code, and the error."""
    words = [args.verb, *([args.action] if "action" in args else [])]
    try:
        _check_outputs(args)
        with fetching(args), naming_extras(" ".join(words)):
            return VERBS[args.verb].run(args), None
    except BrokenPipeError as error:
        sys.stderr.close()
        return 4, error
    except Exception as error:
        code, told = _explained(error)
        if code == 1:
            again = "" if debugging.wanted(args) else "run it again with --debug, and "
            told += f"; this is probably a bug: {again}attach the debug report to an issue"
        print(f"posewright: {told}", file=sys.stderr)
        return code, error


def _check_outputs(args: argparse.Namespace) -> None:
    """Raise a UsageError where an option for what is written names a network address."""
    from posewright.files.part import check_local

    for name in _WRITTEN:
        path = getattr(args, name, None)
        if isinstance(path, (str, Path)):
            check_local(path)


def _explained(error: Exception) -> tuple[int, str]:
    """Return the exit code for an error, and one line about it."""
    if isinstance(error, PosewrightError):
        return error.exit_code, str(error)
    if isinstance(error, OSError) and error.errno in _REFUSED_PATHS and error.filename is not None:
        name = os.fsdecode(error.filename) if isinstance(error.filename, (str, bytes)) else "a file"
        return 2, one_line(f"{name}: {error.strerror}; check the path and who may read it")
    where = debugging.place_of(error)
    return 1, one_line(f"unexpected {type(error).__name__} at {where}: {error}")

"""The command line `ringonce`. A command is a file in streams/commands/ with `register(app)`; they are listed here."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import import_module

import typer

from connectors.embedded_kafka import EmbeddedKafkaError
from streams.commands.terminal import err
from streams.kafka_ready import KafkaUnreachableError
from streams.settings import SettingsError
from streams.templates.documents import TemplatesError
from streams.types_file import TypesFileError

# As --help shows them.
COMMANDS = (
    *("demo", "worker", "topics", "publish", "broadcast", "devices", "template", "schedule", "explain", "forget"),
    *("dead-letters", "history", "audit", "audit-log", "doctor", "keys", "repartition", "broker", "version"),
)


def command_line(names: Sequence[str] = COMMANDS) -> typer.Typer:
    """The commands of these names. All of them take a second to import, and who runs one waits for that one alone."""
    app = typer.Typer(
        name="ringonce",
        help="Push notifications on Kafka: at most one per (user, type) per sliding hour, and nothing lost.",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
    )
    app.callback()(lambda: None)  # else one command alone would have no name
    for name in names:
        import_module(f"streams.commands.{name.replace('-', '_')}").register(app)
    return app


def main() -> None:
    """Run a command. Exit code 0: done; 1: it did not work; 2: it was asked for wrongly, or a setting is wrong."""
    wanted = sys.argv[1:2]
    try:
        command_line(wanted if wanted and wanted[0] in COMMANDS else COMMANDS)()
    except (SettingsError, TypesFileError, TemplatesError) as error:
        _end(error, 2)
    except (EmbeddedKafkaError, KafkaUnreachableError) as error:
        _end(error, 1)


def _end(error: Exception, code: int) -> None:
    for line in str(error).splitlines():
        err.print(line, markup=False)
    sys.exit(code)

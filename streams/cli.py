"""The command line `ringonce`. A command is a file in streams/commands/ with `register(app)`; they are listed here."""

from __future__ import annotations

import sys

import typer

from connectors.embedded_kafka import EmbeddedKafkaError
from streams.commands import (
    audit,
    audit_log,
    broadcast,
    broker,
    dead_letters,
    demo,
    devices,
    doctor,
    explain,
    forget,
    history,
    keys,
    publish,
    repartition,
    schedule,
    template,
    topics,
    version,
    worker,
)
from streams.commands.terminal import err
from streams.kafka_ready import KafkaUnreachableError
from streams.settings import SettingsError
from streams.templates.documents import TemplatesError
from streams.types_file import TypesFileError

COMMANDS = (
    *(demo, worker, topics, publish, broadcast, devices, template, schedule, explain, forget),
    *(dead_letters, history, audit, audit_log, doctor, keys, repartition, broker, version),
)

app = typer.Typer(
    name="ringonce",
    help="Push notifications on Kafka: at most one per (user, type) per sliding hour, and nothing lost.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
for command in COMMANDS:
    command.register(app)


def main() -> None:
    """Run a command. Exit code 0: done; 1: it did not work; 2: it was asked for wrongly, or a setting is wrong."""
    try:
        app()
    except (SettingsError, TypesFileError, TemplatesError) as error:
        _end(error, 2)
    except (EmbeddedKafkaError, KafkaUnreachableError) as error:
        _end(error, 1)


def _end(error: Exception, code: int) -> None:
    for line in str(error).splitlines():
        err.print(line, markup=False)
    sys.exit(code)

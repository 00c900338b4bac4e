"""`ringonce broker`: a real Kafka on this machine, in the foreground or in the background."""

from __future__ import annotations

from typing import Annotated

import typer

from connectors.embedded_kafka import SharedKafka
from connectors.embedded_kafka.foreground import serve
from streams.commands.terminal import fail, out, say

Name = Annotated[str, typer.Option(help="Several brokers can run side by side under different names.")]
Heap = Annotated[int, typer.Option(min=128, help="Memory for Kafka's heap, MB.")]
Port = Annotated[int | None, typer.Option(min=1, max=65_535, help="Where it listens; default: a free port.")]

broker = typer.Typer(help="Run a real Kafka on this machine, without Docker. For trying out and tests.")


def register(app: typer.Typer) -> None:
    app.add_typer(broker, name="broker")


@broker.callback(invoke_without_command=True)
def foreground(context: typer.Context, port: Port = None, heap_megabytes: Heap = 512) -> None:
    """Run one until Ctrl-C and print its address. Its data goes with it."""
    if context.invoked_subcommand is None:
        raise typer.Exit(serve(port=port, heap_megabytes=heap_megabytes))


@broker.command()
def start(name: Name = "default", port: Port = None, heap_megabytes: Heap = 512) -> None:
    """Start one in the background, unless it runs, and print its address."""
    running = SharedKafka(name).start(port=port, heap_megabytes=heap_megabytes)
    say(f"process {running.pid}, log {running.log_file}")
    out.print(running.bootstrap)


@broker.command()
def stop(
    name: Name = "default", erase: Annotated[bool, typer.Option("--erase", help="Remove its data too.")] = False
) -> None:
    """Stop the one in the background."""
    say("stopped" if SharedKafka(name).stop(erase=erase) else "none was running")


@broker.command()
def status(name: Name = "default") -> None:
    """Print the address of the one in the background; exit code 1 where none runs."""
    running = SharedKafka(name).status()
    if running is None:
        fail(f"no broker runs under the name {name}")
    say(f"process {running.pid}, log {running.log_file}")
    out.print(running.bootstrap)

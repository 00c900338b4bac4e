"""The files that say what is sent: notification types and templates."""

from __future__ import annotations

from collections.abc import Iterator

from streams.doctor.finding import Finding, fail, ok, skip
from streams.settings import Settings
from streams.templates.documents import TemplatesError
from streams.templates.folder import TemplateFolder
from streams.templates.library import TemplateLibrary
from streams.types_file import NotificationTypes, TypesFileError


def check_texts(settings: Settings) -> Iterator[Finding]:
    """Read them as a worker would."""
    try:
        types = NotificationTypes.load(settings.types_file)
    except TypesFileError as error:
        yield fail("types", str(error), "mend the file: docs/configuration.md has every key")
        return
    yield ok("types", f"{len(types.policies)} notification types")
    if settings.templates_dir is None:
        yield skip("templates", "no folder is set: texts come from the types file and the topic `templates`")
        return
    try:
        TemplateFolder(settings.templates_dir, TemplateLibrary(types, settings.locale)).load(strict=True)
    except TemplatesError as error:
        yield fail("templates", str(error), "`ringonce template check` lists every mistake with its line")
        return
    yield ok("templates", f"every template in {settings.templates_dir} compiles")

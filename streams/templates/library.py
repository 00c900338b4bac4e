"""All templates of one worker. A new version takes the place of the old one at once, or not at all.

    topic → folder → types file        the first that has the type; the types file fills what a variant leaves open

What is refused leaves the old version where it is. Where there is none, because a worker has started since, the type
has no text that anyone has approved: its notifications are dead letters until it is mended, and can be replayed then.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, Literal

from streams.policies.rendering import Chosen, RenderFailed, TypeTemplate, Variant, compile_source
from streams.templates.documents import TemplatesError, version_of
from streams.types_file import NotificationTypes, TypePolicy

logger = logging.getLogger(__name__)

Source = Literal["topic", "folder"]
SOURCES: Final[tuple[Source, ...]] = ("topic", "folder")
TYPES_KEPT: Final = 10_000  # types that no file names and anybody may send; they are made again


@dataclass(frozen=True, slots=True)
class Refused:
    """A template that is known only in a version that was refused."""

    type: str
    source: Source
    reason: str


class TemplateLibrary:
    """See the module. `refused` counts versions that were refused since the start, by where they came from."""

    def __init__(self, types: NotificationTypes, locale: str = "en") -> None:
        self._types = types
        self._locale = locale
        self._held: dict[Source, dict[str, TypeTemplate | Refused]] = {source: {} for source in SOURCES}
        self._reasons: dict[tuple[Source, str], str] = {}
        self.refused: Counter[Source] = Counter()
        self._of_types_file = lru_cache(maxsize=TYPES_KEPT)(self._make_of_types_file)
        self._now: dict[str, TypeTemplate | Refused] = {}

    def of(self, type: str) -> TypeTemplate | Refused:
        """Return the template that counts for a type now."""
        return self._now.get(type) or self._of_types_file(type)

    def knows(self, type: str) -> bool:
        """Whether a source or the types file has anything to say of a type."""
        return type in self._now or self._types.policy(type) is not None

    def choose(self, type: str, locale: str | None, provider: str | None) -> Chosen | RenderFailed:
        """Return what a reader of this locale gets on this provider."""
        template = self.of(type)
        if isinstance(template, Refused):
            return RenderFailed(f"{type}: the template of the {template.source} was refused: {template.reason}")
        return template.choose(locale, provider)

    def put(self, source: Source, template: TypeTemplate) -> None:
        """Take a new version of a type."""
        self._held[source][template.type] = self.within(template)
        self._reasons.pop((source, template.type), None)
        self._settle(template.type)

    def within(self, template: TypeTemplate) -> TypeTemplate:
        """Return a template over what the types file says of its type."""
        policy = self._types.policy(template.type) or self._types.defaults
        return template.within(_variant_of(policy), policy.locale or self._locale, policy.background)

    def refuse(self, source: Source, type: str, error: TemplatesError) -> None:
        """Note that a version of a type cannot be used. The one before it stays."""
        reason = "; ".join(error.lines)
        if self._reasons.get((source, type)) == reason:
            return  # read once more
        self.refused[source] += 1
        self._reasons[source, type] = reason
        before = self._held[source].setdefault(type, Refused(type, source, reason))
        if isinstance(before, Refused):
            self._held[source][type] = Refused(type, source, reason)
            kept = "its notifications go to the dead letters until it is mended"
        else:
            kept = f"version {before.version} stays"
        logger.error("template %s of the %s is refused, %s: %s", type, source, kept, reason)
        self._settle(type)

    def remove(self, source: Source, type: str) -> None:
        """Forget what a source has of a type."""
        self._held[source].pop(type, None)
        self._reasons.pop((source, type), None)
        self._settle(type)

    def types_of(self, source: Source) -> frozenset[str]:
        """Return the types that a source has something of."""
        return frozenset(self._held[source])

    def counts(self) -> Mapping[str, int]:
        """Return how many types each source gives the template of now."""
        found = Counter[str](template.source for template in self._now.values())
        return {source: found[source] for source in SOURCES}

    def listed(self) -> Iterator[tuple[TypeTemplate | Refused, str | None]]:
        """The template of each type that a source or the types file names; why its latest version was refused."""
        for type in sorted({*self._now, *self._types.policies}):
            yield self.of(type), self.why_refused(type)

    def why_refused(self, type: str) -> str | None:
        """Return why the latest version of a type was refused, None: it was not."""
        return next((self._reasons[source, type] for source in SOURCES if (source, type) in self._reasons), None)

    def _settle(self, type: str) -> None:
        for source in SOURCES:
            template = self._held[source].get(type)
            if template is not None:
                self._now[type] = template
                return
        self._now.pop(type, None)

    def _make_of_types_file(self, type: str) -> TypeTemplate:
        policy = self._types.policy(type) or self._types.defaults
        version = version_of([{"title": policy.title, "body": policy.body}])
        locale = policy.locale or self._locale
        return TypeTemplate(type, version, "types file", {}, _variant_of(policy), locale, policy.background)


def _variant_of(policy: TypePolicy) -> Variant:
    return Variant(title=compile_source(policy.title), body=compile_source(policy.body))

"""The template of a type: one variant for each locale and provider, and which of them a reader gets.

For each field it is the first variant that gives it:

    de-AT, apns → de-AT → de, apns → de → default locale, apns → default locale → any locale, apns → any → types file
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Final, NamedTuple

from streams.policies.rendering.compiling import Compiled
from streams.policies.rendering.locales import TAG_CHARACTERS_MAX, locale_chain, writing
from streams.policies.rendering.styles import Style, style_of

CHOICES_CACHED: Final = 1_000  # of one type; who has more locales and providers than these chooses anew
FIELDS: Final = ("title", "body", "image", "link")
TYPES_FILE: Final = "types file"


class VariantKey(NamedTuple):
    """Whom a variant is for; None: everybody."""

    locale: str | None = None
    provider: str | None = None

    def __str__(self) -> str:
        return f"{self.locale or 'any locale'}, {self.provider or 'any provider'}"


class Variant(NamedTuple):
    """What one variant says; None: nothing, the next one is asked. An empty text is one, and shows nothing."""

    title: Compiled | None = None
    body: Compiled | None = None
    image: Compiled | None = None
    link: Compiled | None = None
    data: Mapping[str, Compiled] = MappingProxyType({})

    def templates(self) -> list[Compiled]:
        """All that it says."""
        texts = (self.title, self.body, self.image, self.link, *self.data.values())
        return [text for text in texts if text is not None]


NO_VARIANT: Final = Variant()


class Field(NamedTuple):
    """One field that was chosen: where it stands, and the style that it writes dates and numbers by."""

    name: str
    place: str
    template: Compiled
    style: Style


class Chosen(NamedTuple):
    """What one reader on one provider gets. `locale`: that of readers who name none."""

    label: str
    locale: str
    fields: tuple[Field, ...]
    data: tuple[Field, ...]
    background: bool


class TypeTemplate:
    """The template of one type in one version.

    `last`: the variant of the types file, asked for the fields that no other gives. `locale`: that of readers whose own
    is not known, or not among the variants. `background`: its pushes show nothing.
    """

    def __init__(
        self,
        type: str,
        version: str,
        source: str,
        variants: Mapping[VariantKey, Variant],
        last: Variant = NO_VARIANT,
        locale: str = "en",
        background: bool = False,
    ) -> None:
        self.type: Final = type
        self.version: Final = version
        self.source: Final = source
        self.variants: Final = MappingProxyType(dict(variants))
        self.locale: Final = locale
        self.background: Final = background
        self.label: Final = f"template {version} of the {source}"
        self.last: Final = last
        self._choices: dict[tuple[str | None, str | None], Chosen] = {}
        self._distinct: dict[Chosen, Chosen] = {}

    def within(self, last: Variant, locale: str, background: bool) -> TypeTemplate:
        """Return the same for a type of the types file."""
        return TypeTemplate(self.type, self.version, self.source, self.variants, last, locale, background)

    @property
    def variables(self) -> frozenset[str]:
        """The names that any of its variants reads."""
        said = [text for variant in (*self.variants.values(), self.last) for text in variant.templates()]
        return frozenset[str]().union(*(text.variables for text in said))

    def choose(self, locale: str | None, provider: str | None) -> Chosen:
        """Return what a reader of this locale gets on this provider; the same object where it is the same."""
        if locale is not None and len(locale) > TAG_CHARACTERS_MAX:
            locale = None  # it is none, and not to be remembered
        chosen = self._choices.get((locale, provider))
        if chosen is None:
            if len(self._choices) >= CHOICES_CACHED:
                self._choices.clear()
                self._distinct.clear()
            made = self._choose(locale, provider)
            chosen = self._choices[locale, provider] = self._distinct.setdefault(made, made)
        return chosen

    def _choose(self, locale: str | None, provider: str | None) -> Chosen:
        found: dict[str, Field] = {}
        data: dict[str, Field] = {}
        for key, variant in self._asked(locale, provider):
            place = TYPES_FILE if key is None else str(key)
            written = style_of(writing(locale, None if key is None else key.locale, self.locale))
            for name in FIELDS:
                template: Compiled | None = getattr(variant, name)
                if template is not None and name not in found and not (self.background and name in ("title", "body")):
                    found[name] = Field(name, f"{place}, {name}", template, written)
            for name, template in variant.data.items():
                data.setdefault(name, Field(name, f"{place}, data.{name}", template, written))
        return Chosen(self.label, self.locale, tuple(found.values()), tuple(data.values()), self.background)

    def _asked(self, locale: str | None, provider: str | None) -> Iterator[tuple[VariantKey | None, Variant]]:
        """The variants in the order in which they are asked; None: that of the types file."""
        own = () if locale is None else locale_chain(locale)
        for tag in dict.fromkeys((*own, *locale_chain(self.locale), None)):
            for name in dict.fromkeys((provider, None)):
                key = VariantKey(tag, name)
                variant = self.variants.get(key)
                if variant is not None:
                    yield key, variant
        yield None, self.last

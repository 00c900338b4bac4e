"""Locales by their tag (BCP 47), as users and templates name them: what to look for, and how dates are written.

zh-TW → zh-Hant-TW → zh-Hant → zh        a script that a country implies is looked for as well
de-AT → de
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

from babel import Locale, UnknownLocaleError

TAG_CHARACTERS_MAX: Final = 35  # BCP 47, section 4.4.1
TAGS_CACHED: Final = 2_000  # twice what CLDR has; who makes up more waits some microseconds longer

_TAG = re.compile(r"[A-Za-z]{2,3}(?:[-_][A-Za-z0-9]{1,8})*")


def canonical(tag: str) -> str | None:
    """Return a tag as it is usually written, `zh-Hant-TW`, or None for what is no tag."""
    if len(tag) > TAG_CHARACTERS_MAX or not _TAG.fullmatch(tag):
        return None
    language, *rest = tag.replace("_", "-").split("-")
    return "-".join([language.lower(), *map(_subtag, rest)])


def _subtag(subtag: str) -> str:
    if len(subtag) == 4 and subtag.isalpha():
        return subtag.title()
    return subtag.upper() if len(subtag) == 2 else subtag.lower()


@lru_cache(maxsize=TAGS_CACHED)
def locale_chain(tag: str) -> tuple[str, ...]:
    """Return the tags to look for, the closest one first; none for what is no tag."""
    found = canonical(tag)
    if found is None:
        return ()
    parts = found.split("-")
    chain = ["-".join(parts[:count]) for count in range(len(parts), 0, -1)]
    locale = babel_locale(found)
    # CLDR writes some languages as another one, Montenegrin (`cnr`) as `sr-Latn`: that is not the one asked for.
    if locale is not None and locale.language == parts[0] and locale.script and locale.script not in parts:
        with_script = f"{locale.language}-{locale.script}"
        implied = [f"{with_script}-{locale.territory}"] if locale.territory in parts else []
        chain[-1:-1] = [each for each in (*implied, with_script) if each not in chain]
    return tuple(chain)


@lru_cache(maxsize=TAGS_CACHED)
def babel_locale(tag: str) -> Locale | None:
    """Return the closest locale that CLDR has, or None where it has not even the language."""
    found = canonical(tag)
    parts = [] if found is None else found.split("-")
    for count in range(len(parts), 0, -1):
        try:
            return Locale.parse("_".join(parts[:count]))
        except (UnknownLocaleError, ValueError):
            continue
    return None


@lru_cache(maxsize=TAGS_CACHED)
def wrong_locale(tag: str) -> str | None:
    """Say what is wrong with the tag of a template, None: nothing."""
    found = canonical(tag)
    if found is None:
        return f"{tag[:40]!r} is no locale, such as de-AT"
    language = found.split("-")[0]
    names = Locale("en").languages
    return None if language in names else f"there is no language {language!r} (in {found!r})"


def known_locale(tag: str) -> str:
    """Return the tag of a locale as it is usually written. Raises ValueError with a sentence for whoever wrote it."""
    wrong = wrong_locale(tag)
    if wrong is not None:
        raise ValueError(wrong)
    return canonical(tag) or tag


def writing(reader: str | None, text: str | None, default: str) -> Locale:
    """Return the locale that dates and numbers are written by, within a text of one locale, for a reader of another.

    That of the text, in the way of the reader's country where he reads that language. A text of no locale is for all:
    there it is the reader's own.
    """
    own = None if reader is None else babel_locale(reader)
    wanted = None if text is None else babel_locale(text)
    if wanted is None:
        return own or babel_locale(default) or Locale("en")
    if own is not None and (own.language, own.script) == (wanted.language, wanted.script):
        return own
    return wanted

"""Everything that is wrong with a template, before anybody is told by it.

Beyond what a worker refuses: each variant is rendered with sample values for each provider that it is for, and made
into the provider's request, so that what is too long for a push is found here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Final, NamedTuple

from connectors.apns.request import build_request as apns_request
from connectors.fcm.request import build_request as fcm_request
from connectors.outcome import Device, NotSent, ProviderName, Push
from connectors.webhook.request import build_request as webhook_request
from connectors.webpush.request import build_request as webpush_request
from streams.policies.rendering import (
    RenderFailed,
    Text,
    TypeTemplate,
    Values,
    missing_forms,
    render,
    sample_values,
)
from streams.templates.documents import PROVIDERS, TemplateDocument, TemplatesError, compiled
from streams.templates.library import TemplateLibrary
from streams.types_file import NotificationTypes

NOW: Final = 1_700_000_000.0
TOO_LARGE: Final = "payload_too_large"
# Addresses that have the form; nothing is sent. Web Push looks at the size before it looks at the keys.
_ADDRESSES: Final = {
    "apns": "ab" * 32,
    "fcm": "token:" + "x" * 140,
    "webpush": "https://push.example.com/x",
    "webhook": "https://hooks.example.com/x",
}
_REQUESTS: Final[Mapping[str, Callable[[Push, float], object]]] = {
    "apns": apns_request,
    "fcm": fcm_request,
    "webpush": webpush_request,
    "webhook": webhook_request,
}


class Checked(NamedTuple):
    """What was found out of one type: its mistakes, a line each, and the names that it reads."""

    type: str
    mistakes: tuple[str, ...]
    uses: tuple[str, ...]
    variants: int


def check(document: TemplateDocument, types: NotificationTypes, locale: str) -> Checked:
    """Check one template. `locale`: that of users who name none, where the type names none."""
    try:
        template = TemplateLibrary(types, locale).within(compiled(document, "folder"))
    except TemplatesError as error:
        return Checked(document.type, error.lines, (), len(document.variants))
    mistakes: list[str] = []
    policy = types.policy(document.type)
    if policy is None:
        mistakes.append("the types file has no such type")
    elif policy.background and any(text for each in template.variants.values() for text in (each.title, each.body)):
        mistakes.append("the types file says background = true: its pushes show no title and no body")
    mistakes += _forms(template)
    if policy is not None:
        mistakes += dict.fromkeys(_rendered(template, document))
    return Checked(document.type, tuple(mistakes), tuple(sorted(template.variables)), len(document.variants))


def _forms(template: TypeTemplate) -> Iterator[str]:
    for key, variant in template.variants.items():
        if key.locale is not None:
            for text in variant.templates():
                forms = missing_forms(text, key.locale)
                if forms:
                    yield f"{key}: {key.locale} has the plural forms {', '.join(forms)}, which {text.source!r} has not"


def _rendered(template: TypeTemplate, document: TemplateDocument) -> Iterator[str]:
    said = [text for variant in (*template.variants.values(), template.last) for text in variant.templates()]
    profile = document.sample_profile
    data = {name: text for name, text in sample_values(said).items() if name not in profile}
    data.update(document.sample)
    for key in template.variants:
        values = Values("user", template.type, data, key.locale, profile)
        for provider in (key.provider,) if key.provider is not None else PROVIDERS:
            text = render(template.choose(key.locale, provider), None, None, values)
            if isinstance(text, RenderFailed):
                yield f"with sample values: {text.reason.removeprefix(f'{template.type}, {template.label}, ')}"
            elif _is_too_long(provider, text, values):
                yield f"{key}: with sample values it is too long for {provider}, with all data"


def _is_too_long(provider: str, text: Text, values: Values) -> bool:
    push = Push(
        push_id="00000000-0000-4000-8000-000000000000",
        notification_id="00000000-0000-4000-8000-000000000000",
        type=values.type,
        device=Device("sample", ProviderName(provider), _ADDRESSES[provider]),
        title=text.title,
        body=text.body,
        data={**text.data, **values.data},
        ttl_seconds=3_600,
        collapse_id="x" * 32,
        image=text.image,
        link=text.link,
    )
    request = _REQUESTS[provider](push, NOW)
    return isinstance(request, NotSent) and request.reason == TOO_LARGE

"""What a reader sees: the event's own title and body, or the templates of its type in his language.

Rendering runs on the event loop, so whatever a template says ends soon: each operation is counted, each value has a
bound, and what goes beyond is `RenderFailed`, with a reason that names the template. The same template with the same
values ends the same way everywhere, because nothing of it is measured by a clock.
"""

from streams.policies.rendering.compiling import Compiled, TemplateError, compile_source
from streams.policies.rendering.limits import TEXT_CHARACTERS_MAX, WORK_MAX
from streams.policies.rendering.locales import canonical, known_locale, locale_chain, wrong_locale
from streams.policies.rendering.render import RenderFailed, Text, Values, missing_names, render
from streams.policies.rendering.samples import missing_forms, sample_values
from streams.policies.rendering.variants import Chosen, TypeTemplate, Variant, VariantKey

__all__ = [
    "TEXT_CHARACTERS_MAX",
    "WORK_MAX",
    "Chosen",
    "Compiled",
    "RenderFailed",
    "TemplateError",
    "Text",
    "TypeTemplate",
    "Values",
    "Variant",
    "VariantKey",
    "canonical",
    "compile_source",
    "known_locale",
    "locale_chain",
    "missing_forms",
    "missing_names",
    "render",
    "sample_values",
    "wrong_locale",
]

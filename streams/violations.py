"""What pydantic says of a wrong value, as the sentence that a person wants: what must be, and what is."""

from __future__ import annotations

from pydantic_core import ErrorDetails

_SENTENCES = {
    "greater_than_equal": "must be at least {ge:g}",
    "greater_than": "must be more than {gt:g}",
    "less_than_equal": "must be at most {le:g}",
    "less_than": "must be less than {lt:g}",
    "int_parsing": "must be a whole number",
    "int_from_float": "must be a whole number",
    "int_type": "must be a whole number",
    "float_parsing": "must be a number",
    "float_type": "must be a number",
    "finite_number": "must be a finite number",
    "bool_parsing": "must be true or false",
    "bool_type": "must be true or false",
    "string_type": "must be a text",
    "literal_error": "must be {expected}",
    "path_not_file": "must be a file that exists",
    "path_not_directory": "must be a folder that exists",
    "string_pattern_mismatch": "must match {pattern}",
    "string_too_short": "must have at least {min_length} characters",
    "string_too_long": "must have at most {max_length} characters",
    "model_type": "must be a table",
    "dict_type": "must be a table",
}


def sentence(error: ErrorDetails, *, secret: bool = False) -> str:
    """`must be at least 1, is 0`; without the value where it is secret."""
    kind, context = error["type"], error.get("ctx", {})
    if kind == "missing":
        return "must be given"
    if kind == "value_error":
        return str(context["error"])
    must = _SENTENCES[kind].format(**context) if kind in _SENTENCES else error["msg"][:1].lower() + error["msg"][1:]
    return must if secret else f"{must}, is {_shown(error['input'])}"


def _shown(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    text = str(value)
    if isinstance(value, str) and (not text.strip() or any(character in text for character in " ,\n")):
        text = repr(text)
    return text if len(text) <= 100 else f"{text[:100]}…"

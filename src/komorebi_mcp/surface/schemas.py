"""JSON Schemas as clients see them: true, and short, since a model pays for every one of their tokens.

Limits on the length of texts and lists are left to the errors, which tell them when they matter. A result's
own fields are typed; the objects in it say which fields are always there.
"""

from collections.abc import Callable
from typing import Any

from pydantic import BaseModel

Schema = dict[str, Any]

_LENGTHS = frozenset({"minLength", "maxLength", "minItems", "maxItems", "minimum"})
_FORMS = frozenset({"enum", "format"})


def full_schema(model: type[BaseModel]) -> Schema:
    """Everything the model demands, with definitions in place of the references to them."""
    schema = model.model_json_schema(mode="validation")
    definitions = schema.pop("$defs", {})
    return _resolved(schema, definitions)


def input_schema(model: type[BaseModel]) -> Schema:
    """The arguments a tool takes. An optional one has its type alone: leaving it out is how to say null."""
    schema = _without_null(full_schema(model))
    return _shortened(schema, lambda part: {key: value for key, value in part.items() if key not in _LENGTHS})


def output_schema(model: type[BaseModel]) -> Schema:
    """The result a tool gives. It may grow, so that fields it does not name are allowed."""
    schema = _without_null(full_schema(model))
    schema["properties"] = {name: _shortened(part, _outlined) for name, part in schema["properties"].items()}
    return _shortened(schema, _outlined_root)


def _resolved(schema: Schema, definitions: Schema) -> Schema:
    """The schema without references, titles and null defaults; no model of ours refers to itself."""
    if "$ref" in schema:
        definition = definitions[schema["$ref"].rsplit("/", 1)[-1]]
        # A definition's description is the docstring of its class, written for its maintainers.
        target = {key: value for key, value in definition.items() if key != "description"}
        return _resolved(
            {**target, **{key: value for key, value in schema.items() if key != "$ref"}}, definitions
        )
    resolved: Schema = {}
    for key, value in schema.items():
        if key == "properties":
            resolved[key] = {name: _resolved(part, definitions) for name, part in value.items()}
        elif key == "items":
            resolved[key] = _resolved(value, definitions)
        elif key == "anyOf":
            (present,) = (part for part in value if part.get("type") != "null")
            resolved |= _resolved(present, definitions) | {"nullable": True}
        elif key != "title" and not (key == "default" and value in (None, [], 0)):
            resolved[key] = value
    return resolved


def _without_null(schema: Schema) -> Schema:
    """The schema of an object whose optional properties are absent rather than null."""
    schema.pop("description", None)
    for name, part in schema.get("properties", {}).items():
        if part.pop("nullable", False) and name in schema.get("required", ()):
            part["type"] = [part["type"], "null"]
    return schema


def _outlined_root(schema: Schema) -> Schema:
    return {key: value for key, value in schema.items() if key != "additionalProperties"}


def _outlined(schema: Schema) -> Schema:
    if schema.get("type") == "object":
        return {"type": "object", "required": schema["required"]}
    return {key: value for key, value in schema.items() if key not in _FORMS}


def _shortened(schema: Schema, shorten: Callable[[Schema], Schema]) -> Schema:
    """The schema with `shorten` applied to it and to every part of it."""
    short = shorten(schema)
    if "properties" in short:
        short["properties"] = {name: _shortened(part, shorten) for name, part in short["properties"].items()}
    if "items" in short:
        short["items"] = _shortened(short["items"], shorten)
    return short

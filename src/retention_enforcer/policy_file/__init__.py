"""The policy file: YAML text to a `Policy`, or one error that names file, line and remedy.

Three steps, each of which collects all that it finds: plain YAML, the shape (known keys, values that can be
read), and the rules of `domain.policy_rules`. A step runs only if the one before it found nothing.
"""

from __future__ import annotations

import difflib
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from retention_enforcer.domain.errors import ConfigurationError
from retention_enforcer.domain.policy import rules as policy_rules
from retention_enforcer.domain.policy.promises import Policy
from retention_enforcer.domain.policy.rules import Problem, earliest_problems, policy_problems
from retention_enforcer.policy_file.plain_yaml import Document, Fault, read_plain_yaml
from retention_enforcer.policy_file.shape import (
    FORMS,
    NESTED,
    PREFIXED,
    REFUSED,
    CategoryEntry,
    ClauseEntry,
    FieldWithUnit,
    NestedEntry,
    OwnsEntry,
    PolicyFile,
    PrefixedEntry,
    SchemaWithoutNull,
    SubjectsEntry,
    shown,
)

_MAX_BYTES = 1 << 20  # a policy has some kilobytes: whatever is larger is another file
_KNOWN: dict[str, type[BaseModel]] = {
    "clause": ClauseEntry,
    "subjects": SubjectsEntry,
    "owns": OwnsEntry,
    NESTED: NestedEntry,
    PREFIXED: PrefixedEntry,
    "timestamp": FieldWithUnit,
}

_SHAPES = {
    "tuple_type": ("this is not a list", 'write a list, such as ["one", "two"]'),
    "too_short": ("the list is empty", "name at least one, or remove the line"),
    "model_type": ("this is not a mapping of keys to values", "write `key: value` lines under it"),
}
"""What pydantic's types of error mean here, and their remedies."""


def load_policy(path: Path, now: int | None = None) -> Policy:
    """Return the policy in a file; ConfigurationError with file, line and remedy if it holds none.

    With `now`, in epoch milliseconds, it is also held against the clock.
    """
    try:
        with path.open("rb") as file:
            content = file.read(_MAX_BYTES + 1)
    except OSError as error:
        reason = (error.strerror or type(error).__name__).lower()
        raise ConfigurationError(f"{path}: cannot be read: {reason}", "name a policy file that is readable") from None
    if len(content) > _MAX_BYTES:
        raise ConfigurationError(f"{path}: is larger than 1 MiB", "name the policy file, which has a few kilobytes")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise ConfigurationError(f"{path}:{line}: this is not UTF-8 text", "save the policy as UTF-8") from None
    return load_policy_text(text, str(path), now)


def load_policy_text(text: str, source_name: str, now: int | None = None) -> Policy:
    """Return the policy that a YAML text describes; `source_name` is the file's name in errors.

    Raises ConfigurationError with the first problem in full and the number of the others.
    """
    document = read_plain_yaml(text)
    if document.faults:
        raise _refusal(source_name, document.faults)
    try:
        policy = PolicyFile.model_validate(document.value).policy()
    except ValidationError as error:
        problems = _shape_problems(error)
    else:
        problems = [*policy_problems(policy), *([] if now is None else earliest_problems(policy, now))]
        if not problems:
            return policy
    raise _refusal(source_name, [_fault(problem, document) for problem in problems])


def policy_schema() -> dict[str, Any]:
    """Return the JSON Schema of the policy file, for editors; rules between keys are the loader's alone."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema"} | PolicyFile.model_json_schema(
        schema_generator=SchemaWithoutNull
    )


def _refusal(source_name: str, faults: list[Fault]) -> ConfigurationError:
    first, *others = sorted(faults, key=lambda fault: fault.line)
    more = f" ({len(others)} more below, the next in line {others[0].line})" if others else ""
    return ConfigurationError(f"{source_name}:{first.line}: {first.text}", first.remedy + more)


def _fault(problem: Problem, document: Document) -> Fault:
    where = _where(problem.path, document.value) or "the policy"
    return Fault(document.line(problem.path), f"{where}: {problem.text}", problem.remedy)


def _where(path: policy_rules.Path, value: object) -> str:
    """A path as people say it: `category backend-logs, clause.updated`."""
    match path:
        case ("categories", int(number), *rest):
            category = f"category {_category_id(value, number)}"
            return f"{category}, {_dotted(rest)}" if rest else category
    return _dotted(path)


def _category_id(value: object, number: int) -> str:
    match value:
        case {"categories": list(categories)} if isinstance(entry := categories[number], dict):
            found = entry.get("id")
            if isinstance(found, str) and re.fullmatch(r"[\w.-]{1,60}", found):
                return found
    return f"number {number + 1}"


def _dotted(path: policy_rules.Path | list[str | int]) -> str:
    return ".".join(f"entry {part + 1}" if isinstance(part, int) else repr(part)[1:-1][:60] for part in path)


def _shape_problems(error: ValidationError) -> list[Problem]:
    details = error.errors(include_url=False)
    version = [detail for detail in details if detail["loc"] == ("version",) and detail["type"] == REFUSED]
    if version:
        return [_shape_problem(version[0])]  # another version may have other keys: nothing more can be said
    # Of a list whose entries are all wrong pydantic says that it is too short, too.
    inside = {detail["loc"][:length] for detail in details for length in range(len(detail["loc"]))}
    details = [d for d in details if d["type"] != "too_short" or d["loc"] not in inside]
    meant = {(*detail["loc"][:-1], _nearest(detail)) for detail in details if detail["type"] == "extra_forbidden"}
    within = {detail["loc"][:end] for detail in details for end in range(len(detail["loc"]))}
    # A misspelt key that is required is one problem, not two; and a list is not empty that has a faulty entry.
    twice = {("missing", loc) for loc in meant} | {("too_short", loc) for loc in within}
    return [_shape_problem(detail) for detail in details if (detail["type"], detail["loc"]) not in twice]


def _shape_problem(detail: ErrorDetails) -> Problem:
    problem = _problem(detail)
    return replace(problem, path=tuple(part for part in problem.path if part not in FORMS))


def _problem(detail: ErrorDetails) -> Problem:
    path, kind, context = detail["loc"], detail["type"], detail.get("ctx", {})
    if kind == REFUSED:
        return Problem(path=path, text=context["text"], remedy=context["remedy"])
    if kind == "extra_forbidden":
        nearest = _nearest(detail)
        remedy = f"write {nearest} if you meant that" if nearest else f"use one of: {', '.join(_known(path[:-1]))}"
        return Problem(path=path, text="unknown key", remedy=remedy)
    if kind == "missing":
        text = f"{path[-1]} is missing"
        return Problem(path=path[:-1], text=text, remedy=f"add {path[-1]}: with a value")
    if kind == "literal_error":
        text = f"{shown(detail['input'])} is not one of {context['expected']}"
        return Problem(path=path, text=text, remedy=f"write {context['expected']}")
    text, remedy = _SHAPES[kind]
    return Problem(path=path, text=text, remedy=remedy)


def _nearest(detail: ErrorDetails) -> str | None:
    """The known key that an unknown one is most like."""
    *parent, key = detail["loc"]
    return next(iter(difflib.get_close_matches(str(key), _known(tuple(parent)), n=1)), None)


def _known(parent: policy_rules.Path) -> list[str]:
    """The keys of the mapping at a path."""
    if not parent:
        return list(PolicyFile.model_fields)
    return list(_KNOWN.get(str(parent[-1]), CategoryEntry).model_fields)

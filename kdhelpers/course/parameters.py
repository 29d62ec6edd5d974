"""The values of a lesson's parameters: which types there are, and what fits each of them.

Every value is plain data, the kind that JSON can hold. So it can be written into a notebook as a
literal, never as code, and into a record unchanged.
"""

import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import yaml

from kdhelpers._values import check_type, short_path, short_repr

__all__ = ["TYPES", "convert", "plain", "read_file"]

DEEPEST = 50  # collections inside of collections in YAML

# What a person is told who gave something else.
TYPES = {
    "int": "a whole number (int)",
    "float": "a finite number (float)",
    "bool": "true or false (bool)",
    "str": "text (str)",
    "list[int]": "a list of whole numbers such as [0, 1, 2]",
    "list[float]": "a list of finite numbers such as [0.5, 1.0]",
    "list[str]": "a list of texts such as [mnist, digits]",
    "dict": "a mapping such as {conv1: 0.5, conv2: 1.0}",
}


def plain(value: Any, name: str) -> Any:
    """`value` as JSON can hold it: scalars of numpy become numbers, tuples become lists.

    Args:
        name: what the value is called in an error message.

    Raises:
        ValueError: it holds NaN or infinity, an array, an object, a key that is not text …; the
            message names the key.
    """
    try:
        return _plain(value, name)
    except RecursionError:
        raise ValueError(f"{name} is nested too deeply.") from None


def _plain(value: Any, name: str) -> Any:
    if getattr(value, "shape", None) == () and hasattr(value, "item"):
        try:
            value = value.item()
        except Exception as error:  # a tensor without values; PyTorch is not known here
            raise ValueError(f"{name} has no value that could be read.") from error
    match value:
        case None | bool():
            return value
        case int():
            if not -(2**63) <= value < 2**64:
                raise ValueError(f"{name} does not fit in 64 bits.")
            return int(value)
        case float():
            if not math.isfinite(value):
                raise ValueError(f"{name} is {value}; write None where there is no number.")
            return float(value)
        case str():
            if any("\ud800" <= letter <= "\udfff" for letter in value):
                raise ValueError(f"{name} is not valid Unicode text.")
            return value
        case list() | tuple():
            return [_plain(item, f"{name}[{index}]") for index, item in enumerate(value)]
        case dict():
            if wrong := [key for key in value if not isinstance(key, str)]:
                raise ValueError(f"{name} has the key {wrong[0]!r}, and keys must be text.")
            return {_plain(key, name): _plain(v, f"{name}[{key!r}]") for key, v in value.items()}
    raise ValueError(
        f"{name} is of type {type(value).__name__}, but only numbers, text, true, false, None, "
        "lists and dicts can be stored."
    )


def convert(value: Any, kind: str) -> Any:
    """`value` as the type `kind` (one of `TYPES`); text is read the way YAML would be.

    Raises:
        ValueError: it does not fit; the message says what is wanted. Or there is no such type.
    """
    if not isinstance(kind, str) or kind not in _CONVERTERS:
        raise ValueError(f"the type must be one of {', '.join(TYPES)}, not {short_repr(kind)}")
    try:
        return plain(_CONVERTERS[kind](plain(value, "the value")), "the value")
    except ValueError:
        raise ValueError(f"wants {TYPES[kind]}, not {short_repr(value)}") from None


def _int(value: Any) -> int:
    if isinstance(value, str):
        return int(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    raise ValueError


def _float(value: Any) -> float:
    # YAML takes 1e-3 for text (it wants 1.0e-3), so text must do here, too.
    if isinstance(value, int | float | str) and not isinstance(value, bool):
        return float(value)
    raise ValueError


def _bool(value: Any) -> bool:
    if isinstance(value, str):
        value = {"true": True, "false": False}.get(value.strip().lower())
    if isinstance(value, bool):
        return value
    raise ValueError


def _str(value: Any) -> str:
    if isinstance(value, str):
        return value
    raise ValueError


def _dict(value: Any) -> dict[str, Any]:
    value = _parse(value) if isinstance(value, str) else value
    if isinstance(value, dict):
        return value
    raise ValueError


def _list_of(item_converter: Callable[[Any], Any]) -> Callable[[Any], list[Any]]:
    def converter(value: Any) -> list[Any]:
        value = _parse(value) if isinstance(value, str) else value
        if isinstance(value, list):
            return [item_converter(item) for item in value]
        raise ValueError

    return converter


_CONVERTERS: dict[str, Callable[[Any], Any]] = {
    "int": _int,
    "float": _float,
    "bool": _bool,
    "str": _str,
    "list[int]": _list_of(_int),
    "list[float]": _list_of(_float),
    "list[str]": _list_of(_str),
    "dict": _dict,
}


def read_file(path: Path) -> dict[str, Any]:
    """The parameters in a YAML file, unchecked; an empty file has none, as with `papermill -f`.

    Raises:
        ValueError: the file cannot be read, is not YAML, or is not a mapping from names.
    """
    check_type(path, str, Path, name="the file of parameters")
    told_path = short_path(path)[1:-1]
    try:
        content = _parse(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise ValueError(f"{told_path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ValueError(f"{told_path} is not UTF-8 text") from error
    except ValueError as error:
        raise ValueError(f"{told_path} is not valid YAML ({error})") from error
    if content is None:
        return {}
    if not isinstance(content, dict) or not all(isinstance(name, str) for name in content):
        raise ValueError(
            f"{told_path} must map parameter names to values, one 'name: value' a line"
        )
    return content


def _parse(text: str) -> Any:
    """YAML as papermill reads it (dates stay text), without aliases, which can grow endlessly, and
    without a key that stands twice, of which one would be lost unseen.

    Raises:
        ValueError: in a few words, why this is not YAML.
    """
    from papermill.iorw import NoDatesSafeLoader  # slow to import, and only a run needs it

    try:
        _check_events(yaml.parse(text))
        loader = NoDatesSafeLoader(text)  # a SafeLoader
        try:
            node = loader.get_single_node()
            if node is None:
                return None
            _check_keys(node)
            return loader.construct_document(node)
        finally:
            loader.dispose()
    except yaml.MarkedYAMLError as error:
        line = f"line {error.problem_mark.line + 1}: " if error.problem_mark else ""
        raise ValueError(f"{line}{error.problem}") from error
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    except Exception as error:  # a tag that does not fit (!!int x) raises whatever it likes
        raise ValueError(str(error).partition("\n")[0]) from error


def _check_events(events: Iterator[yaml.Event]) -> None:
    """Stop before anything grows: PyYAML takes seconds for brackets in thousands of brackets."""
    depth = 0
    for event in events:
        if isinstance(event, yaml.AliasEvent):
            raise ValueError("aliases such as *name are not supported")
        depth += isinstance(event, yaml.CollectionStartEvent)
        depth -= isinstance(event, yaml.CollectionEndEvent)
        if depth > DEEPEST:
            raise ValueError("it is nested too deeply")


def _check_keys(node: yaml.Node) -> None:
    if isinstance(node, yaml.MappingNode):
        keys = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
        for key in keys:
            if keys.count(key) > 1:
                raise ValueError(f"the key {short_repr(key)} stands twice")
        for _, value in node.value:
            _check_keys(value)
    elif isinstance(node, yaml.SequenceNode):
        for item in node.value:
            _check_keys(item)

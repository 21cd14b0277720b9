"""How an extra spec is matched with a value: `fast`, `>= 10`, `<or> ssd <or> nvme`, `<in> avx`, `s!= slow`,
`<is> True`.

The operators are those of the published extra specs of flavors and volume types; one without an
operator compares text. A numeric operator never matches what is not a number.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

from oslo_utils import strutils

_NUMERIC: dict[str, Callable[[float, float], bool]] = {
    "=": operator.ge, "==": operator.eq, "!=": operator.ne, ">=": operator.ge, "<=": operator.le,
}
_TEXT: dict[str, Callable[[str, str], bool]] = {
    "s==": operator.eq, "s!=": operator.ne, "s>=": operator.ge, "s>": operator.gt, "s<=": operator.le,
    "s<": operator.lt,
}


def value_matches(value: Any, wanted: Any) -> bool:
    """Return whether `value` fulfils `wanted`."""
    words = str(wanted).split()
    if not words:
        return str(value) == str(wanted)
    first, rest = words[0], words[1:]
    if first in _NUMERIC and rest:
        return _numbers_match(_NUMERIC[first], str(value), rest[0])
    if first in _TEXT and rest:
        return _TEXT[first](str(value), " ".join(rest))
    if first == "<is>" and rest:
        return strutils.bool_from_string(value) == strutils.bool_from_string(rest[0])
    if first == "<or>":
        return str(value) in [choice.strip() for choice in str(wanted).split("<or>")[1:]]
    if first == "<in>" and rest:
        return " ".join(rest) in str(value)
    if first == "<all-in>" and rest:
        return all(word in str(value) for word in rest)
    return str(value) == str(wanted)


def _numbers_match(compare: Callable[[float, float], bool], value: str, wanted: str) -> bool:
    try:
        return compare(float(value), float(wanted))
    except ValueError:
        return False

"""From axes to points: each point is the settings of one run."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

from simplify.errors import ConfigError
from simplify.sweep.file import Axes, Size, shown

Point = dict[str, Any]


def points_of(size: Size, typed: Axes) -> list[Point]:
    """Every point of a sweep. `typed` are the words of the command line, which win over the file.

    A typed key with one value replaces what the file sets, axes included; one with several values is
    an axis itself.
    """
    fixed = {**size.set, **{key: values[0] for key, values in typed.items() if len(values) == 1}}
    grid = {key: values for key, values in size.grid.items() if key not in typed}
    grid |= {key: values for key, values in typed.items() if len(values) > 1}
    pairs = [{key: values for key, values in group.items() if key not in typed} for group in size.zip]
    _check_apart([grid, *pairs])
    factors = [[{key: value} for value in values] for key, values in grid.items()]
    factors += [
        [dict(zip(group, values, strict=True)) for values in zip(*group.values(), strict=True)]
        for group in pairs
        if group
    ]
    points = [{**fixed, **_merged(parts)} for parts in itertools.product(*factors)] if factors else []
    told = {key for pattern in size.leave_out for key in pattern} | set(size.grid).union(*size.zip)
    _check_used(size.leave_out, points, narrowed=bool(told & set(typed)))
    kept = [point for point in points if not any(_matches(point, pattern) for pattern in size.leave_out)]
    kept += [{**fixed, **point} for point in _added(size.add, typed)]
    if factors and not kept:
        raise ConfigError("except: leaves no point; valid: fewer exceptions, or more values")
    return kept if factors or size.add else [fixed]


def _added(add: Sequence[Mapping[str, Any]], typed: Axes) -> list[Point]:
    """The extra points. What is typed holds for them too, but a key that a point sets is no axis to it."""
    found: list[Point] = []
    for point in add:
        own = {key: value for key, value in point.items() if len(typed.get(key, ())) != 1}
        axes = {key: values for key, values in typed.items() if len(values) > 1 and key not in own}
        found += [{**own, **dict(zip(axes, values, strict=True))} for values in itertools.product(*axes.values())]
    return found


def _merged(parts: Sequence[Point]) -> Point:
    return {key: value for part in parts for key, value in part.items()}


def _matches(point: Point, pattern: Mapping[str, Any]) -> bool:
    return all(key in point and point[key] == value for key, value in pattern.items())


def _check_apart(groups: Sequence[Axes]) -> None:
    """No key may be an axis twice."""
    seen: set[str] = set()
    for group in groups:
        for key in group:
            if key in seen:
                raise ConfigError(f"{key}: is an axis twice (grid and zip); valid: one place for each axis")
            seen.add(key)


def _check_used(patterns: Sequence[Mapping[str, Any]], points: Sequence[Point], narrowed: bool) -> None:
    """An exception that excepts nothing is a slip, unless words of the command line have taken its points away."""
    for pattern in patterns:
        if points and not any(set(pattern) <= set(point) for point in points):
            raise ConfigError(
                f"except: {shown(pattern)}: names a setting that the points do not have; valid: {', '.join(points[0])}"
            )
        if points and not narrowed and not any(_matches(point, pattern) for point in points):
            raise ConfigError(f"except: {shown(pattern)}: no point has these values; valid: values of the axes")


def varying(points: Sequence[Mapping[str, Any]]) -> list[str]:
    """The keys that differ between points, in the order they first appear."""
    keys = dict.fromkeys(key for point in points for key in point)
    absent = object()
    return [key for key in keys if any(p.get(key, absent) != points[0].get(key, absent) for p in points)]

"""The only door to matplotlib: a picture looks the same whatever its user has set for pictures of his own.

Backend (MPLBACKEND), matplotlibrc, style files and fonts of the user decide about nothing here: Agg draws, by
matplotlib's own defaults and our SETTINGS. What goes wrong with a picture all the same is one exception, NotDrawn.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import io
import logging
import os
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from simplify.runs.files import write_whole

if TYPE_CHECKING:
    from matplotlib.axes import Axes as Axes  # for those who draw
    from matplotlib.figure import Figure as Figure

FORMATS = (".png", ".svg", ".pdf")
# Text stays text in SVG and PDF, and the same picture gives the same bytes.
SETTINGS: dict[str, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "simplify",
    "pdf.fonttype": 42,
    "text.usetex": False,
    "font.size": 8,
}
_BACKEND, _FILE = "MPLBACKEND", "MATPLOTLIBRC"
_LEFT_ALONE = ("backend", "backend_fallback", "interactive")  # of the process, not of a picture
_OF_AGG = ("matplotlib.backends.backend_agg", "matplotlib.figure", "matplotlib.lines", "matplotlib.ticker")


class NotDrawn(Exception):
    """A picture could not be drawn; the message says why, in a line. It is never worth what it shows."""


class _NotWritten(Exception):
    """A file could not be written, which is no fault of matplotlib's."""


@contextlib.contextmanager
def drawing(font_size: float = 8) -> Iterator[None]:
    """What is drawn inside has our settings. Raises NotDrawn, whatever went wrong, and OSError for a file of `save`."""
    try:
        with _guarded():
            load()
            with _our_settings(font_size):
                yield
    except _NotWritten as failed:
        assert isinstance(failed.__cause__, OSError)
        raise failed.__cause__ from None


def new_figure(width: float, height: float, dpi: int = 200) -> Figure:
    """A figure of that size in inches, drawn by Agg."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=dpi, layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def change(settings: dict[Any, Any]) -> None:
    """Other settings than ours, to the end of the `drawing`."""
    import matplotlib

    matplotlib.rcParams.update(settings)


def save(figure: Figure, path: Path) -> None:
    """Write a figure in the format of the file's name, without the date: the same figure gives the same bytes."""
    suffix, out = path.suffix.lower(), io.BytesIO()
    undated = {".svg": {"Date": None}, ".pdf": {"CreationDate": None}}.get(suffix, {})
    figure.savefig(out, format=suffix[1:], metadata=undated)
    try:
        write_whole(path, out.getvalue(), sync=False)
    except OSError as error:
        raise _NotWritten from error


def load() -> None:
    """Import matplotlib and what draws for us, out of reach of the user's variables. Raises what its import raises."""
    with _quiet(), _without_variables():
        try:
            _import()
        except Exception:  # a matplotlibrc that cannot be read: its own defaults are enough
            for name in [name for name in list(sys.modules) if name.partition(".")[0] == "matplotlib"]:
                del sys.modules[name]  # the half of it that was loaded
            spec = importlib.util.find_spec("matplotlib")
            (package,) = (spec and spec.submodule_search_locations) or [""]
            os.environ[_FILE] = str(Path(package) / "mpl-data" / "matplotlibrc")
            _import()


def preload() -> None:
    """The same ahead of time, for processes to come; what is wrong is said where there is a picture to draw.

    What the first picture of a process looks up, fonts above all, is looked up here.
    """
    with contextlib.suppress(Exception), drawing():
        figure = new_figure(1, 1)
        figure.add_subplot().set_title("a")
        figure.savefig(io.BytesIO(), format="png")


def part(name: str) -> Any:
    """A module of matplotlib's. Raises NotDrawn."""
    with _guarded():
        load()
        return importlib.import_module(f"matplotlib.{name}")


def _import() -> None:
    for name in _OF_AGG:
        importlib.import_module(name)


@contextlib.contextmanager
def _guarded() -> Iterator[None]:
    try:
        yield
    except (NotDrawn, _NotWritten):
        raise
    except Exception as error:
        said = next((line.strip() for line in str(error).splitlines() if line.strip()), "")[:200]
        raise NotDrawn(f"{type(error).__name__}: {said}") from error


@contextlib.contextmanager
def _our_settings(font_size: float) -> Iterator[None]:
    """matplotlib's defaults and SETTINGS for the length of the `with` block, and no word but an exception."""
    import matplotlib

    with _quiet():
        wanted: dict[Any, Any] = {
            key: value for key, value in matplotlib.rcParamsDefault.items() if key not in _LEFT_ALONE
        }
        wanted |= {**SETTINGS, "font.size": font_size}
        with matplotlib.rc_context(wanted):
            yield


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """A cache of fonts that cannot be kept, a letter that a font lacks: nothing that a person need read of here."""
    log = logging.getLogger("matplotlib")
    before = log.level
    log.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        log.setLevel(before)


@contextlib.contextmanager
def _without_variables() -> Iterator[None]:
    """A notebook's kernel names a backend that this environment may not have; what is set comes back afterwards."""
    kept = {name: os.environ.get(name) for name in (_BACKEND, _FILE)}
    os.environ.pop(_BACKEND, None)
    try:
        yield
    finally:
        for name, value in kept.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value

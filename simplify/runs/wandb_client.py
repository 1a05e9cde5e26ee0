"""How W&B is talked to: the account, quiet settings, errors in one line. No word on the terminal, no question."""

from __future__ import annotations

import contextlib
import os
import re
import sys
from collections.abc import Iterator
from typing import Any

from simplify.errors import ConfigError, UploadError

# What names a run of another program, a sweep agent's say; there wandb would set aside the id that we give.
# Notes come from the configuration alone, into which the shell's have gone.
_NOT_OURS = ("WANDB_SWEEP_ID", "WANDB_SWEEP_PARAM_PATH", "WANDB_RUN_ID", "WANDB_RESUME", "WANDB_NOTES")
_SECONDS_TO_ANSWER = 8
_SECONDS_TO_START = 15


def library() -> Any:
    """wandb, made quiet before it is imported."""
    os.environ["WANDB_ERROR_REPORTING"] = "false"  # else one look-up of its host, even offline
    os.environ.setdefault("WANDB_SILENT", "true")
    for name in _NOT_OURS:
        os.environ.pop(name, None)
    import wandb

    util: Any = sys.modules.get("wandb.util")
    if util is not None and "pandas" not in sys.modules:  # else it is imported, 80 MiB, to ask whether a histogram
        util.pd_available = False  # is a DataFrame; the name of the type tells as much
    return wandb


def connect() -> Any:
    """The server, asked once whether it knows us. Raises UploadError with what to do."""
    with no_questions(), talking():
        return library().Api(timeout=_SECONDS_TO_ANSWER)


@contextlib.contextmanager
def talking() -> Iterator[None]:
    """What wandb raises becomes an UploadError; a mistake of ours stays what it is."""
    try:
        yield
    except Exception as error:
        of = type(error).__module__.partition(".")[0]
        if of in ("wandb", "requests") or isinstance(error, (ConnectionError, TimeoutError)):
            raise _refusal(error) from None
        if isinstance(error, RuntimeError) and "home directory" in str(error):  # pathlib's word for `~`
            raise UploadError("it looks for the home folder, which nobody knows", "set HOME to a folder") from None
        raise


def entity_of(server: Any, wanted: str | None) -> str:
    """The user or team that runs go to. Raises ConfigError where the account has no default."""
    entity = wanted or os.environ.get("WANDB_ENTITY") or server.default_entity
    if not entity:
        raise ConfigError("wandb.entity=null: the account has no default; valid: a user or a team")
    return entity


def find(server: Any, path: str) -> Any:
    """The server's run at entity/project/id; None where there is none. Raises UploadError."""
    with talking():
        try:
            return server.run(path)
        except Exception as error:
            if any(words in str(error).lower() for words in ("could not find", "not found")):
                return None
            raise


def settings(patience: int, **more: Any) -> Any:
    """Settings of a client that is quiet, asks nothing and gives up in time; `patience` in seconds."""
    wandb = library()
    wished = {
        "console": "off",
        "silent": True,
        "init_timeout": _SECONDS_TO_START,
        "finish_timeout": patience,
        "finish_timeout_raises": True,
        "x_transaction_log_flush_interval": 2,
        "disable_git": True,  # run.json has the commit of our own code, wherever the user stands
        **more,
    }
    return wandb.Settings(**{k: v for k, v in wished.items() if k in wandb.Settings.model_fields})


@contextlib.contextmanager
def no_questions() -> Iterator[None]:
    """Without a key wandb would ask on the terminal, and a run nobody watches would wait for ever."""
    asking = sys.stdin
    with open(os.devnull) as nothing:
        sys.stdin = nothing
        try:
            yield
        finally:
            sys.stdin = asking


def tear_down() -> None:
    """End wandb's service process now: at interpreter exit it would print a traceback if it is dead."""
    wandb = sys.modules.get("wandb")
    if wandb is not None:
        with contextlib.suppress(Exception, SystemExit):
            wandb.teardown()


def short(error: Exception) -> str:
    """An error of wandb's in one line."""
    return f"{type(error).__name__}: {' '.join(str(error).split())[:160]}".rstrip(": ")


def _refusal(error: Exception) -> UploadError:
    """Why the server does not talk to us, and the way out."""
    text = " ".join(str(error).split())[:200] or type(error).__name__
    if "No API key" in text:
        return UploadError("there is no key", "set WANDB_API_KEY, or run wandb login")
    address = re.search(r"https?://[\w.\[\]-]+(:\d+)?", text)
    url = os.environ.get("WANDB_BASE_URL") or (address[0] if address else "the server")
    if "key" in text.lower() or "permission" in text.lower():
        return UploadError(f"{url} refused us ({text})", "check WANDB_API_KEY and wandb.entity, or run wandb login")
    if "is busy" in text or "<no message>" in text:  # what the client says where nobody answers
        text = "no answer"
    return UploadError(f"{url} cannot be reached ({text})", "try again with a network")

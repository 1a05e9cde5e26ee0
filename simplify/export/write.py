"""Write a trained model as a folder that `transformers` loads."""

from __future__ import annotations

import shutil
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from simplify import __version__
from simplify.config import RunConfig, nearest
from simplify.data.tokenisers import end_of_text, mask_name
from simplify.errors import ConfigError, RunFolderError, UserError
from simplify.training.restored import Restored

SPELLINGS = ("simplify", "gpt2", "llama", "auto")
_CODE = Path(__file__).with_name("modeling_simplify.py")


def check_target(target: Path) -> None:
    """Raise before anything is loaded: the extra is missing, or the folder holds something."""
    missing = [name for name in ("transformers", "safetensors") if find_spec(name) is None]
    if missing:
        raise UserError(
            f"export: needs {' and '.join(missing)}; install the extra: pip install '.[hub]' in simplify's folder"
        )
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise RunFolderError(f"--to={target}: exists and is not empty; valid: a new folder, or an empty one")


def spelling(run: RunConfig, wanted: str) -> tuple[str, str]:
    """How to write a run that is `wanted` as one of SPELLINGS, and why a plain one was not chosen.

    Raises ConfigError with the settings that stand in the way.
    """
    from simplify.export.plain import obstacles

    if wanted not in SPELLINGS:
        raise ConfigError(f"--as={wanted}: {nearest(wanted, SPELLINGS)}valid: {', '.join(SPELLINGS)}")
    if wanted == "simplify":
        return wanted, ""
    if wanted != "auto":
        found = obstacles(run, wanted)
        if found:
            raise ConfigError(
                f"--as={wanted}: this run is none: {'; '.join(found)}; valid: another --as, simplify keeps any block"
            )
        return wanted, ""
    told = {kind: obstacles(run, kind) for kind in ("gpt2", "llama")}
    chosen = next((kind for kind, found in told.items() if not found), "simplify")
    why = "; ".join(f"no {kind} for {found[0]}" for kind, found in told.items()) if chosen == "simplify" else ""
    return chosen, why


def write_model(restored: Restored, name: str, target: Path, kind: str = "simplify") -> None:
    """Write weights, config, code if it needs any, tokeniser and a card to `target`: whole, or not at all."""
    from safetensors import SafetensorError  # what its Rust side raises on a full disk

    aside = target.with_name(f".{target.name}.writing")
    shutil.rmtree(aside, ignore_errors=True)
    try:
        aside.mkdir(parents=True)
        _write(restored, name, aside, kind)
        mode = (aside / "README.md").stat().st_mode  # the user's umask; safetensors writes for the owner alone
        for file in aside.iterdir():
            file.chmod(mode & 0o777)
        if target.exists():
            target.rmdir()  # empty: check_target has seen to that
        aside.rename(target)
    except (OSError, SafetensorError) as error:
        raise RunFolderError(
            f"--to={target}: cannot be written: {getattr(error, 'strerror', None) or error}; valid: a folder with space"
        ) from None
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _write(restored: Restored, name: str, folder: Path, kind: str) -> None:
    from transformers.utils import logging

    logging.disable_progress_bar()
    end = end_of_text(restored.tokeniser)
    tokens = {"eos_token_id": end, "bos_token_id": end, "pad_token_id": end}
    if kind == "simplify":
        _with_our_code(restored, folder, tokens)
    else:
        from simplify.export.plain import plain_model

        plain_model(kind, restored.config, restored.model, **tokens).save_pretrained(folder)
    _write_tokeniser(restored, folder)
    (folder / "README.md").write_text(_card(restored, name, kind), encoding="utf-8")


def _with_our_code(restored: Restored, folder: Path, tokens: dict[str, int]) -> None:
    from simplify.export.huggingface import SimplifyConfig, SimplifyForCausalLM, SimplifyForMaskedLM

    run = restored.config
    wrapper = SimplifyForCausalLM if run.model.kind == "decoder" else SimplifyForMaskedLM
    auto_map = {
        "AutoConfig": f"{_CODE.stem}.SimplifyConfig",
        auto_class(run): f"{_CODE.stem}.{wrapper.__name__}",
    }
    model = wrapper(SimplifyConfig.of(run, auto_map=auto_map, **tokens))
    model.transformer.load_state_dict(restored.model.state_dict())
    model.save_pretrained(folder)
    shutil.copyfile(_CODE, folder / _CODE.name)


def auto_class(run: RunConfig) -> str:
    """The name of the class of transformers that loads a run's model."""
    return "AutoModelForCausalLM" if run.model.kind == "decoder" else "AutoModelForMaskedLM"


def loading_words(kind: str) -> str:
    """What `from_pretrained` is told beside the folder."""
    return ", trust_remote_code=True" if kind == "simplify" else ""


def _write_tokeniser(restored: Restored, folder: Path) -> None:
    from transformers import PreTrainedTokenizerFast

    tokeniser = restored.tokeniser
    end = tokeniser.id_to_token(end_of_text(tokeniser))
    special: dict[str, Any] = {"eos_token": end, "bos_token": end, "pad_token": end}
    special["model_input_names"] = ["input_ids", "attention_mask"]
    if restored.config.model.kind == "encoder":
        special["mask_token"] = mask_name(tokeniser)
    length = restored.config.model.max_positions or restored.config.model.seq_len
    PreTrainedTokenizerFast(tokenizer_object=tokeniser, model_max_length=length, **special).save_pretrained(folder)


def _card(restored: Restored, name: str, kind: str) -> str:
    run, auto, words = restored.config, auto_class(restored.config), loading_words(kind)
    tokens = f"{'' if run.train.batch_ramp is None else 'up to '}{run.train.batch_tokens} tokens"
    needs = (
        "Needs simplify itself, installed beside transformers: the model runs the code that it was trained with."
        if kind == "simplify"
        else f"Written as {kind}: it needs transformers alone."
    )
    return f"""# {name}

Block `{run.block.name}`, model `{run.model.name}` ({run.model.kind}, {run.model.n_layers} layers, d_model \
{run.model.d_model}), trained on `{run.data.name}` for {restored.step} steps of {tokens} with \
simplify {__version__}.

    from transformers import {auto}, AutoTokenizer
    model = {auto}.from_pretrained("this folder"{words})
    tokeniser = AutoTokenizer.from_pretrained("this folder"{words})

{needs}
"""

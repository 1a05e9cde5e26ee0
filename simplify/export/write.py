"""Write a trained model as a folder that `transformers` loads."""

from __future__ import annotations

import shutil
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from simplify import __version__
from simplify.data.tokenisers import end_of_text, mask_name
from simplify.errors import RunFolderError, UserError
from simplify.training.restored import Restored

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


def write_model(restored: Restored, name: str, target: Path) -> None:
    """Write weights, config, code, tokeniser and a card to `target`: whole, or not at all."""
    from safetensors import SafetensorError  # what its Rust side raises on a full disk

    aside = target.with_name(f".{target.name}.writing")
    shutil.rmtree(aside, ignore_errors=True)
    try:
        aside.mkdir(parents=True)
        _write(restored, name, aside)
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


def _write(restored: Restored, name: str, folder: Path) -> None:
    from transformers.utils import logging

    from simplify.export.huggingface import SimplifyConfig, SimplifyForCausalLM, SimplifyForMaskedLM

    logging.disable_progress_bar()
    run, decoder = restored.config, restored.config.model.kind == "decoder"
    kind = SimplifyForCausalLM if decoder else SimplifyForMaskedLM
    auto = "AutoModelForCausalLM" if decoder else "AutoModelForMaskedLM"
    end = end_of_text(restored.tokeniser)
    module = _CODE.stem
    auto_map = {"AutoConfig": f"{module}.SimplifyConfig", auto: f"{module}.{kind.__name__}"}
    model = kind(SimplifyConfig.of(run, auto_map=auto_map, eos_token_id=end, bos_token_id=end, pad_token_id=end))
    model.transformer.load_state_dict(restored.model.state_dict())
    model.save_pretrained(folder)
    shutil.copyfile(_CODE, folder / _CODE.name)
    _write_tokeniser(restored, folder)
    (folder / "README.md").write_text(_card(restored, name, auto), encoding="utf-8")


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


def _card(restored: Restored, name: str, auto: str) -> str:
    run = restored.config
    tokens = f"{'' if run.train.batch_ramp is None else 'up to '}{run.train.batch_tokens} tokens"
    return f"""# {name}

Block `{run.block.name}`, model `{run.model.name}` ({run.model.kind}, {run.model.n_layers} layers, d_model \
{run.model.d_model}), trained on `{run.data.name}` for {restored.step} steps of {tokens} with \
simplify {__version__}.

    from transformers import {auto}, AutoTokenizer
    model = {auto}.from_pretrained("this folder", trust_remote_code=True)
    tokeniser = AutoTokenizer.from_pretrained("this folder", trust_remote_code=True)

Needs simplify itself, installed beside transformers: the model runs the code that it was trained with.
"""

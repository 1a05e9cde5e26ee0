"""What is timed: the trainer's own step, a forward pass, and decoding with cached keys and values."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from jaxtyping import Int64
from torch import Tensor

from simplify.bench.rounds import Work
from simplify.config import RunConfig
from simplify.training.device import Device
from simplify.training.optimisers import AdamW
from simplify.training.timing import Noise
from simplify.training.trainer import Trainer
from simplify.zoo.counts import TRAINING_FLOPS, count_flops
from simplify.zoo.decoding import Decoder

DECODE_BATCHES = (1, 8)
_DRAWN = 16  # tokens in one call of decoding, at most


@dataclass
class Variant:
    """One block's model with its trainer, kept for the length of a bench."""

    name: str
    config: RunConfig
    device: Device
    trainer: Trainer
    build_seconds: float  # with torch.compile, where it is asked for
    notes: list[str] = field(default_factory=list)  # what went another way than asked
    decoding: dict[int, str] = field(default_factory=dict)  # by batch, eager or compiled: as it was in the end

    @property
    def key(self) -> dict[str, str | int | None]:
        """What has to be the same for two speeds to be compared."""
        facts = self.device.facts()["device"]
        return {
            "device": facts["name"],
            "kind": facts["kind"],
            "threads": facts["cpu_threads"] if facts["kind"] == "cpu" else None,
            "torch": torch.__version__,
            "precision": facts["precision"],
            "compile": self.trainer.compiled or "eager",
        }


def build_variant(name: str, config: RunConfig, device: Device) -> Variant:
    """The model on its device. Raises whatever a model that does not fit raises."""
    notes: list[str] = []
    begin = time.perf_counter()
    trainer = Trainer(config, Noise(config, config.batch_sequences), device, notes.append)
    device.synchronise()
    return Variant(name, config, device, trainer, time.perf_counter() - begin, notes)


def settle() -> None:
    """A training step of almost nothing: torch loads parts of itself and starts its threads at the first one."""
    weight = torch.nn.Parameter(torch.ones(256, 256))
    (weight @ weight).sum().backward()
    AdamW([weight], lr=0.0, fused=True).step()


class TrainingStep:
    """An optimiser update on a whole batch, micro-batch by micro-batch, as in `simplify train`."""

    def __init__(self, variant: Variant) -> None:
        self._trainer, self._step = variant.trainer, 0

    def prepare(self) -> None:
        """Read the losses of earlier steps: on a GPU they pile up until somebody does."""
        self._trainer.check()

    def call(self) -> None:
        """At a rate of 0: the same work, and no divergence. Step after step, so that batches are made ahead."""
        self._trainer.step(self._step, 0.0, lambda _: None)
        self._step += 1


class ForwardPass:
    """Logits of a micro-batch, without gradients."""

    def __init__(self, variant: Variant) -> None:
        self._trainer = variant.trainer
        self._inputs = _tokens(variant, variant.config.micro_batch, variant.config.model.seq_len)

    def prepare(self) -> None:
        """Nothing."""

    def call(self) -> None:
        """All sequences at once."""
        self._trainer.infer(self._inputs)


class Decoding:
    """Tokens after a prompt of half the context, one at a time; the prompt itself is not timed.

    The steps are compiled where training is.
    """

    def __init__(self, variant: Variant, batch: int) -> None:
        self._variant, self._batch, self._device = variant, batch, variant.device
        self._decoder = Decoder(variant.trainer.model, bool(variant.trainer.compiled), variant.notes.append)
        length, self._drawn = _lengths(variant.config)
        self._prompt = _tokens(variant, batch, length)
        self._stream: Iterator[Tensor] = iter(())

    def prepare(self) -> None:
        """The prompt into the cache."""
        self._stream = self._decoder.stream(self._prompt, 1 + self._drawn, temperature=0.0)
        self._next(1)

    def call(self) -> None:
        """The likeliest token, again and again."""
        self._next(self._drawn)
        self._variant.decoding[self._batch] = "compiled" if self._decoder.compiled else "eager"

    def _next(self, count: int) -> None:
        with self._device.autocast():
            for _ in range(count):
                next(self._stream)


@dataclass(frozen=True)
class Mode:
    """A kind of work: `tokens` of a call, and `flops` of a token."""

    name: str
    make: Callable[[Variant], Work]
    tokens: Callable[[RunConfig], int]
    flops: Callable[[RunConfig], float]
    what: Callable[[Sequence[Variant]], str]  # once it is done


def modes(only: tuple[str, ...]) -> list[Mode]:
    """The works of the words train, forward and decode."""
    found = {
        "train": [Mode("train", TrainingStep, _step_tokens, lambda c: TRAINING_FLOPS * _flops(c), _what_step)],
        "forward": [Mode("forward", ForwardPass, _forward_tokens, _flops, _what_forward)],
        "decode": [_decoding(batch) for batch in DECODE_BATCHES],
    }
    return [mode for word, several in found.items() if word in only for mode in several]


def _decoding(batch: int) -> Mode:
    def what(variants: Sequence[Variant]) -> str:
        prompt, drawn = _lengths(variants[0].config)
        way = _way({variant.name: variant.decoding[batch] for variant in variants})
        return (
            f"{drawn} tokens in a row for {batch} sequence{'s'[: batch > 1]} after a prompt of {prompt}, cached, {way}"
        )

    def make(variant: Variant) -> Work:
        return Decoding(variant, batch)

    return Mode(f"decode_{batch}", make, lambda config: batch * _lengths(config)[1], _decoding_flops, what)


def _way(ways: Mapping[str, str]) -> str:
    """Eager or compiled, or which variants were compiled."""
    several = [name for name, way in ways.items() if way == "compiled"]
    return "compiled: " + ", ".join(several) if 0 < len(several) < len(ways) else next(iter(ways.values()))


def _step_tokens(config: RunConfig) -> int:
    return config.train.batch_tokens


def _forward_tokens(config: RunConfig) -> int:
    return config.micro_batch * config.model.seq_len


def _what_step(variants: Sequence[Variant]) -> str:
    config = variants[0].config
    return f"an optimiser step of {config.train.batch_tokens} tokens, {config.micro_batch} sequences at a time"


def _what_forward(variants: Sequence[Variant]) -> str:
    config = variants[0].config
    return f"a forward pass over {config.micro_batch} sequences of {config.model.seq_len} tokens"


def _flops(config: RunConfig) -> float:
    return count_flops(config.block, config.model, config.data.vocab_size)


def _decoding_flops(config: RunConfig) -> float:
    """Attention is over the tokens so far: on average the prompt and half of what is drawn."""
    prompt, drawn = _lengths(config)
    seen = config.model.model_copy(update={"seq_len": prompt + drawn // 2})
    return count_flops(config.block, seen, config.data.vocab_size)


def _lengths(config: RunConfig) -> tuple[int, int]:
    """Tokens of the prompt, and tokens drawn after it: together at most the context."""
    prompt = max(1, config.model.seq_len // 2)
    return prompt, min(_DRAWN, config.model.seq_len - prompt)


def _tokens(variant: Variant, rows: int, length: int) -> Int64[Tensor, "b T"]:
    generator = torch.Generator().manual_seed(0)
    tokens = torch.randint(variant.config.data.vocab_size, (rows, length), generator=generator)
    return tokens.to(variant.device.torch)

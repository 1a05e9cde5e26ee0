"""Decoding with a cache: token by token the same as the whole sequence at once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from conftest import TINY, run_folder
from torch.utils._python_dispatch import TorchDispatchMode
from zoo_tools import POSITIONS, built, difference, perturbed, random_tokens

from simplify.choices import choices
from simplify.zoo.cache import Cache
from simplify.zoo.decoding import Decoder
from simplify.zoo.model import Transformer
from simplify.zoo.sampling import draw


@torch.no_grad()
def in_pieces(model: Transformer, tokens: torch.Tensor, lengths: list[int], static: bool = False) -> torch.Tensor:
    """Logits of cached forward passes over consecutive pieces."""
    cache, done, parts = Cache(tokens.shape[1], static), 0, []
    for length in lengths:
        parts.append(model(tokens[:, done : done + length], cache=cache))
        done += length
    assert cache.length == done == tokens.shape[1]
    return torch.cat(parts, dim=1)


@pytest.mark.parametrize("name", choices("block"))
@pytest.mark.parametrize("lengths", [[1] * 9, [4, 1, 3, 1]], ids=["one by one", "in pieces"])
def test_cached_decoding_equals_the_full_forward(name: str, lengths: list[int]) -> None:
    """With attention over the tokens so far, and over the whole cache under a mask."""
    _, model = perturbed([f"block={name}"])
    tokens = random_tokens((2, 9))
    whole = model(tokens).detach()
    for static in (False, True):
        assert difference(in_pieces(model, tokens, lengths, static), whole) < 1e-10


@pytest.mark.parametrize("positions", POSITIONS)
@pytest.mark.parametrize("name", ["sas", "pre_ln", "v_skipinit"])
def test_cached_decoding_with_every_position_code(name: str, positions: str) -> None:
    heads = ["model.n_heads=4", "model.n_kv_heads=2", "model.d_head=4"] if name != "sas" else []
    _, model = perturbed([f"block={name}", f"model.positions={positions}", *heads, "block.qk_bias=true"])
    tokens = random_tokens((2, 9))
    whole = model(tokens).detach()
    for static in (False, True):
        assert difference(in_pieces(model, tokens, [3, 1, 1, 2, 1, 1], static), whole) < 1e-10


@pytest.mark.parametrize("name", ["sas", "pre_ln", "shared_kv"])
def test_cached_decoding_under_autocast(name: str) -> None:
    """Queries, keys and values of several widths: the cache holds the narrowest, the sum of the values is exact."""
    _, model = built([f"block={name}"])
    tokens = random_tokens((2, 9))
    with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
        whole = model(tokens).float()
        scale = whole.abs().max().item()
        for static in (False, True):
            assert difference(in_pieces(model, tokens, [3, 1, 1, 2, 1, 1], static).float(), whole) < 0.02 * scale


def test_a_cache_is_used_again_and_its_old_tokens_do_not_count() -> None:
    """The second prompt is shorter than the first; rows of the first are still in the buffers."""
    _, model = perturbed(["block=sas"])
    tokens, cache = random_tokens((2, 9)), Cache(9, static=True)
    with torch.no_grad():
        model(tokens, cache=cache)
        cache.clear()
        parts = [model(tokens.flip(1)[:, a:b], cache=cache) for a, b in ((0, 2), (2, 3), (3, 4))]
        assert difference(torch.cat(parts, dim=1), model(tokens.flip(1)[:, :4])) < 1e-10


class Waits(TorchDispatchMode):
    """Counts what would make the host wait for a GPU: reading a number off the device."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.count += func is torch.ops.aten._local_scalar_dense.default
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("positions", POSITIONS)
def test_drawing_reads_nothing_off_the_device(positions: str) -> None:
    """Not while the context slides either."""
    _, model = built(["block=sas", f"model.positions={positions}"])
    with Waits() as waits:
        drawn = list(
            Decoder(model).stream(random_tokens((2, 3)), 12, top_k=3, generator=torch.Generator().manual_seed(0))
        )
        assert len(drawn) == 12 and waits.count == 0
        int(drawn[0][0])
        assert waits.count == 1


def test_a_decoder_has_one_stream_at_a_time() -> None:
    _, model = built(["block=sas"])
    decoder, prompts = Decoder(model), [random_tokens((1, 3), seed) for seed in (0, 1)]
    old = decoder.stream(prompts[0], 5, temperature=0.0)
    next(old)
    new = torch.stack(list(decoder.stream(prompts[1], 5, temperature=0.0)), dim=1)
    assert torch.equal(new, model.generate(prompts[1], 5, temperature=0.0)[:, 3:])
    with pytest.raises(RuntimeError, match="another stream"):
        next(old)


def test_generate_is_greedy_by_the_full_forward() -> None:
    _, model = perturbed(["block=sas", "model.seq_len=40", "train.batch_tokens=40"])
    prompt = random_tokens((2, 5))
    expected = prompt
    with torch.no_grad():
        for _ in range(20):
            expected = torch.cat([expected, model(expected)[:, -1:].argmax(-1)], dim=1)
    assert torch.equal(model.generate(prompt, 20, temperature=0.0), expected)


@pytest.mark.parametrize("positions", POSITIONS)
def test_generation_goes_on_past_the_last_position(positions: str) -> None:
    """Nine positions; where the code ends, each token is still what the kept context says."""
    _, model = perturbed(["block=sas_p", f"model.positions={positions}"])
    prompt = random_tokens((1, 13))
    out = model.generate(prompt, 30, temperature=0.0)
    assert out.shape == (1, 43) and torch.equal(out[:, :13], prompt)
    if model.max_positions is not None:
        # 9 positions are full after the first draw; then the last 4 are kept and 5 more fit.
        with torch.no_grad():
            assert int(out[0, 14]) == int(model(out[:, 10:14])[0, -1].argmax())
            assert int(out[0, 15]) == int(model(out[:, 10:15])[0, -1].argmax())


def test_what_cannot_be_generated() -> None:
    _, encoder = built(["block=sas", "model.kind=encoder"])
    with pytest.raises(ValueError, match="encoder"):
        encoder.generate(random_tokens((1, 3)), 2)
    _, decoder = built(["block=sas"])
    with pytest.raises(ValueError, match="prompt"):
        decoder.generate(random_tokens((1, 0)), 2)
    with pytest.raises(ValueError, match="cache of 2 positions cannot hold 3"):
        decoder(random_tokens((1, 3)), cache=Cache(2))
    with pytest.raises(ValueError, match="without padding"):
        decoder(random_tokens((1, 3)), valid=torch.ones(1, 3, dtype=torch.bool), cache=Cache(3))


def test_draws_follow_the_logits() -> None:
    logits = torch.log(torch.tensor([[0.5, 0.3, 0.15, 0.05]])).repeat(20_000, 1)
    generator = torch.Generator().manual_seed(0)
    shares = draw(logits, generator=generator).bincount(minlength=4) / 20_000
    assert torch.allclose(shares, torch.tensor([0.5, 0.3, 0.15, 0.05]), atol=0.015)
    two = draw(logits, temperature=0.5, top_k=2, generator=generator).bincount(minlength=4) / 20_000
    assert torch.allclose(two, torch.tensor([25 / 34, 9 / 34, 0, 0]), atol=0.015)
    assert set(draw(logits, temperature=0.0).tolist()) == {0}
    mine, torchs = (torch.Generator().manual_seed(5) for _ in range(2))
    assert torch.equal(draw(logits, generator=mine), torch.multinomial(logits.exp(), 1, generator=torchs)[:, 0])


def test_sample_continues_a_prompt(cli: Callable[..., Any], here: Any) -> None:
    assert cli("train", *TINY).code == 0
    identifier = run_folder(here).name.rpartition("-")[2]
    first = cli("sample", identifier[:6], "--prompt", "def ", "--tokens", "40")
    again = cli("sample", str(run_folder(here)), "--prompt", "def ", "--tokens", "40")
    other = cli("sample", run_folder(here).name[:8], "--prompt", "def ", "--tokens", "40", "--seed", "1")
    assert first.code == 0 and first.out.startswith("def ") and len(first.out) > 20
    assert first.out == again.out != other.out
    long = cli("sample", identifier, "--prompt", "x = " * 40, "--tokens", "3")
    assert long.code == 0 and long.err.startswith("sample: the prompt has ") and "it sees the last 16" in long.err
    assert cli("sample", identifier, "--tokens", "3").code == 0  # an empty prompt is a document's beginning


def test_sample_says_what_it_needs(cli: Callable[..., Any], here: Any) -> None:
    none = cli("sample", "abc")
    assert (
        none.code == 2 and none.err.startswith("simplify: abc: no run of that name or id") and none.err.count("\n") == 1
    )
    assert cli("train", *TINY, "model.kind=encoder", "train.steps=2").code == 0
    encoder = cli("sample", run_folder(here).name)
    assert encoder.code == 2 and "encoder" in encoder.err

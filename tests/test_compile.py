"""torch.compile sees one graph: a break would leave a block in eager mode, and its speed would not be comparable."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from conftest import ROOT

from simplify.choices import choices

# In a process of its own: here the zoo's shapes are checked at run time, which no compiler sees through.
SCRIPT = """
import json, sys, torch
from simplify.compose import compose_zoo
from simplify.zoo.model import build_model
for words, blocks in json.loads(sys.argv[1]):
    for name, run in compose_zoo(words, None, blocks).items():
        torch._dynamo.reset()
        model = torch.compile(build_model(run.block, run.model, 64, 0), backend="eager", fullgraph=True)
        model(torch.randint(64, (2, 16)))  # fullgraph raises where there is a break
        print(name, flush=True)
"""
SHAPE = ["model.n_layers=2", "model.d_model=32", "model.n_heads=2", "model.d_ff=64", "model.seq_len=16"]


def test_every_block_is_one_graph() -> None:
    """All blocks as decoders; an encoder; rotary positions and a gated MLP."""
    small, blocks = [*SHAPE, "train.batch_tokens=16"], choices("block")
    others = ["model=bert_nano", "model.positions=rope", "model.activation=swiglu"]
    asked = json.dumps([[small, blocks], [[*others, *small], ["sas"]]])
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", SCRIPT, asked]
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout[-500:] + done.stderr[-3000:]
    assert done.stdout.split() == [*blocks, "sas"]


AGAIN = """
import sys
from simplify.compose import compose_zoo
from simplify.training.device import Device
from simplify.training.timing import Noise
from simplify.training.trainer import Trainer
import torch
from torch._dynamo.utils import counters
run = compose_zoo([*sys.argv[1:], "train.compile=true"], None, ["sas_p"])["sas_p"]
for _ in range(2):
    torch._dynamo.reset()
    print(Trainer(run, Noise(run, 2), Device("cpu", "fp32")).compiled)
print(counters["aot_autograd"]["autograd_cache_hit"], counters["inductor"]["fxgraph_cache_hit"])
"""


@pytest.mark.skipif(" " in torch.__file__, reason="the compiler cannot link against a torch whose path has a space")
def test_the_next_run_finds_what_was_compiled(tmp_path: Path) -> None:
    """In the cache that a sweep's runs share; a graph that cannot be kept would be compiled by each of them."""
    env = {**os.environ, "PYTHONPATH": str(ROOT), "SIMPLIFY_CACHE": str(tmp_path)}
    env.pop("TORCHINDUCTOR_CACHE_DIR", None)
    words = ["model.n_layers=1", *SHAPE[1:], "train.batch_tokens=32", "data.vocab_size=257"]
    done = subprocess.run([sys.executable, "-c", AGAIN, *words], env=env, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.split() == ["compiled", "compiled", "1", "2"]
    assert (tmp_path / "compile" / "fxgraph").is_dir()

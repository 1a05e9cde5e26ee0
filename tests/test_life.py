"""A run's life through the real command line: done, stopped, killed, started twice, damaged, out of disk."""

from __future__ import annotations

import json
import random
import resource
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from conftest import TINY, Result, rows, run_folder, untimed

Spawn = Callable[..., "subprocess.Popen[str]"]
Cli = Callable[..., Any]
LONG = [*TINY, "train.steps=400", "train.log_every=1", "train.val_every=50", "train.checkpoint_every=25"]


def finish(process: subprocess.Popen[str]) -> Result:
    out, err = process.communicate(timeout=120)
    return Result(process.returncode, out, err)


def wait_for_step(here: Path, step: int, process: subprocess.Popen[str]) -> None:
    """Until the run has logged `step`."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        folders = list((here / "runs").glob("*-*")) if (here / "runs").exists() else []
        if folders and (folders[0] / "metrics.jsonl").exists():
            lines = (folders[0] / "metrics.jsonl").read_bytes().splitlines()
            if len(lines) > step:
                return
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)
    raise AssertionError(f"step {step} was never logged")


def test_a_run_from_start_to_done_and_again(spawn: Spawn, here: Path) -> None:
    words = ["train", "block=sas", *TINY, "train.val_every=5"]
    first = finish(spawn(*words))
    assert first.code == 0, first.err
    folder = run_folder(here)
    done = json.loads((folder / "done.json").read_text())
    run = json.loads((folder / "run.json").read_text())
    metrics = rows(folder)
    assert folder.name == f"sas-gpt_nano-{run['id']}"
    assert [row["step"] for row in metrics] == list(range(1, 21))
    assert [row["step"] for row in metrics if "val/loss" in row] == [5, 10, 15, 20]
    assert done["val/loss"] == metrics[-1]["val/loss"]
    assert done["step"] == 20 and done["tokens"] == 20 * 128
    assert {"lr", "grad_norm", "tokens", "tokens_per_sec", "step_time", "seconds"} <= set(metrics[-1])
    assert set(run["git"]) == {"commit", "dirty", "patch"} and run["versions"]["torch"] and run["command"][1:] == words
    assert not (folder / "error.json").exists()
    assert (folder / "loss.png").stat().st_size > 10_000
    assert "bits a byte" in first.out and "unigram entropy" in first.out

    again = finish(spawn(*words))
    assert again.code == 0
    assert again.out.startswith(f"already done: {folder} (--force runs it again)\n")
    assert f"{done['val/loss']:.4f}" in again.out

    forced = finish(spawn(*words, "--force"))
    assert forced.code == 0
    old = folder.with_name(folder.name + ".old-1")
    assert untimed(rows(folder)) == untimed(rows(old))


def test_the_frozen_config_repeats_the_run(spawn: Spawn, here: Path) -> None:
    assert finish(spawn("train", "block=sas_p", *TINY)).code == 0
    folder = run_folder(here)
    frozen = yaml.safe_load((folder / "config.yaml").read_text())
    assert frozen["block"]["layout"] == "parallel"
    again = finish(spawn("train", "--config", str(folder / "config.yaml")))
    assert again.out.startswith("already done: ")
    elsewhere = finish(spawn("train", "--config", str(folder / "config.yaml"), "run_root=elsewhere"))
    assert elsewhere.code == 0
    (copy,) = (here / "elsewhere").glob("*-*")
    assert copy.name == folder.name
    assert untimed(rows(copy)) == untimed(rows(folder))


def test_killed_at_a_random_step_and_resumed_is_bit_for_bit_the_same(spawn: Spawn, here: Path) -> None:
    whole = finish(spawn("train", "block=sas", *LONG, "run_root=whole"))
    assert whole.code == 0, whole.err
    (reference,) = (here / "whole").glob("*-*")
    chance = random.Random()
    for start in (30, 150):
        process = spawn("train", "block=sas", *LONG)
        wait_for_step(here, start + chance.randrange(60), process)
        process.send_signal(signal.SIGKILL)
        process.communicate()
    resumed = finish(spawn("train", "block=sas", *LONG))
    assert resumed.code == 0, resumed.err
    assert "continuing from step " in resumed.out
    folder = run_folder(here)
    assert untimed(rows(folder)) == untimed(rows(reference))
    attempts = json.loads((folder / "job.json").read_text())["attempts"]
    assert len(attempts) == 3 and attempts[0]["from_step"] == 0 < attempts[1]["from_step"] < attempts[2]["from_step"]


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGUSR1", "SIGUSR2"])
def test_a_signal_saves_at_the_next_step_and_exits_75(spawn: Spawn, here: Path, name: str) -> None:
    words = [*LONG, "train.steps=100000", "train.checkpoint_every=100000"]  # no end in sight, however slow the machine
    process = spawn("train", "block=sas", *words)
    wait_for_step(here, 5, process)
    process.send_signal(getattr(signal, name))
    stopped = finish(process)
    folder = run_folder(here)
    step = rows(folder)[-1]["step"]
    assert stopped.code == 75
    assert stopped.err == f"simplify: {name}: saved at step {step}; the same command continues from there\n"
    assert not (folder / "done.json").exists() and not (folder / "error.json").exists()
    if name != "SIGTERM":
        return  # what was saved is the same, whichever signal asked for it
    resumed = spawn("train", "block=sas", *words)
    wait_for_step(here, step + 3, resumed)
    resumed.send_signal(signal.SIGTERM)
    resumed.wait(timeout=60)
    assert [row["step"] for row in rows(folder)] == list(range(1, rows(folder)[-1]["step"] + 1))


def test_two_identical_starts_at_once(spawn: Spawn, here: Path) -> None:
    words = ["train", "block=sas", *LONG, "train.steps=200"]
    both = [finish(process) for process in [spawn(*words), spawn(*words)]]
    assert sorted(result.code for result in both) == [0, 75]
    (other,) = [result for result in both if result.code == 75]
    folder = run_folder(here)
    assert other.err.startswith(f"simplify: {folder}: this run is being trained already by ")
    assert other.err.count("\n") == 1
    assert [row["step"] for row in rows(folder)] == list(range(1, 201))


def test_a_torn_checkpoint_and_a_torn_metrics_line(spawn: Spawn, here: Path) -> None:
    words = ["train", "block=sas", *TINY, "train.steps=60", "train.checkpoint_every=10"]
    assert finish(spawn(*words)).code == 0
    folder = run_folder(here)
    reference = rows(folder)
    assert [p.name for p in sorted((folder / "checkpoint").glob("*.pt"))] == ["step-00000050.pt", "step-00000060.pt"]
    (folder / "done.json").unlink()
    newest = folder / "checkpoint" / "step-00000060.pt"
    data = bytearray(newest.read_bytes())
    data[len(data) // 2] ^= 1  # one flipped bit; the length stays
    newest.write_bytes(data)
    with (folder / "metrics.jsonl").open("ab") as file:
        file.write(b'{"step": 61, "train/lo')
    resumed = finish(spawn(*words))
    assert resumed.code == 0, resumed.err
    assert "step-00000060.pt is damaged and left out; using the one before" in resumed.out
    assert "continuing from step 50" in resumed.out
    assert untimed(rows(folder)) == untimed(reference)


def test_done_marker_lost_after_the_last_step(spawn: Spawn, here: Path) -> None:
    assert finish(spawn("train", *TINY)).code == 0
    folder = run_folder(here)
    before = json.loads((folder / "done.json").read_text())
    (folder / "done.json").unlink()
    assert finish(spawn("train", *TINY)).code == 0
    after = json.loads((folder / "done.json").read_text())
    assert {**before, "ended": ""} == {**after, "ended": ""}


def test_a_loss_that_is_not_finite_stops_the_run(spawn: Spawn, here: Path) -> None:
    failed = finish(spawn("train", "block=pre_ln", *TINY, "optimiser.lr=1e30", "optimiser.grad_clip=null"))
    error = json.loads((run_folder(here) / "error.json").read_text())
    assert failed.code == 1
    assert error["cause"] == "non_finite" and 1 < error["step"] <= 20
    assert error["layer"] and f"first not finite: {error['layer']}" in failed.err
    assert failed.err.startswith(f"simplify: step {error['step']}: ") and "Traceback" not in failed.err
    assert not (run_folder(here) / "done.json").exists()


def _file_size_limit() -> None:
    """Files of at most 96 KiB: the metrics fit, a checkpoint does not. What a quota does to one file."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (96 * 1024, 96 * 1024))


def test_disk_full_keeps_the_last_good_checkpoint(spawn: Spawn, here: Path) -> None:
    words = ["train", "block=sas", *LONG]
    process = spawn(*words)
    wait_for_step(here, 60, process)
    process.send_signal(signal.SIGTERM)
    assert finish(process).code == 75
    folder = run_folder(here)
    good = {p.name: p.read_bytes() for p in (folder / "checkpoint").iterdir()}
    full = finish(spawn(*words, preexec_fn=_file_size_limit))
    error = json.loads((folder / "error.json").read_text())
    assert full.code == 1
    assert full.err == f"simplify: {error['message']}\n"
    assert error["cause"] == "disk_full" and "the last good checkpoint is intact: make space" in error["message"]
    assert {p.name: p.read_bytes() for p in (folder / "checkpoint").iterdir()} == good
    again = finish(spawn(*words))
    assert again.code == 0, again.err
    assert [row["step"] for row in rows(folder)] == list(range(1, 401))
    attempts = json.loads((folder / "job.json").read_text())["attempts"]
    assert [a.get("error", {}).get("cause") for a in attempts] == [None, "disk_full", None]


def _memory_limit() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (6 * 2**30, 6 * 2**30))


def test_out_of_memory_names_the_setting_to_lower(spawn: Spawn, here: Path) -> None:
    # One hidden layer of this batch is 32,768 tokens x 65,536 x 4 bytes = 8 GiB.
    huge = [*TINY, "train.batch_tokens=32768", "model.d_ff=65536", "data.val_fraction=0.5", "train.steps=1"]
    failed = finish(spawn("train", *huge, preexec_fn=_memory_limit))
    error = json.loads((run_folder(here) / "error.json").read_text())
    assert failed.code == 1
    assert failed.err == (
        "simplify: out of memory on cpu with train.micro_batch=2048 sequences of 16 tokens; lower train.micro_batch "
        "(the batch and the result stay the same), then run the same command again\n"
    )
    assert error["cause"] == "out_of_memory" and error["micro_batch"] == 2048


def test_a_smaller_micro_batch_is_the_same_run(spawn: Spawn, here: Path) -> None:
    assert finish(spawn("train", *TINY, "train.micro_batch=8")).code == 0
    again = finish(spawn("train", *TINY, "train.micro_batch=4"))
    assert again.out.startswith(f"already done: {run_folder(here)}")


def test_runs_that_differ_in_the_block_alone_are_shown_side_by_side(cli: Cli, here: Path) -> None:
    for words in (["block=pre_ln"], ["block=sas"], ["block=sas", "seed=1"], ["block=pre_ln", "--force"]):
        last = cli("train", *TINY, *words)
        assert last.code == 0, last.err
    table = last.out.split("the same but for the block")[1]
    losses = {p.name: json.loads((p / "done.json").read_text())["val/loss"] for p in (here / "runs").glob("*-*")}
    shown = {name for name in losses if name in table and f"{losses[name]:.4f}" in table}
    assert {name.split("-")[0] for name in shown} == {"pre_ln", "sas"} and len(shown) == 2
    (pre_ln,) = [losses[n] for n in shown if n.startswith("pre_ln")]
    (sas,) = [losses[n] for n in shown if n.startswith("sas")]
    assert f"{sas - pre_ln:+.4f}" in table

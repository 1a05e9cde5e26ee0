"""What the shell says is believed only where it is true here: GPUs, threads, other processes, signals."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from conftest import TINY, Result

from simplify.compose import compose_run
from simplify.errors import ConfigError
from simplify.machine import slots, threads_of_the_shell, visible_gpus
from simplify.program import environment_of_a_child, heed_signals
from simplify.training.signals import StopRequest

Cli = Callable[..., Result]
UUIDS = ["GPU-5d5ba0d6-d33d-2b2c-524d-9e3d8d2b8a77", "GPU-5d5bffff-0000-1111-2222-333344445555"]
PARTS = ["MIG-c6d4f1ef-42e4-5de3-91c7-45d71c87eb3f", "MIG-cba663e8-9bed-5b25-b243-5985ef7c9beb"]
TWO = [f"GPU {n}: NVIDIA A100-SXM4-40GB (UUID: {uuid})" for n, uuid in enumerate(UUIDS)]
CUT = [TWO[0], *(f"  MIG 3g.20gb     Device  {n}: (UUID: {part})" for n, part in enumerate(PARTS)), TWO[1]]


@pytest.fixture
def gpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[list[str], int], None]:
    """A machine whose nvidia-smi lists these lines."""

    def have(lines: list[str], code: int = 0) -> None:
        folder = tmp_path / f"bin{len(list(tmp_path.glob('bin*')))}"
        folder.mkdir()
        program = folder / "nvidia-smi"
        text = "\n".join(lines)
        program.write_text(f'#!/bin/sh\n[ "$*" = "-L" ] || exit 9\ncat <<"END"\n{text}\nEND\nexit {code}\n')
        program.chmod(0o755)
        monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")

    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    return have


@pytest.mark.parametrize(
    ("said", "found"),
    [
        (None, ["0", "1"]),
        ("0,1,2,3", ["0", "1"]),
        ("1,0", ["1", "0"]),
        (" 1 , 0", ["1", "0"]),
        ("0,-1,1", ["0"]),
        ("7", []),
        ("7,0", []),
        ("NoDevFiles", []),
        ("", []),
        ("-1", []),
        ("0,0", []),
        (UUIDS[1], [UUIDS[1]]),
        ("GPU-5d5bf,GPU-5d5ba", ["GPU-5d5bf", "GPU-5d5ba"]),
        ("GPU-5d5b", []),
        ("GPU-5d5ba,GPU-no,GPU-5d5bf", ["GPU-5d5ba"]),
        ("0," + UUIDS[1], ["0"]),
        (UUIDS[0] + ",1", [UUIDS[0]]),
        (f"GPU-5d5ba,{UUIDS[0]}", []),
    ],
)
def test_the_variable_chooses_among_the_gpus_that_are_there(
    gpus: Callable[..., None], monkeypatch: pytest.MonkeyPatch, said: str | None, found: list[str]
) -> None:
    gpus(TWO)
    if said is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", said)
    assert visible_gpus() == found
    assert [slot.device for slot in slots(None)] == ([f"gpu {word}" for word in found] or ["cpu"])


def test_instances_of_a_gpu_are_devices(gpus: Callable[..., None], monkeypatch: pytest.MonkeyPatch) -> None:
    gpus(CUT)
    assert visible_gpus() == [*PARTS, "1"]
    for said, found in ((",".join(reversed(PARTS)), PARTS[::-1]), (f"{PARTS[0]},MIG-none,{PARTS[1]}", PARTS[:1])):
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", said)
        assert visible_gpus() == found


def test_a_machine_without_gpus_has_one_lane_whatever_the_variable_says(
    cli: Cli, gpus: Callable[..., None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for lines, code in (
        ([], 0),
        (["NVIDIA-SMI has failed because it couldn't talk to the driver."], 9),
    ):
        gpus(lines, code)
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1,2,3")
        (slot,) = slots(None)
        assert slot.device == "cpu" and slot.environment["CUDA_VISIBLE_DEVICES"] == "0,1,2,3"
    assert "one lane on each of: cpu (CUDA_VISIBLE_DEVICES=0,1,2,3, and no GPUs here)" in cli("doctor").out
    monkeypatch.setenv("PATH", str(tmp_path))  # no such program: the driver's own files say it
    monkeypatch.setattr("simplify.machine._DRIVER", tmp_path / "gpus")
    assert visible_gpus() == []
    for bus, uuid in zip(("0000:01:00.0", "0000:02:00.0"), UUIDS, strict=True):
        (tmp_path / "gpus" / bus).mkdir(parents=True)
        (tmp_path / "gpus" / bus / "information").write_text(f"Model: \t\t A100\nGPU UUID: \t {uuid}\n")
    monkeypatch.setenv("PATH", f"{tmp_path}:")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1,2")
    assert visible_gpus() == ["1"]


@pytest.mark.parametrize("said", ["", " ", "0", "-3", "abc", "²"])
def test_threads_that_are_none_leave_lanes_their_share(monkeypatch: pytest.MonkeyPatch, said: str) -> None:
    monkeypatch.setattr("simplify.machine.cores", lambda: 8)
    monkeypatch.setenv("OMP_NUM_THREADS", said)
    assert [slot.environment["OMP_NUM_THREADS"] for slot in slots(4, use_gpus=False)] == ["2"] * 4
    monkeypatch.setenv("OMP_NUM_THREADS", "3,1")
    assert threads_of_the_shell() == 3 and "OMP_NUM_THREADS" not in slots(4, use_gpus=False)[0].environment


def test_a_promised_gpu_that_is_not_there_is_refused(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    from simplify.training.device import choose_device

    config = compose_run([*TINY, "train.device=auto"])
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3")
    assert choose_device(config, None).kind == "cpu"
    assert capfd.readouterr().err == "CUDA_VISIBLE_DEVICES=3: torch sees no such GPU; this is cpu\n"
    monkeypatch.setenv("SIMPLIFY_LANE_GPU", "3")
    with pytest.raises(ConfigError, match=r"train\.device=auto: its lane has GPU 3, but this torch sees none"):
        choose_device(config, None)
    assert choose_device(compose_run([*TINY, "train.device=cpu"]), None).kind == "cpu"


def test_a_child_is_told_nothing_that_is_true_of_its_parent_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    launcher = ["RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "GROUP_RANK", "ROLE_NAME", "MASTER_ADDR"]
    launcher += ["MASTER_PORT", "TORCHELASTIC_RUN_ID", "SLURM_PROCID", "SLURM_NTASKS", "SLURM_ARRAY_TASK_ID"]
    kept = ["SLURM_JOB_ID", "SLURM_CONF", "MASTER", "RANKING", "WORLD_SIZES"]
    for name in (*launcher, *kept):
        monkeypatch.setenv(name, "1")
    environment = environment_of_a_child()
    assert not set(launcher) & set(environment) and set(kept) <= set(environment)


@pytest.fixture
def as_it_was() -> Iterator[None]:
    """The dispositions and the mask of this process are put back."""
    numbers = (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR2)
    before, mask = {n: signal.getsignal(n) for n in numbers}, signal.pthread_sigmask(signal.SIG_BLOCK, [])
    yield
    for number, handler in before.items():
        signal.signal(number, handler)
    signal.pthread_sigmask(signal.SIG_SETMASK, mask)


@pytest.mark.usefixtures("as_it_was")
def test_signals_as_a_parent_left_them_are_not_trusted(cli: Cli) -> None:
    for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR2):
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT, signal.SIGUSR2, signal.SIGCHLD})
    assert cli("--version").code == 0
    assert signal.getsignal(signal.SIGCHLD) == signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
    assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN  # nohup
    assert signal.pthread_sigmask(signal.SIG_BLOCK, []) == {signal.SIGUSR2}  # it would kill: nobody handles it yet
    with pytest.raises(subprocess.CalledProcessError):  # its end is known again
        subprocess.run([sys.executable, "-S", "-c", "raise SystemExit(3)"], check=True)
    with StopRequest() as stop:
        stop.defer()
        os.kill(os.getpid(), signal.SIGHUP)
        assert stop.requested == 0
        os.kill(os.getpid(), signal.SIGUSR2)
        assert stop.requested == signal.SIGUSR2


@pytest.mark.usefixtures("as_it_was")
def test_a_job_in_the_background_of_a_script_ignores_ctrl_c() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    heed_signals()
    with StopRequest() as stop:
        os.kill(os.getpid(), signal.SIGINT)
        assert stop.requested == 0

"""What a Slurm cluster has and how it treats jobs, asked of Slurm itself; and a look from one of its nodes."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from simplify.config import ClusterConfig
from simplify.errors import UserError
from simplify.program import code_folder
from simplify.runs.slurm_command import command

_CRED_EXPIRE = 120  # seconds, Slurm's default for how long a credential holds; a requeue waits one more
_START = 60  # seconds that a node may take to be given to us
_PROBE = 120.0  # seconds for the look from a node, loading torch included
# Run on a node, from the code folder: can it write where runs go, what does it compute with, may it submit jobs?
_LOOK = """
import json, pathlib, platform, socket, sys
sys.path[0] = sys.argv[2]
import simplify, torch
from simplify.runs.slurm_command import command
reply = command("sbatch", "--test-only", *sys.argv[3:], "--wrap=true")
words = [socket.gethostname(), platform.python_version(), torch.__version__, torch.cuda.device_count()]
pathlib.Path(sys.argv[1]).write_text(json.dumps([*words, reply.problem or "?" if reply.code else ""]))
"""


@dataclass(frozen=True)
class Partition:
    """A partition as users see it."""

    name: str
    default: bool
    up: bool
    limit: str  # longest time of a job
    nodes: str
    cpus: str  # of a node
    memory: str  # MB of a node
    gres: str  # of a node
    preempt: str  # what happens to its jobs when others come first
    grace: int  # seconds between the signal and the end


@dataclass(frozen=True)
class Site:
    """The cluster."""

    settings: Mapping[str, str]  # scontrol show config
    partitions: Sequence[Partition]
    accounting: bool

    @property
    def max_array_size(self) -> str:
        """Elements that one array may have."""
        return self.settings.get("MaxArraySize", "?")

    @property
    def sends_signal(self) -> bool:
        """Whether a preempted job gets the signal it asked for, and not SIGTERM."""
        return "preempt_send_user_signal" in self.settings.get("SlurmctldParameters", "")

    @property
    def requeue_seconds(self) -> int:
        """How long a requeued job waits before it may begin again."""
        found = re.search(r"cred_expire=(\d+)", self.settings.get("AuthInfo", ""))
        return (int(found[1]) if found else _CRED_EXPIRE) + 1


@dataclass(frozen=True)
class Look:
    """What a node sees."""

    node: str = ""
    python: str = ""
    torch: str = ""
    gpus: int = 0
    no_sbatch: str = ""  # why jobs cannot submit jobs; empty: they can
    problem: str = ""


def look_at_site() -> Site:
    """Ask Slurm. Raises UserError where it does not answer."""
    told = command("scontrol", "show", "config")
    if told.code:
        raise UserError(
            f"cluster.kind=slurm: Slurm does not answer: {told.problem}; valid: a login node of the cluster"
        )
    pairs = (line.partition("=") for line in told.out.splitlines() if "=" in line)
    settings = {name.strip(): value.strip() for name, _, value in pairs}
    rows = command("sinfo", "-h", "-o", "%R|%a|%l|%D|%c|%m|%G").out
    shown = command("scontrol", "show", "partition", "-o").out
    code = command("sacct", "-n", "-X", "-S", "now-1minutes").code
    return Site(settings, parse_partitions(rows, shown), accounting=not code)


def parse_partitions(sinfo: str, scontrol: str) -> list[Partition]:
    """`sinfo -o %R|%a|%l|%D|%c|%m|%G` and `scontrol show partition -o`; one entry a kind of node."""
    told = {p["PartitionName"]: p for line in scontrol.splitlines() if (p := _words(line)).get("PartitionName")}
    found: list[Partition] = []
    for line in sinfo.splitlines():
        parts = line.split("|")
        if len(parts) == 7:
            name, up, limit, nodes, cpus, memory, gres = parts
            more = told.get(name, {})
            grace = more.get("GraceTime", "0")
            seconds = int(grace) if grace.isdigit() else 0
            default, preempt = more.get("Default") == "YES", more.get("PreemptMode", "?")
            found.append(Partition(name, default, up == "up", limit, nodes, cpus, memory, gres, preempt, seconds))
    return found


def look_from_node(cluster: ClusterConfig, root: Path) -> Look:
    """Run a job of one process that writes below the run root and says what it computes with."""
    root.mkdir(parents=True, exist_ok=True)
    probe = root / f".probe-{id(cluster):x}"
    asked = {name: getattr(cluster, name) for name in ("partition", "account", "qos", "constraint", "exclude", "mem")}
    gpus = {"gres": cluster.gres} if cluster.gres else {"gpus-per-node": cluster.gpus_per_node}
    flags = [f"--{name}={value}" for name, value in {**asked, **gpus}.items() if value is not None]
    words = ["srun", "--quiet", f"--immediate={_START}", "-n1", "-t5", "--job-name=simplify-doctor", *flags]
    python = [sys.executable, "-c", _LOOK, str(probe), str(code_folder()), "-n1", "-t5", *flags]
    reply = command(*words, *python, seconds=_START + _PROBE)
    try:
        return Look(*json.loads(probe.read_text()))
    except (OSError, ValueError):
        return Look(problem=reply.problem or f"the job left nothing in {root}: is it on a shared disk?")
    finally:
        probe.unlink(missing_ok=True)


def _words(line: str) -> dict[str, str]:
    return {name: value for name, _, value in (word.partition("=") for word in line.split())}

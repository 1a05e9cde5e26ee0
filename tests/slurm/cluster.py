"""A real Slurm cluster on this machine's loopback, for tests: munge, slurmctld, several slurmd, slurmdbd + MariaDB.

Debian's packages (slurmctld slurmd slurm-client munge, and for accounting slurmdbd mariadb-server), no systemd,
no cgroups, nothing written outside the folder it is given. The nodes' CPUs, memory and GPUs are pretended, and
several slurmd share this host, which Debian's build allows. Requeued jobs start again after 6 s: that is
`cred_expire` + 1, whose least value is 5.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

_NEEDED = ("munged", "slurmctld", "slurmd", "sbatch", "srun")
_FOR_ACCOUNTING = ("slurmdbd", "mariadbd", "sacct")
_OF_A_SHELL = ("SLURM", "SBATCH", "SRUN", "SQUEUE", "SIMPLIFY_", "WANDB_", "COLUMNS")  # nobody's own reach a test
_PATH = os.pathsep.join(["/usr/sbin", "/sbin", os.environ.get("PATH", "")])
_TABLES = Path("/usr/share/mysql/mysql_system_tables.sql")


def missing_programs() -> list[str]:
    """What has to be installed before a cluster can be started."""
    return [name for name in (*_NEEDED, *_FOR_ACCOUNTING) if shutil.which(name, path=_PATH) is None]


class Cluster:
    """One cluster: `start`, then run commands with `env`, then `stop`."""

    def __init__(self, folder: Path, accounting: bool, nodes: int = 3, cpus: int = 4) -> None:
        self.folder, self.accounting = folder, accounting
        self.nodes = [f"127.0.0.{11 + n}" for n in range(nodes)]  # names that need no resolving
        self._cpus, self._processes = cpus, dict[str, subprocess.Popen[bytes]]()
        outside = {k: v for k, v in os.environ.items() if not k.startswith(_OF_A_SHELL)}
        self.env = {**outside, "PATH": _PATH, "SLURM_CONF": str(folder / "etc" / "slurm.conf")}

    def start(self) -> None:
        """Bring it up; returns when a probe job has run. Raises RuntimeError with the logs' ends."""
        for name in ("etc", "log", "run", "ctld", "spool", "private", "devices"):
            (self.folder / name).mkdir(parents=True)
        (self.folder / "private").chmod(0o700)
        self._write_configuration()
        key = self.folder / "private" / "munge.key"
        key.write_bytes(os.urandom(128))
        key.chmod(0o600)
        self._start_munge("munge")
        if self.accounting:
            self._start_accounting()
        self._launch("slurmctld", ["slurmctld", "-D"])
        self._until("slurmctld", lambda: "is UP" in self.run("scontrol", "ping", check=False))
        for node in self.nodes:
            self.start_node(node)
        self._until("nodes", self._all_idle)
        self.run("srun", "--quiet", "-n1", "-t1", "true")

    def stop(self) -> None:
        """End all of it, jobs included; the logs stay."""
        self.cancel_all()
        for name in [n for n in self._processes if n.startswith("slurmd-")]:
            self._end(name, signal.SIGTERM)
        for name in ("slurmctld", "slurmdbd", "mariadbd", "munged-login", "munged-munge"):
            self._end(name, signal.SIGTERM if name == "slurmctld" else signal.SIGKILL)
        self._kill_steps()

    def run(self, *words: str, check: bool = True) -> str:
        """A command against this cluster; its output."""
        done = subprocess.run(words, env=self.env, capture_output=True, text=True, timeout=60, cwd="/", check=False)
        if check and done.returncode:
            raise RuntimeError(f"{words}: {done.returncode}: {done.stdout}{done.stderr}")
        return done.stdout

    def cancel_all(self) -> None:
        """No jobs, and every node back in service."""
        self.run("scancel", "--state=PENDING", f"--user={os.getuid()}", check=False)
        # with a time: of a job that is just ending, scancel repeats a signal for a minute
        self.run("timeout", "4", "scancel", "--signal=KILL", "--full", f"--user={os.getuid()}", check=False)
        self.run("scancel", f"--user={os.getuid()}", check=False)
        with contextlib.suppress(RuntimeError):
            self._until("empty queue", lambda: not self.run("squeue", "-h", check=False).strip())

    def clean(self) -> None:
        """As new: no jobs, all nodes idle."""
        self.cancel_all()
        for node in self.nodes:
            if self._processes[f"slurmd-{node}"].poll() is not None:
                self.start_node(node)
            self.run("scontrol", "update", f"nodename={node}", "state=resume", check=False)
        self._until("nodes", self._all_idle)

    def start_node(self, node: str) -> None:
        """Start a node's slurmd."""
        (self.folder / "spool" / node).mkdir(exist_ok=True)
        self._launch(f"slurmd-{node}", ["slurmd", "-D", "-N", node])

    def kill_node(self, node: str, steps: bool = True) -> None:
        """The node loses power: its slurmd dies, and without `steps=False` what runs on it; Slurm has to notice."""
        self._end(f"slurmd-{node}", signal.SIGKILL)
        if steps:
            self._kill_steps(node)

    def kill_controller(self) -> None:
        """The controller dies."""
        self._end("slurmctld", signal.SIGKILL)

    def hold_controller(self) -> None:
        """It hangs: takes connections and answers nobody."""
        self._processes["slurmctld"].send_signal(signal.SIGSTOP)

    def wake_controller(self) -> None:
        """It goes on, with all it was asked meanwhile."""
        self._processes["slurmctld"].send_signal(signal.SIGCONT)
        self._until("slurmctld", lambda: "is UP" in self.run("scontrol", "ping", check=False))

    def launch(self, *words: str) -> None:
        """A command against this cluster that is not waited for."""
        subprocess.Popen(words, env=self.env, cwd="/", stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def start_controller(self) -> None:
        """Start it again with what it had saved."""
        self._launch("slurmctld", ["slurmctld", "-D"])
        self._until("slurmctld", lambda: "is UP" in self.run("scontrol", "ping", check=False))

    def login_node(self) -> dict[str, str]:
        """The variables of a node that is none of the cluster's: what jobs may not, it may in the partition `closed`.

        Slurm goes by where a credential was made, which munge is told; jobs see the configuration of their node.
        """
        etc = self.folder / "login"
        if not etc.exists():
            self._start_munge("login", f"--origin={_LOGIN}")
            shutil.copytree(self.folder / "etc", etc)
            text = (etc / "slurm.conf").read_text()
            (etc / "slurm.conf").write_text(text.replace("/munge.sock", "/login.sock"))
        return {**self.env, "SLURM_CONF": str(etc / "slurm.conf")}

    def _start_munge(self, name: str, *words: str) -> None:
        key, socket_path = self.folder / "private" / "munge.key", str(self.folder / f"{name}.sock")
        files = [f"--{n}-file={self.folder}/run/{name}.{n}" for n in ("pid", "log", "seed")]
        whole = [
            "munged",
            "--foreground",
            "--force",
            "--num-threads=2",
            "--socket",
            socket_path,
            "--key-file",
            str(key),
        ]
        self._launch(f"munged-{name}", [*whole, *files, *words])
        self._until(name, lambda: self._succeeds("munge", "-n", "-S", socket_path))

    def _start_accounting(self) -> None:
        data, conf = self.folder / "mysql", self.folder / "etc" / "my.cnf"
        data.mkdir(mode=0o700)
        tables = "create database mysql;\nuse mysql;\n" + _TABLES.read_text()
        subprocess.run(
            ["mariadbd", f"--defaults-file={conf}", "--bootstrap"],
            input=tables.encode(),
            env=self.env,
            check=True,
            capture_output=True,
            timeout=60,
        )
        socket_path = str(self.folder / "private" / "mysql.sock")
        self._launch("mariadbd", ["mariadbd", f"--defaults-file={conf}"])
        ping = ("mariadb-admin", "--no-defaults", "-u", "root", "-S", socket_path, "ping")
        self._until("mariadbd", lambda: self._succeeds(*ping))
        self._launch("slurmdbd", ["slurmdbd", "-D"], {"MYSQL_UNIX_PORT": socket_path})
        self._until("slurmdbd", lambda: self._succeeds("sacctmgr", "-n", "-P", "show", "cluster"))

    def _launch(self, name: str, words: list[str], more: dict[str, str] | None = None) -> None:
        with open(self.folder / "log" / f"{name}.out", "ab") as log:
            self._processes[name] = subprocess.Popen(
                words,
                env={**self.env, **(more or {})},
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def _end(self, name: str, how: signal.Signals) -> None:
        process = self._processes.get(name)
        if process is None or process.poll() is not None:
            return
        process.send_signal(how)
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def _kill_steps(self, node: str | None = None) -> None:
        """Kill what jobs left running: by our SLURM_CONF in the environment of their processes."""
        ours = f"SLURM_CONF={self.env['SLURM_CONF']}".encode()
        there = f"SLURMD_NODENAME={node}".encode() if node else b"SLURM_JOB_ID="
        for entry in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                environment = (entry / "environ").read_bytes().split(b"\0")
                stepd = (entry / "comm").read_text().startswith("slurmstepd") and self._stepd_of(entry, node)
                if stepd or (ours in environment and any(word.startswith(there) for word in environment)):
                    os.kill(int(entry.name), signal.SIGKILL)

    def _stepd_of(self, entry: Path, node: str | None) -> bool:
        """Whether a slurmstepd is of this cluster (and node): by the log that it holds open."""
        logs = [os.readlink(link) for link in (entry / "fd").iterdir()]
        return any(log.startswith(f"{self.folder}/log/slurmd-{node or ''}") for log in logs)

    def _all_idle(self) -> bool:
        states = self.run("sinfo", "-h", "-N", "-p", "main", "-o", "%t", check=False).split()
        return states == ["idle"] * len(self.nodes)

    def _succeeds(self, *words: str) -> bool:
        done = subprocess.run(words, env=self.env, capture_output=True, timeout=20, check=False)
        return done.returncode == 0

    def _until(self, what: str, ready: Callable[[], bool], seconds: float = 60) -> None:
        end = time.monotonic() + seconds
        while not ready():
            if time.monotonic() > end:
                logs = "".join(
                    f"\n== {p.name}\n{p.read_text(errors='replace')[-1500:]}"
                    for p in sorted((self.folder / "log").iterdir())
                )
                raise RuntimeError(f"{what}: not ready after {seconds:.0f} s{logs}")
            time.sleep(0.1)

    def _write_configuration(self) -> None:
        folder, ports = self.folder, _free_ports(len(self.nodes) + 2)
        for number in range(2):  # a link to /dev/null passes as a device, so that jobs get CUDA_VISIBLE_DEVICES
            (folder / "devices" / f"gpu{number}").symlink_to("/dev/null")
        names = ",".join(self.nodes)
        accounting = (
            f"AccountingStorageType=accounting_storage/slurmdbd\nAccountingStorageHost=127.0.0.1\n"
            f"AccountingStoragePort={ports[1]}\nAccountingStoragePass={folder}/munge.sock\n"
            if self.accounting
            else "AccountingStorageType=accounting_storage/none\n"
        )
        values = {
            "D": folder,
            "host": socket.gethostname().split(".")[0],
            "port": ports[0],
            "dbd": ports[1],
            "job": 1000 + int(time.time()) % 60_000_000,
            "accounting": accounting,
            "bind": _BIND if _is_loopback() else "",
        }
        nodes = "".join(
            f"NodeName={n} NodeHostname={values['host']} NodeAddr=127.0.0.1 Port={p} Sockets=1 "
            f"CoresPerSocket={self._cpus} ThreadsPerCore=1 RealMemory=8000 Gres=gpu:2 State=UNKNOWN\n"
            for n, p in zip(self.nodes, ports[2:], strict=True)
        )
        etc = folder / "etc"
        (etc / "slurm.conf").write_text(_SLURM.format(**values) + nodes + _PARTITIONS.format(login=_LOGIN))
        (etc / "gres.conf").write_text(f"NodeName={names} Name=gpu File={folder}/devices/gpu[0-1]\n")
        # slurmd loads a cgroup plugin although nothing uses one; v1 does nothing until it is used
        (etc / "cgroup.conf").write_text("CgroupPlugin=cgroup/v1\nCgroupAutomount=no\n")
        (etc / "slurmdbd.conf").write_text(_DBD.format(**values))
        (etc / "slurmdbd.conf").chmod(0o600)
        (etc / "my.cnf").write_text(_MARIADB.format(**values))


def _free_ports(count: int) -> list[int]:
    """Ports below the ephemeral range that nothing listens on."""
    for base in range(17000 + os.getpid() % 500 * 10, 30000, count):
        with contextlib.ExitStack() as stack, contextlib.suppress(OSError):
            for port in range(base, base + count):
                stack.enter_context(socket.socket()).bind(("127.0.0.1", port))
            return list(range(base, base + count))
    raise RuntimeError("no free ports")


def _is_loopback() -> bool:
    try:
        return socket.gethostbyname(socket.gethostname()).startswith("127.")
    except OSError:
        return False


_LOGIN = "127.0.0.2"  # where a login node's credentials are made; the jobs' are made on the loopback's first address
_BIND = "CommunicationParameters=NoInAddrAny,NoCtldInAddrAny"  # binds to what the host's name resolves to
_SLURM = """\
ClusterName=local
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={port}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={D}/munge.sock,cred_expire=5
CredType=cred/munge
StateSaveLocation={D}/ctld
SlurmdSpoolDir={D}/spool/%n
SlurmctldPidFile={D}/run/slurmctld.pid
SlurmdPidFile={D}/run/slurmd-%n.pid
SlurmctldLogFile={D}/log/slurmctld.log
SlurmdLogFile={D}/log/slurmd-%n.log
DebugFlags=NO_CONF_HASH
PlugStackConfig=/dev/null
MpiDefault=none
FirstJobId={job}
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=task=1
JobAcctGatherParams=OverMemoryKill
PropagateResourceLimits=NONE
SlurmdParameters=config_overrides
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SchedulerType=sched/backfill
SchedulerParameters=bf_interval=1,sched_interval=1,batch_sched_delay=0
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
SlurmctldParameters=preempt_send_user_signal
JobRequeue=1
KillWait=4
ReturnToService=1
SlurmdTimeout=6
MessageTimeout=10
TCPTimeout=2
InactiveLimit=0
MinJobAge=300
GresTypes=gpu
{bind}
{accounting}"""
_PARTITIONS = """\
PartitionName=DEFAULT Nodes=ALL MaxTime=UNLIMITED DefMemPerCPU=500 State=UP
PartitionName=main Default=YES PriorityTier=1 PreemptMode=REQUEUE GraceTime=8
PartitionName=high PriorityTier=10 PreemptMode=OFF
PartitionName=closed PriorityTier=1 PreemptMode=REQUEUE GraceTime=8 AllocNodes={login}
"""
_DBD = """\
DbdHost={host}
DbdAddr=127.0.0.1
DbdPort={dbd}
{bind}
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket={D}/munge.sock
StorageType=accounting_storage/mysql
StorageHost=localhost
StorageUser=root
StorageLoc=slurm_acct
LogFile={D}/log/slurmdbd.log
PidFile={D}/run/slurmdbd.pid
"""
_MARIADB = """\
[mysqld]
user=root
datadir={D}/mysql
tmpdir={D}/private
socket={D}/private/mysql.sock
pid-file={D}/run/mariadbd.pid
log-error={D}/log/mariadbd.log
skip-networking
skip-grant-tables
skip-name-resolve
skip-log-bin
performance-schema=OFF
innodb-buffer-pool-size=64M
innodb-log-file-size=16M
innodb-flush-log-at-trx-commit=0
innodb-doublewrite=0
innodb-lock-wait-timeout=900
max-allowed-packet=16M
"""

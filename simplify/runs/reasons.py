"""Slurm's reasons in words: why a job waits or cannot begin, and the setting that decides it.

Of limits Slurm has a hundred names, all made alike: who sets the limit (QOS, Assoc), of what (Cpu, Wall, Jobs), and
over what it is counted (PerJob, PerUser, Grp). So they are taken apart instead of listed.
"""

from __future__ import annotations

import re

_HOPELESS = {
    "DependencyNeverSatisfied": "the job it waits for has failed",
    "PartitionConfig": "the partition cannot give what it asks for (cluster.partition, cluster.nodes)",
    "PartitionNodeLimit": "it asks for more nodes than the partition allows (cluster.nodes)",
    "PartitionTimeLimit": "it asks for more time than the partition allows (cluster.timeout)",
    "BadConstraints": "no node has what it asks for (cluster.constraint, cluster.mem, cluster.cpus_per_task)",
    "AccountNotAllowed": "the account may not use this partition (cluster.account)",
    "InvalidAccount": "there is no such account (cluster.account)",
    "InvalidQOS": "there is no such QOS (cluster.qos)",
    "QOSNotAllowed": "this QOS may not be used here (cluster.qos, cluster.partition)",
    "MaxMemPerLimit": "it asks for more memory than may be asked for (cluster.mem)",
    "ReservationDeleted": "its reservation is gone (cluster.additional_parameters)",
}
_WAITS = {
    "Priority": "others come first",
    "Resources": "until nodes are free",
    "Dependency": "until the jobs before it have ended",
    "JobHeldUser": "held by its owner: scontrol release {job} lets it begin",
    "JobHeldAdmin": "held by an administrator, who alone may release it",
    "JobArrayTaskLimit": "until others of its sweep have ended: cluster.max_parallel{parallel} at a time",
    "PartitionDown": "until an administrator opens the partition again (cluster.partition)",
    "PartitionInactive": "until an administrator opens the partition again (cluster.partition)",
    "ReqNodeNotAvail": "the nodes it may use are down, drained or reserved",
    "NodeDown": "until a node that it needs is up again",
    "Reservation": "until its reservation begins",
    "Licenses": "until a licence is free",
    "BurstBufferStageIn": "until its data is in place",
    "QOSUsageThreshold": "until the QOS has been used less",
    "JobHoldMaxRequeue": "held since it was requeued too often: scontrol release {job} lets it begin",
}
_SENTENCES = {  # some reasons are half sentences, with blanks or underscores
    "Nodes required": "ReqNodeNotAvail",
    "launch failed requeued held": "JobHoldMaxRequeue",
    "job requeued in held state": "JobHeldUser",
}
_LIMIT = re.compile(r"(QOS|Assoc)(Max|Min|Grp)(\w*)")
_OF_WHAT = (  # as it stands in the name, in words, the setting
    ("Minutes", "much CPU time", "cluster.timeout"),
    ("Wall", "much time", "cluster.timeout"),
    ("Cpu", "many CPUs", "cluster.cpus_per_task"),
    ("CPU", "many CPUs", "cluster.cpus_per_task"),
    ("Mem", "much memory", "cluster.mem"),
    ("Node", "many nodes", "cluster.nodes"),
    ("GRES", "many GPUs", "cluster.gpus_per_node"),
    ("Gres", "many GPUs", "cluster.gpus_per_node"),
    ("Job", "many jobs", "cluster.max_parallel"),
)
_UNKNOWN = ("much", "what it asks for")


def hopeless(reason: str) -> str | None:
    """Why waiting will not help; None where it may."""
    if reason in _HOPELESS:
        return _HOPELESS[reason]
    match = _LIMIT.match(reason)
    if match is None or not (match[2] == "Min" or "PerJob" in match[3] or "PerNode" in match[3]):
        return None
    what, setting = _of_what(match[3])
    if match[2] == "Min":
        few = what.replace("much", "little").replace("many", "few")
        return f"{_who(match[1])} takes no job that asks for so {few} ({setting})"
    return f"{_who(match[1])} lets no job have so {what} ({setting})"


def waiting(reason: str, job: str, parallel: int | None) -> str:
    """What a reason means, where it is known; else nothing."""
    plain = reason.replace("_", " ")
    reason = next((known for start, known in _SENTENCES.items() if plain.startswith(start)), reason)
    if reason in _WAITS:
        return _WAITS[reason].format(job=job, parallel="" if parallel is None else f"={parallel}")
    if (match := _LIMIT.match(reason)) is None:
        return ""
    what = _of_what(match[3])[0]
    setting = f" (cluster.{'qos' if match[1] == 'QOS' else 'account'})"
    if match[2] == "Grp":
        return f"until others have ended: {_who(match[1])} lets all its jobs together have only so {what}{setting}"
    whose = "an account" if match[3].endswith(("PerAccount", "PerAccountLimit")) else "one user"
    return f"until others of yours have ended: {_who(match[1])} lets {whose} have only so {what}{setting}"


def is_submit_limit(text: str) -> bool:
    """Whether sbatch refuses since there are too many jobs already."""
    return re.search(r"Max\w*Submit\w*Limit|Grp\w*Submit\w*|job submit limit \(", text) is not None


def setting_of(text: str) -> str | None:
    """The setting behind a limit's name in what sbatch says, if there is one."""
    match = _LIMIT.search(text)
    found = _of_what(match[3]) if match else _UNKNOWN
    return None if found is _UNKNOWN else found[1]


def _of_what(name: str) -> tuple[str, str]:
    limited = name.partition("Per")[0]
    return next(((words, setting) for part, words, setting in _OF_WHAT if part in limited), _UNKNOWN)


def _who(word: str) -> str:
    return "the QOS" if word == "QOS" else "the account"

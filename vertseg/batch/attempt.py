"""What a run records before it starts a case, so that the next run knows if it was killed.

A scan that needs too much memory gets the whole process killed, and would do so again. So a
case in which a run was killed comes after all others, and is not tried at all if the system says
that it has killed a process for lack of memory meanwhile, or after some more kills.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

from vertseg.errors import VertsegError
from vertseg.io.case import Case

Step = Literal["ahead", "main", "write"]
"""``ahead``: read, and its vertebrae found, while another case was segmented; ``main``: it was
segmented itself; ``write``: its last vertebra was, or it was written, while another case had its
turn."""

BOOT = Path("/proc/sys/kernel/random/boot_id")
COUNTERS = Path("/proc/vmstat")
_MOST_WITHOUT_SHORTAGE = 5  # such as by a power cut or at the end of a job's time
_MOST = 2  # where the cause is unknown


@dataclass(frozen=True)
class Attempt:
    """One attempt at a case.

    Attributes:
        number: from 1.
        boot: identity of the running system; empty where it is unknown.
        memory_kills: how many processes that system has killed for lack of memory so far.
        step: the last step that it has reached.
    """

    number: int = 1
    boot: str = ""
    memory_kills: int = 0
    step: Step = "main"

    @classmethod
    def now(cls, step: Step = "main", number: int = 1) -> Attempt:
        """An attempt that reaches this step now."""
        kills = _memory_kills()
        boot = _read(BOOT).strip() if kills is not None else ""
        return cls(number, boot, kills or 0, step)

    @classmethod
    def parse(cls, text: str) -> Attempt:
        """An attempt as noted by `as_text`; a first one of another system if it cannot be read."""
        try:
            told: Any = json.loads(text)
            kills, step = int(told["memory_kills"]), told["step"]
            return cls(int(told["number"]), str(told["boot"]), kills, step)
        except (ValueError, KeyError, TypeError, RecursionError):
            return cls()

    def as_text(self) -> str:
        """For `parse`."""
        return json.dumps(asdict(self))

    def next(self) -> Attempt:
        """The attempt after this one, which a kill has ended."""
        return Attempt.now(number=self.number + 1)

    def at(self, step: Step) -> Attempt:
        """This attempt at a later step."""
        return replace(self, step=step)

    def reason_to_stop(self, case: Case) -> VertsegError | None:
        """Why there should be no next attempt, after a kill has ended this one."""
        now = Attempt.now()
        is_told = bool(self.boot) and self.boot == now.boot
        remedy = "Run on a machine with more memory; the next run tries it again."
        is_to_blame = self.step == "main" or self.number >= _MOST
        if is_told and now.memory_kills > self.memory_kills and is_to_blame:
            what = (
                "a run was killed while it processed this scan, when the system was out of memory"
            )
            return VertsegError(what, str(case.where), remedy=remedy)
        if self.number >= (_MOST_WITHOUT_SHORTAGE if is_told else _MOST):
            what = f"{self.number} runs were killed while they processed this scan"
            remedy = f"Look for the reason in the system's log. Memory may be short. {remedy}"
            return VertsegError(what, str(case.where), remedy=remedy)
        return None


def _memory_kills() -> int | None:
    """How many processes the system has killed for lack of memory; None if it does not tell."""
    for line in _read(COUNTERS).splitlines():
        name, _, value = line.partition(" ")
        if name == "oom_kill" and value.isdecimal():
            return int(value)
    return None


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii")
    except (OSError, ValueError):
        return ""

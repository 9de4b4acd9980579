"""What a command does to the world outside of it, as strace sees it: sockets, programs, files.

Python's audit hooks do not see native code, which is where packages report from.
"""

from __future__ import annotations

import ipaddress
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pytest

WRITING = (
    "creat mkdir mkdirat rename renameat renameat2 link linkat symlink symlinkat truncate "
    "unlink unlinkat rmdir mknod mknodat"
).split()
OPENING = ("open", "openat", "openat2")
ADDRESSED = ("connect", "bind", "sendto", "sendmsg", "sendmmsg")
# no files: devices, this process's own settings, and semaphores, which are memory
DEVICES = ("/dev/null", "/dev/tty", "/dev/pts/", "/dev/shm/sem.", "/proc/self/")
NAME_SERVICE = "/var/run/nscd/socket"  # the C library asks it for users and hosts of this machine
_CALL = re.compile(r"^\d+ +(\w+)\((.*)$")
_PATH = re.compile(r'(?:(?:AT_FDCWD|\d+)<([^>]*)>, )?"((?:[^"\\]|\\.)*)"')


def need_strace() -> None:
    """Skip the test where strace is not installed or may not trace."""
    if shutil.which("strace") is None:
        pytest.skip("strace is not installed; apt-get install strace")
    if subprocess.run(["strace", "-qq", "-o", os.devnull, "true"], capture_output=True).returncode:
        pytest.skip("strace may not trace here (ptrace is not permitted)")


def traced(
    command: Sequence[str],
    log: Path,
    env: Mapping[str, str],
    cwd: Path,
    *,
    writable: Sequence[Path],
    programs: Callable[[str], bool],
) -> tuple[subprocess.CompletedProcess[str], list[str]]:
    """Run a command; return it, and a line for everything that it must not have done.

    writable: files and folders that may be written.  programs: whether the arguments of an execve,
    as strace prints them, may be executed.
    """
    calls = ",".join(f"?{name}" for name in (*WRITING, *OPENING, "execve", "execveat"))
    tracer = ["strace", "-f", "-y", "-qq", "-s", "400", "-o", str(log), "--seccomp-bpf"]
    done = subprocess.run(
        [*tracer, "-e", f"trace=%network,{calls}", *command],
        env=dict(env),
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=500,
    )
    found = [_CALL.match(line) for line in log.read_text(errors="replace").splitlines()]
    pairs = [(call[1], call[2]) for call in found if call]
    assert pairs and pairs[0][0] == "execve", "strace saw nothing"
    allowed = [os.path.realpath(path) for path in writable]
    return done, sorted(
        {
            f"{name}: {args[:300]}"
            for name, args in pairs[1:]
            if _is_bad(name, args, cwd, allowed, programs)
        }
    )


def _is_bad(
    name: str, args: str, cwd: Path, allowed: Sequence[str], programs: Callable[[str], bool]
) -> bool:
    if name in ADDRESSED:
        return _leaves_the_machine(args)
    if name in ("execve", "execveat"):
        return not programs(args)
    if name.startswith("mkdir") and "EEXIST" in args:
        return False
    if name in WRITING or (name in OPENING and re.search(r"O_(WRONLY|RDWR|CREAT|TRUNC)", args)):
        return not all(_within(path, allowed) for path in _paths(args, cwd))
    return False


def _leaves_the_machine(args: str) -> bool:
    """Whether a socket address is neither loopback nor the C library's name service."""
    family = re.search(r"sa_family=(\w+)", args)
    if family is None or family[1] in ("AF_NETLINK", "AF_UNSPEC"):  # lists this machine's devices
        return False
    if family[1] == "AF_UNIX":
        return f'sun_path="{NAME_SERVICE}"' not in args
    host = re.search(r'inet_(?:addr\(|pton\(AF_INET6, )"([^"]+)"', args)
    port = re.search(r"htons\((\d+)\)", args)
    # port 53: a resolver on this machine would ask others
    return not host or not port or port[1] == "53" or not _is_loopback(host[1])


def _is_loopback(text: str) -> bool:
    address = ipaddress.ip_address(text)
    inner = getattr(address, "ipv4_mapped", None)
    return (inner or address).is_loopback


def _paths(args: str, cwd: Path) -> list[str]:
    """Return the files that a call names; an empty name is the open file itself."""
    named = [(base or str(cwd), name) for base, name in _PATH.findall(args)]
    return [os.path.normpath(os.path.join(base, name)) for base, name in named]


def _within(path: str, allowed: Sequence[str]) -> bool:
    if path.startswith(DEVICES):
        return True
    real = os.path.realpath(path)
    return any(real == root or real.startswith(f"{root}/") for root in allowed)

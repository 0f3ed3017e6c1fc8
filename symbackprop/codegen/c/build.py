"""C text -> a loaded library, compiled once: the system's compiler, and a cache named by content.

The key is a digest of everything that decides the machine code: the text, the flags, the compiler's version and the
processor. A library is written under a temporary name and renamed, so two processes that build the same one at once
both find a whole file; it ends with its key, so that one that lost its end is built again.
"""

from __future__ import annotations

import ctypes
import hashlib
import os
import platform
import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path

from symbackprop.codegen.processor import cache_folder
from symbackprop.errors import UnsupportedError

COMPILERS = ("cc", "gcc", "clang")
# -ffast-math not when linking: there it would set flush-to-zero for the whole process. NaN must stay NaN, so numbers
# are not taken to be finite; the macro is what the C library's header asks for before it offers functions of vectors.
FAST = ("-ffast-math", "-fno-finite-math-only", "-D__FAST_MATH__=1")
# By default compilers take vectors of 32 bytes even where the processor has longer ones.
LONG_VECTORS = ("-mprefer-vector-width=512",) if platform.machine() in ("x86_64", "AMD64") else ()
COMPILE = ("-std=c11", "-O3", "-march=native", *LONG_VECTORS, *FAST, "-fPIC", "-c")
LINK = ("-shared",)
SECONDS = 120


class CompilerError(UnsupportedError):
    """No C compiler, or one that fails; the message holds what it said."""


@cache
def compiler() -> str:
    """The path of the system's C compiler.

    Raises:
        CompilerError: there is none.
    """
    wanted = os.environ.get("CC")
    for name in [wanted] if wanted else COMPILERS:
        path = shutil.which(name)
        if path:
            return path
    if wanted:
        help = "let CC be the path of a compiler, without options, or unset it"
        raise CompilerError("the compiler that CC names is not there", evidence=[f"CC: {wanted}"], help=help)
    raise CompilerError("no C compiler found", evidence=[f"tried: {', '.join(COMPILERS)}"], help='use backend="numpy"')


@cache
def build(text: str) -> ctypes.CDLL:
    """The library compiled from `text`.

    Raises:
        CompilerError: no compiler, or it refuses the text.
    """
    cc = compiler()
    key = hashlib.sha256("\0".join([text, *COMPILE, *LINK, _identity(cc)]).encode()).hexdigest()[:32]
    for folder in (cache_folder(), Path(tempfile.gettempdir()) / f"symbackprop-{_user()}"):
        path = folder / f"{key}.so"
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            if not _is_ours(folder):
                continue
            if not _is_whole(path, key):
                _compile(cc, text, path, key)
            return ctypes.CDLL(str(path))
        except OSError as error:  # a folder that cannot be written, a full disk, a library cut off half-way
            reason = str(error)
            path.unlink(missing_ok=True) if os.access(folder, os.W_OK) else None
    raise CompilerError("the compiled library could not be stored", evidence=[reason], help='use backend="numpy"')


def _is_whole(path: Path, key: str) -> bool:
    """True if the library ends with its key: to load one that was cut off would end the process."""
    if not path.exists():
        return False
    with open(path, "rb") as stream:
        stream.seek(max(0, path.stat().st_size - len(key)))
        return stream.read() == key.encode()


def _compile(cc: str, text: str, path: Path, key: str) -> None:
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".building-") as folder:
        source, item, library = (Path(folder) / f"kernel{suffix}" for suffix in (".c", ".o", ".so"))
        source.write_text(text)
        _call([cc, *COMPILE, "-o", str(item), str(source)])
        _call([cc, *LINK, "-o", str(library), str(item), "-lm"])
        with open(library, "ab") as stream:
            stream.write(key.encode())
        os.replace(library, path)


def _call(command: list[str]) -> None:
    try:
        result = _run(command, SECONDS)
    except subprocess.TimeoutExpired as error:
        raise CompilerError(f"the C compiler took more than {SECONDS} s", help='use backend="numpy"') from error
    if result.returncode:
        said = result.stderr.strip().splitlines()[:8] or [f"it ended with status {result.returncode} and no message"]
        raise CompilerError("the C compiler failed", evidence=said, help='use backend="numpy"')


def _run(command: list[str], seconds: float | None = None) -> subprocess.CompletedProcess[str]:
    """The command's end and what it said, whatever bytes that is."""
    try:
        return subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=seconds, check=False)
    except OSError as error:  # not a program, or one whose interpreter is missing
        evidence = [f"{command[0]}: {error.strerror}"]
        raise CompilerError(
            "the C compiler cannot be started", evidence=evidence, help='use backend="numpy"'
        ) from error


@cache
def _identity(cc: str) -> str:
    """The compiler and the processor: a cache folder may be shared by machines."""
    version = _run([cc, "--version"]).stdout
    flags = ""
    if os.path.exists("/proc/cpuinfo"):
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        flags = next((line for line in lines if line.startswith(("flags", "Features"))), "")
    return "\0".join([version, platform.machine(), platform.processor(), flags])


def _user() -> str:
    return str(os.getuid()) if hasattr(os, "getuid") else "user"


def _is_ours(folder: Path) -> bool:
    """Code is loaded from this folder, so nobody else may write to it."""
    return not hasattr(os, "getuid") or (folder.stat().st_uid == os.getuid() and not folder.stat().st_mode & 0o022)

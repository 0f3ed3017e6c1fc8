"""Files: arrays read without pickle, and files written whole or not at all.

`read_arrays` turns everything that can be wrong with an .npz file into one `DataError`; `write_file` writes to a
temporary name beside the target and moves it there, so that a full disk, a missing permission or Ctrl-C never leaves
half a file. This module does not know what the arrays mean.
"""

from __future__ import annotations

import os
import zipfile
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from symbackprop.errors import DataError

Arrays = dict[str, NDArray[Any]]


def check_readable(path: str | Path, kind: str) -> Path:
    """`path` as a Path, provided it is a file with something in it.

    Args:
        path: the file to be read.
        kind: what the file should be, for the message: "a data set", "a model".

    Raises:
        DataError: no such file, a folder, an empty file.
    """
    path = Path(path)
    try:
        if path.is_dir():
            raise DataError(f"{kind} is a file, and this is a folder", where=str(path))
        if path.stat().st_size == 0:
            raise DataError("the file is empty", where=str(path))
    except OSError as error:
        raise _cannot("read", path, error) from None
    return path


def read_arrays(path: str | Path, kind: str) -> Arrays:
    """All arrays of the .npz file `path`, by name; pickled objects are refused.

    Args:
        path: an .npz file.
        kind: what the file should be, for the message: "a data set", "a model".

    Raises:
        DataError: missing, empty, cut off, not an .npz file, or one that holds Python objects.
    """
    path = check_readable(path, kind)
    try:
        if not zipfile.is_zipfile(path):
            raise DataError(
                f"{kind} is an .npz file, and this is none, or one that was cut off",
                where=str(path),
                help="write it with numpy.savez(path, name=array, ...)",
            )
        with np.load(path, allow_pickle=False) as archive:
            return {name: _member(archive, name, path) for name in archive.files}
    except OSError as error:
        raise _cannot("read", path, error) from None
    except (zipfile.BadZipFile, zlib.error, EOFError, ValueError, KeyError, NotImplementedError) as error:
        raise DataError("the .npz file is damaged", where=str(path), evidence=[str(error)]) from None


def map_array(path: str | Path) -> NDArray[Any]:
    """The array of an .npy file, left on disk: only what is used is read.

    Raises:
        DataError: missing, empty, cut off, not an .npy file, or one that holds Python objects.
    """
    path = check_readable(path, "an array")
    try:
        array: NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False)
        return array
    except OSError as error:
        raise _cannot("read", path, error) from None
    except (ValueError, EOFError) as error:
        message = "the file is no .npy file of numbers, or one that was cut off"
        raise DataError(message, where=str(path), evidence=str(error).splitlines()[:1]) from None


def write_arrays(path: str | Path, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Write `arrays` to the .npz file `path`, whole or not at all.

    Raises:
        DataError: the folder is missing or may not be written, the disk is full.
    """
    objects = [name for name, array in arrays.items() if array.dtype.hasobject]
    assert not objects, f"{objects} would be pickled"
    # NumPy 1.26 takes `allow_pickle` for one more array, so it is not said here
    save: Callable[..., None] = np.savez
    write_file(path, lambda stream: save(stream, **arrays))


def write_file(path: str | Path, write: Callable[[BinaryIO], object]) -> None:
    """Give `write` a stream, and move what it wrote to `path` once it is complete.

    Raises:
        DataError: the folder is missing or may not be written, the disk is full.
    """
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        if path.is_dir():
            raise DataError("the file to write is a folder", where=str(path))
        try:
            with open(temporary, "wb") as stream:
                write(stream)
                stream.flush()
                os.fsync(stream.fileno())
            os.replace(temporary, path)
        finally:
            # after the move the temporary name is gone; after anything else, Ctrl-C too, the rest must go
            temporary.unlink(missing_ok=True)
    except OSError as error:
        raise _cannot("write", path, error) from None


def _member(archive: Any, name: str, path: Path) -> NDArray[Any]:
    """One array of an open .npz file."""
    try:
        member = archive[name]
    except ValueError as error:
        if "allow_pickle" not in str(error):
            raise
        raise DataError(
            f"array {name} holds Python objects, which would run code when they are loaded",
            where=str(path),
            help=f"save it as numbers: {name}.astype(float)",
        ) from None
    if not isinstance(member, np.ndarray):
        raise DataError("the .npz file has a member that is not an array", where=str(path), evidence=[name])
    return member


def _cannot(verb: str, path: Path, error: OSError) -> DataError:
    """The message for a file that the system does not let us read or write."""
    reason = (error.strerror or str(error)).lower()
    return DataError(f"cannot {verb} the file: {reason}", where=str(path))

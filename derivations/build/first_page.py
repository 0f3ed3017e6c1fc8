"""A picture of the first page of a LaTeX document, small enough to keep: sixteen greys, and the hash of its source.

    picture = first_page(source)          # PNG bytes, or None where LaTeX or pdftoppm is missing
    source_of(picture)                    # the hash of the source that it shows

LaTeX versions differ by a pixel here and there, so pictures are compared by their source and never by their pixels.
This module must not know what the document says.
"""

from __future__ import annotations

import hashlib
import shutil
import struct
import subprocess
import tempfile
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from symbackprop.document.save import compiled
from symbackprop.errors import DataError

TOOLS = ("pdflatex", "pdftoppm")
RESOLUTION = 100  # dots per inch: a page of A4 is 827 wide
_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_KEY = b"Source"
_SECONDS = 60.0


def missing_tools() -> list[str]:
    """Those of the programs that draw pages that are not installed."""
    return [name for name in TOOLS if shutil.which(name) is None]


def hash_of(source: str) -> str:
    """The hash by which a picture knows its source."""
    return hashlib.sha256(source.encode()).hexdigest()


def first_page(source: str) -> bytes:
    """The first page of a LaTeX document as a PNG.

    Raises:
        DataError: LaTeX or pdftoppm fails.
    """
    with tempfile.TemporaryDirectory() as folder:
        pdf = Path(folder) / "document.pdf"
        pdf.write_bytes(compiled(source, TOOLS[0]))
        command = [TOOLS[1], "-gray", "-r", str(RESOLUTION), "-singlefile", str(pdf), str(pdf.with_suffix(""))]
        run = subprocess.run(command, capture_output=True, timeout=_SECONDS, check=False)
        if run.returncode:
            raise DataError(
                "pdftoppm could not draw the page", evidence=run.stderr.decode(errors="replace").split("\n")
            )
        return _png(_read_pgm(pdf.with_suffix(".pgm").read_bytes()), hash_of(source))


def source_of(picture: bytes) -> str:
    """The hash of the source that a picture shows; "" if it does not say."""
    texts = (content.split(b"\0", 1) for kind, content in _chunks(picture) if kind == b"tEXt")
    return next((value.decode() for key, value in texts if key == _KEY), "")


def _read_pgm(content: bytes) -> NDArray[np.uint8]:
    """The pixels of a binary PGM, the format in which pdftoppm gives greys: P5, width, height, 255, then the rows."""
    head = content.split(maxsplit=4)[:4] if content[:2] == b"P5" else []
    if len(head) < 4 or head[3] != b"255":
        raise DataError("pdftoppm did not give a picture in greys")
    width, height = int(head[1]), int(head[2])
    return np.frombuffer(content[-width * height :], np.uint8).reshape(height, width)


def _png(pixels: NDArray[np.uint8], source: str) -> bytes:
    """A PNG of sixteen greys, two pixels in a byte."""
    height, width = pixels.shape
    levels = (pixels.astype(np.uint16) * 15 + 127) // 255
    even = np.pad(levels, ((0, 0), (0, width % 2))).astype(np.uint8)
    packed = (even[:, ::2] << 4) | even[:, 1::2]
    rows = np.hstack([np.zeros((height, 1), np.uint8), packed])  # each row begins with its filter: none
    header = struct.pack(">IIBBBBB", width, height, 4, 0, 0, 0, 0)
    parts = [
        (b"IHDR", header),
        (b"tEXt", _KEY + b"\0" + source.encode()),
        (b"IDAT", zlib.compress(rows.tobytes(), 9)),
        (b"IEND", b""),
    ]
    return _SIGNATURE + b"".join(
        struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
        for kind, content in parts
    )


def _chunks(picture: bytes) -> Iterator[tuple[bytes, bytes]]:
    """The parts of a PNG with their kinds."""
    place = len(_SIGNATURE)
    while place + 8 <= len(picture):
        (length,) = struct.unpack(">I", picture[place : place + 4])
        yield picture[place + 4 : place + 8], picture[place + 8 : place + 8 + length]
        place += length + 12

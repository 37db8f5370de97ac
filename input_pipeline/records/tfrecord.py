"""The format of TFRecord files: each record is its length (8 bytes), the length's checksum (4), the
data, and the data's checksum (4).

Written by hand, as TensorFlow takes seconds to start.
"""

from __future__ import annotations

import struct

import numpy as np

HEAD, TAIL = 12, 4  # bytes around a record's data

_ALL = 2**32 - 1
_ROW = 256  # bytes that are summed at once
_ROWS = 256  # that are in the processor's cache together


def framed(data: bytes) -> bytes:
    """A record, as it stands in a file."""
    length = struct.pack("<Q", len(data))
    checksums = [struct.pack("<I", masked_crc32c(part)) for part in (length, data)]
    return b"".join([length, checksums[0], data, checksums[1]])


def data_length(head: bytes) -> int | None:
    """Bytes of the data that follow a head; None if it is damaged or cut off."""
    if len(head) != HEAD:
        return None
    length, checksum = struct.unpack("<QI", head)
    return length if masked_crc32c(head[:8]) == checksum else None


def masked_crc32c(data: bytes) -> int:
    """The checksum of a TFRecord: CRC-32C, rotated by 15 bits, plus a constant."""
    crc = crc32c(data)
    rotated = (crc >> 15 | crc << 17) & _ALL
    return (rotated + 0xA282EAD8) & _ALL


def crc32c(data: bytes) -> int:
    """CRC-32C (Castagnoli).

    What a byte contributes depends on its value and on how many bytes follow, and contributions are
    combined by XOR: those of a row come from a table. What was summed before counts as if it were
    added (by XOR) to the next four bytes.
    """
    crc = _ALL
    odd = len(data) % _ROW
    for byte in data[:odd]:
        crc = crc >> 8 ^ _OF_BYTE[(crc ^ byte) & 255]
    rows = np.frombuffer(data, np.uint8, offset=odd).reshape(-1, _ROW)
    for first in range(0, len(rows), _ROWS):
        places = rows[first : first + _ROWS] + _STARTS
        for row_crc in np.bitwise_xor.reduce(_CONTRIBUTIONS[places], axis=1).tolist():
            one, two, three, four = crc.to_bytes(4, "little")
            crc = row_crc ^ _FIRST[one] ^ _SECOND[two] ^ _THIRD[three] ^ _FOURTH[four]
    return crc ^ _ALL


def _byte_table() -> np.ndarray:
    """uint32 [256]: what each value of a last byte contributes."""
    table = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        table = table >> 1 ^ np.where(table & 1, np.uint32(0x82F63B78), np.uint32(0))
    return table


def _row_table() -> np.ndarray:
    """uint32 [_ROW, 256]: what each value contributes at each place of a row."""
    table = np.empty((_ROW, 256), np.uint32)
    last = table[-1] = _byte_table()
    for place in range(_ROW - 2, -1, -1):
        after = table[place + 1]
        table[place] = after >> 8 ^ last[after & 255]
    return table


_OF_BYTE = _byte_table().tolist()
_CONTRIBUTIONS = _row_table().reshape(-1)
_FIRST, _SECOND, _THIRD, _FOURTH = _row_table()[:4].tolist()
_STARTS = np.arange(_ROW) * 256  # of a place's values among the contributions

"""The format of TFRecord files: each record is its length (8 bytes), the length's checksum (4), the
data, and the data's checksum (4).

Written by hand, as TensorFlow takes seconds to start.
"""

from __future__ import annotations

import struct

import google_crc32c

HEAD, TAIL = 12, 4  # bytes around a record's data

_ALL = 2**32 - 1


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
    crc = google_crc32c.value(data)
    rotated = (crc >> 15 | crc << 17) & _ALL
    return (rotated + 0xA282EAD8) & _ALL

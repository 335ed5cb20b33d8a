"""Event files of TensorBoard, as bytes: scalars in, scalars out, without TensorFlow or torch.

A file is a row of records (the TFRecord format): the length of the data (8 bytes, little-endian),
a masked CRC-32C of those 8 bytes, the data, a masked CRC-32C of the data. The data are messages
in the wire format of protocol buffers; of event.proto and summary.proto these fields matter:

    Event    1 wall_time (double)   2 step (int64)   3 file_version   5 summary
    Summary  1 value (repeated)
    Value    1 tag   2 simple_value (float)   8 tensor
    Tensor   1 dtype (1 float, 2 double)   4 content (bytes)   5 float_val   6 double_val
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

_VERSION = b"brain.Event:2"
_POLYNOMIAL = 0x82F63B78  # Castagnoli, reflected
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5  # wire types
_FORMATS = {1: "<f", 2: "<d"}  # DT_FLOAT, DT_DOUBLE


class DamagedEvents(Exception):
    """The bytes are no event file, or end within a record."""


@dataclass(frozen=True)
class Scalar:
    """One point of one curve; `value` has the precision of the file, usually 32 bits."""

    tag: str
    step: int
    value: float


def encode(scalars: Iterable[Scalar]) -> bytes:
    """An event file that holds the scalars, in 32 bits as TensorBoard does; no clock is read."""
    events = [_event(0, _field(3, _VERSION))]
    events += [_event(one.step, _field(5, _field(1, _value(one)))) for one in scalars]
    return b"".join(_framed(event) for event in events)


def decode(data: bytes) -> Iterator[Scalar]:
    """The scalars of an event file, in its order; everything else in it is passed over.

    Raises:
        DamagedEvents: If a checksum is wrong or the file ends within a record.
    """
    for event in _records(data):
        step = 0
        summaries = []
        for number, value in _fields(event):
            if number == 2 and isinstance(value, int):
                step = value - (1 << 64) if value >> 63 else value
            elif number == 5 and isinstance(value, bytes):
                summaries.append(value)
        for summary in summaries:
            for number, value in _fields(summary):
                if number == 1 and isinstance(value, bytes):
                    yield from _scalars(value, step)


def _scalars(data: bytes, step: int) -> Iterator[Scalar]:
    """The scalar of a summary's value, if it holds one."""
    tag = ""
    found: float | None = None
    for number, value in _fields(data):
        if not isinstance(value, bytes):
            continue
        if number == 1:
            tag = value.decode("utf-8", errors="replace")
        elif number == 2 and len(value) == 4:
            found = struct.unpack("<f", value)[0]
        elif number == 8:
            found = _tensor(value)
    if found is not None:
        yield Scalar(tag, step, found)


def _tensor(data: bytes) -> float | None:
    """The number in a tensor that holds one; None for any other tensor."""
    dtype, content = 0, b""
    for number, value in _fields(data):
        if number == 1 and isinstance(value, int):
            dtype = value
        elif number in (4, 5, 6) and isinstance(value, bytes):
            content += value
    kind = _FORMATS.get(dtype)
    if kind is None or len(content) != struct.calcsize(kind):
        return None
    return float(struct.unpack(kind, content)[0])


def _records(data: bytes) -> Iterator[bytes]:
    """The data of every record."""
    place = 0
    while place < len(data):
        head = data[place : place + 12]
        if len(head) < 12:
            raise DamagedEvents(f"the file ends within a record, at byte {len(data):,}")
        length, checksum = struct.unpack("<QI", head)
        if checksum != masked_crc(head[:8]):
            raise DamagedEvents(
                f"the record at byte {place:,} is damaged, or this is no such file"
            )
        record = data[place + 12 : place + 12 + length]
        tail = data[place + 12 + length : place + 16 + length]
        if len(tail) < 4:
            raise DamagedEvents(f"the file ends within a record, at byte {len(data):,}")
        if struct.unpack("<I", tail)[0] != masked_crc(record):
            raise DamagedEvents(f"the record at byte {place:,} is damaged")
        yield record
        place += 16 + length


def _fields(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    """The fields of a message by number: whole numbers, and everything else as bytes."""
    place = 0
    while place < len(data):
        key, place = _varint(data, place)
        number, wire = key >> 3, key & 7
        if wire == _VARINT:
            value, place = _varint(data, place)
            yield number, value
            continue
        if wire == _BYTES:
            size, place = _varint(data, place)
        elif wire in (_FIXED64, _FIXED32):
            size = 8 if wire == _FIXED64 else 4
        else:
            raise DamagedEvents(f"a message holds a field of the unknown kind {wire}")
        if place + size > len(data):
            raise DamagedEvents("a message ends within a field")
        yield number, data[place : place + size]
        place += size


def _varint(data: bytes, place: int) -> tuple[int, int]:
    """A whole number of 7 bits a byte, and where it ends."""
    value = shift = 0
    while place < len(data) and shift < 70:
        byte = data[place]
        value |= (byte & 0x7F) << shift
        place, shift = place + 1, shift + 7
        if not byte & 0x80:
            return value, place
    raise DamagedEvents("a message ends within a number")


def _event(step: int, rest: bytes) -> bytes:
    return struct.pack("<Bd", 1 << 3 | _FIXED64, 0.0) + _whole(2, step) + rest


def _value(scalar: Scalar) -> bytes:
    number = struct.pack("<Bf", 2 << 3 | _FIXED32, scalar.value)
    return _field(1, scalar.tag.encode()) + number


def _field(number: int, data: bytes) -> bytes:
    return _as_varint(number << 3 | _BYTES) + _as_varint(len(data)) + data


def _whole(number: int, value: int) -> bytes:
    return _as_varint(number << 3 | _VARINT) + _as_varint(value)


def _as_varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _framed(data: bytes) -> bytes:
    length = struct.pack("<Q", len(data))
    return b"".join(
        (
            length,
            struct.pack("<I", masked_crc(length)),
            data,
            struct.pack("<I", masked_crc(data)),
        )
    )


def masked_crc(data: bytes) -> int:
    """The masked CRC-32C of bytes: rotated by 15 bits, and a constant added."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc = _TABLE[(crc ^ byte) & 0xFF] ^ crc >> 8
    crc ^= 0xFFFFFFFF
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def _crc_of_byte(byte: int) -> int:
    for _ in range(8):
        byte = byte >> 1 ^ (_POLYNOMIAL if byte & 1 else 0)
    return byte


_TABLE = tuple(_crc_of_byte(byte) for byte in range(256))

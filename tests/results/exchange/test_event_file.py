import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from results.exchange.event_file import DamagedEvents, Scalar, decode, encode, masked_crc

# Written by TensorBoard's own RecordWriter: a version, two scalars at step 300, and eval/return
# as tensors of 32 and of 64 bits at steps 70,000 and 80,000.
THEIRS = bytes.fromhex(
    """
    1800000000000000a37f4b2209000000000000f83f1a0d627261696e2e4576656e743a322a28646c
    2f000000000000006d5d1d5009000000000000044010ac022a210a0b0a046c6f7373150000803e0a
    120a0b6576616c2f72657475726e150000a4c1932c9dac2800000000000000ff70164a0900000000
    00000c4010f0a2042a190a170a0b6576616c2f72657475726e420808012a04000060406d714e742c
    00000000000000f4aecc45090000000000000c401080f1042a1d0a1b0a0b6576616c2f7265747572
    6e420c080222089a9999999999b93f23adb9e0
    """
)
SCALARS = st.builds(
    Scalar,
    st.text(max_size=20),
    st.integers(0, 2**63 - 1),
    st.floats(width=32, allow_nan=False),
)


def test_a_file_that_tensorboard_wrote_is_read():
    assert list(decode(THEIRS)) == [
        Scalar("loss", 300, 0.25),
        Scalar("eval/return", 300, -20.5),
        Scalar("eval/return", 70_000, 3.5),
        Scalar("eval/return", 80_000, 0.1),
    ]


def test_the_checksum_is_the_published_one():
    crc = 0xE3069283  # CRC-32C of "123456789": RFC 3720 and every catalogue of checksums
    masked = ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF
    assert masked_crc(b"123456789") == masked


@given(st.lists(SCALARS, max_size=5))
def test_what_is_written_is_read(scalars):
    assert list(decode(encode(scalars))) == scalars


@given(st.integers(1, len(THEIRS) - 1))
def test_a_file_that_ends_early_is_damaged_or_ends_between_records(length):
    whole = list(decode(THEIRS))
    try:
        read = list(decode(THEIRS[:length]))
    except DamagedEvents:
        return
    assert read == whole[: len(read)]
    assert len(read) < len(whole)


@given(st.integers(0, len(THEIRS) - 1), st.integers(1, 255))
def test_no_changed_byte_goes_unseen(place, change):
    damaged = bytearray(THEIRS)
    damaged[place] ^= change
    with pytest.raises(DamagedEvents):
        list(decode(bytes(damaged)))


def test_a_value_beyond_32_bits_cannot_be_written():
    with pytest.raises((OverflowError, struct.error)):
        encode([Scalar("a", 1, 1e300)])

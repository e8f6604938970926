"""An independent Threefry-2x32, for what tests expect of random numbers."""

from __future__ import annotations


def threefry_in_python(key: tuple[int, int], counter: tuple[int, int]) -> tuple[int, int]:
    """One block with Python's unbounded integers, written after the paper's description."""
    mask = 0xFFFFFFFF
    schedule = [key[0], key[1], key[0] ^ key[1] ^ 0x1BD11BDA]
    x = [(counter[0] + key[0]) & mask, (counter[1] + key[1]) & mask]
    rotations = [13, 15, 26, 6, 17, 29, 16, 24]
    for number in range(20):
        x[0] = (x[0] + x[1]) & mask
        turn = rotations[number % 8]
        x[1] = ((x[1] << turn) | (x[1] >> (32 - turn))) & mask
        x[1] ^= x[0]
        if number % 4 == 3:
            group = number // 4 + 1
            x[0] = (x[0] + schedule[group % 3]) & mask
            x[1] = (x[1] + schedule[(group + 1) % 3] + group) & mask
    return tuple(x)

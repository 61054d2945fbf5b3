#!/usr/bin/env python3
"""Draws icon.png: two arrows between two ends. One has arrived at its bar, which is FIN; the other one still goes on."""
import pathlib
import struct
import zlib

SIZE = 128
SAMPLES = 4  # In each direction, so that edges are smooth.

BACKGROUND = (24, 78, 119)
ARRIVED = (153, 217, 140)
GOING_ON = (255, 255, 255)


def is_in_rounded_square(x, y, radius=26):
    dx = max(radius - x, x - (SIZE - radius), 0)
    dy = max(radius - y, y - (SIZE - radius), 0)
    return dx * dx + dy * dy <= radius * radius


def is_in_bar(x, y, left, top, right, bottom):
    return left <= x <= right and top <= y <= bottom


def is_in_head(x, y, tip, back, middle, half):
    """A triangle with its tip at one side and its back at the other one."""
    part = (x - tip) / (back - tip)
    return 0 <= part <= 1 and abs(y - middle) <= half * part


def colour(x, y):
    """Returns what a point shows: None outside of the icon."""
    if not is_in_rounded_square(x, y):
        return None
    # To the right, up to its bar.
    if is_in_bar(x, y, 22, 41, 72, 51) or is_in_head(x, y, 92, 66, 46, 18) or is_in_bar(x, y, 97, 28, 106, 64):
        return ARRIVED
    # To the left, in pieces: still on its way.
    if is_in_head(x, y, 24, 50, 88, 18) or is_in_bar(x, y, 46, 83, 62, 93):
        return GOING_ON
    if is_in_bar(x, y, 70, 83, 82, 93) or is_in_bar(x, y, 90, 83, 102, 93):
        return GOING_ON
    return BACKGROUND


def pixel(column, row):
    steps = [(i + 0.5) / SAMPLES for i in range(SAMPLES)]
    seen = [colour(column + dx, row + dy) for dy in steps for dx in steps]
    inside = [c for c in seen if c]
    if not inside:
        return bytes(4)
    mean = [round(sum(c[i] for c in inside) / len(inside)) for i in range(3)]
    return bytes([*mean, round(255 * len(inside) / len(seen))])


def chunk(name, data):
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


rows = b"".join(b"\0" + b"".join(pixel(x, y) for x in range(SIZE)) for y in range(SIZE))
header = struct.pack(">IIBBBBB", SIZE, SIZE, 8, 6, 0, 0, 0)
png = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows, 9)) + chunk(b"IEND", b"")
pathlib.Path(__file__).with_name("icon.png").write_bytes(png)

"""Joins two network namespaces by a bad network: delay, loss and a rate limit. Runs until it is ended.

relay.py NAMESPACE NAMESPACE DELAY LOSS RATE: seconds each way, a share from 0 to 1, bits a second each way.
"""

import ctypes
import fcntl
import heapq
import itertools
import os
import random
import select
import struct
import sys
import time

TUNSETIFF = 0x400454CA
IFF_TUN_NO_PI = 0x1001
CLONE_NEWNET = 0x40000000
QUEUE_SECONDS = 0.5  # What a router's queue holds. What comes beyond is dropped.


def open_tun(namespace):
    libc = ctypes.CDLL(None, use_errno=True)
    with open(f"/run/netns/{namespace}", "rb") as handle:
        if libc.setns(handle.fileno(), CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), "setns")
    tun = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(tun, TUNSETIFF, struct.pack("16sH", b"bad0", IFF_TUN_NO_PI))
    return tun


def main():
    delay, loss, rate = (float(text) for text in sys.argv[3:6])
    tuns = [open_tun(name) for name in sys.argv[1:3]]
    other = {tuns[0]: tuns[1], tuns[1]: tuns[0]}
    free_at = dict.fromkeys(tuns, 0.0)
    queue = []
    order = itertools.count()
    print("ready", flush=True)
    while True:
        now = time.monotonic()
        wait = max(0, queue[0][0] - now) if queue else 1
        readable, _, _ = select.select(tuns, [], [], wait)
        now = time.monotonic()
        for tun in readable:
            packet = os.read(tun, 65536)
            sent = max(now, free_at[tun]) + len(packet) * 8 / rate
            if random.random() >= loss and sent - now < QUEUE_SECONDS:
                free_at[tun] = sent
                heapq.heappush(queue, (sent + delay, next(order), other[tun], packet))
        while queue and queue[0][0] <= now:
            _, _, tun, packet = heapq.heappop(queue)
            try:
                os.write(tun, packet)
            except OSError:
                pass  # The other side is not up yet: a lost packet.


main()

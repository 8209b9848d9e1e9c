"""memory.py WITNESS_IP:PORT [MEGABYTES]

Fills memory with noise whose sums are known, changes it all the time and sums it up again, block by block. Reports
"NONCE NUMBER STATE" to the witness: how often all of it was found whole, and how many blocks were not what they should be.
"""
import json
import os
import random
import socket
import sys
import time
import zlib

MEBIBYTE = 1 << 20
BLOCKS_A_TICK = 16
TICK_S = 0.005

host, port = sys.argv[1].split(':')
blocks = int(sys.argv[2]) if len(sys.argv) > 2 else 64
nonce = os.urandom(8).hex()
noise = random.Random(1)
memory = [bytearray(noise.randbytes(MEBIBYTE)) for _ in range(blocks)]
sums = [zlib.crc32(block) for block in memory]

witness = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
number = looked = torn = 0
while True:
    number += 1
    for _ in range(BLOCKS_A_TICK):
        block = looked % blocks
        torn += zlib.crc32(memory[block]) != sums[block]
        looked += 1
    # A page of the last block changes, and its sum with it.
    memory[block][number * 4096 % MEBIBYTE] ^= 0xFF
    sums[block] = zlib.crc32(memory[block])
    state = {'mebibytes': blocks, 'rounds': looked // blocks, 'torn': torn}
    witness.sendto(f'{nonce} {number} {json.dumps(state)}'.encode(), (host, int(port)))
    time.sleep(TICK_S)

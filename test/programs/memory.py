"""memory.py WITNESS_IP:PORT [MEGABYTES]

Fills memory with noise whose sums are known, changes it all the time and sums it up again, block by block. Reports
"NONCE NUMBER STATE" to the witness: how many blocks it has looked at, and how many were not what they should be.
"""
import json
import os
import random
import socket
import sys
import time
import zlib

MEBIBYTE = 1 << 20
# Most of the time it leaves the processor to those who move it.
BLOCKS_A_TICK = 4
TICK_S = 0.01

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
    state = {'mebibytes': blocks, 'looked': looked, 'torn': torn}
    witness.sendto(f'{nonce} {number} {json.dumps(state)}'.encode(), (host, int(port)))
    time.sleep(TICK_S)

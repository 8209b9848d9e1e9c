"""threads.py WITNESS_IP:PORT

Eight threads, each with a file of its own that stays open; a file that is read bit by bit, a deleted one, and memory whose
sums are known. Every 25 ms it reports "NONCE NUMBER STATE" to the witness; the state says what it finds of itself.
"""
import json
import os
import socket
import sys
import threading
import time
import zlib

THREADS = 8
TICK_S = 0.025
BLOCKS = 16
WORD = 8

host, port = sys.argv[1].split(':')
nonce = os.urandom(8).hex()
memory = [os.urandom(1 << 20) for _ in range(BLOCKS)]
sums = [zlib.crc32(block) for block in memory]
counts = [0] * THREADS


def work(index):
    # Half of them in a volume, half in the container's own layer.
    folder = '/data' if index % 2 == 0 else '/tmp'
    with open(f'{folder}/thread-{index}', 'w') as file:
        while True:
            counts[index] += 1
            file.write(f'{counts[index]}\n')
            file.flush()
            time.sleep(0.01)


with open('/data/numbers', 'w') as file:
    file.writelines(f'{number:{WORD - 1}}\n' for number in range(1, 20_001))
numbers = os.open('/data/numbers', os.O_RDONLY)

deleted = os.open('/tmp/deleted', os.O_RDWR | os.O_CREAT)
os.write(deleted, memory[0])
os.unlink('/tmp/deleted')

for index in range(THREADS):
    threading.Thread(target=work, args=(index,), daemon=True).start()

witness = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
number = torn = 0
while True:
    number += 1
    block = number % BLOCKS
    torn += zlib.crc32(memory[block]) != sums[block]
    state = {
        'threads': len(os.listdir('/proc/self/task')),
        'counts': counts,
        'torn': torn,
        'read': int(os.read(numbers, WORD)),
        'deleted': os.pread(deleted, 1 << 20, 0) == memory[0],
    }
    witness.sendto(f'{nonce} {number} {json.dumps(state)}'.encode(), (host, int(port)))
    time.sleep(TICK_S)

"""processes.py WITNESS_IP:PORT

Eight processes in a ring of pipes: a number goes round, each adds one. The fourth also writes what it got into a unix socket
pair, whose other end the first reads with a delay, so that there are always unread messages in it. After each round the
first reports "NONCE NUMBER STATE" to the witness.
"""
import json
import os
import socket
import struct
import sys
import time

PROCESSES = 8
UNREAD = 16
HOLD_S = 0.004

host, port = sys.argv[1].split(':')
nonce = os.urandom(8).hex()
pipes = [os.pipe() for _ in range(PROCESSES)]
reader, writer = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)


def receive(index):
    return struct.unpack('Q', os.read(pipes[index][0], 8))[0]


def send(index, number):
    os.write(pipes[index % PROCESSES][1], struct.pack('Q', number))


def member(index):
    while True:
        number = receive(index) + 1
        time.sleep(HOLD_S)
        if index == 3:
            writer.sendall(struct.pack('Q', number))
        send(index + 1, number)


for index in range(1, PROCESSES):
    if os.fork() == 0:
        member(index)

witness = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
number = hops = 0
while True:
    number += 1
    send(1, hops)
    hops = receive(0) + 1
    unread = struct.unpack('Q', reader.recv(8))[0] if number > UNREAD else 0
    processes = sorted(int(name) for name in os.listdir('/proc') if name.isdigit())
    state = {'processes': processes, 'hops': hops, 'unread': unread}
    witness.sendto(f'{nonce} {number} {json.dumps(state)}'.encode(), (host, int(port)))

"""volumes.py PLACE...

Fills the places that move with a pod with every kind of file, and goes on changing some of them until told to stop.

What the changing files must hold it knows from memory, so that a file that has come without its last change, or come back after its
deletion, is seen by the program itself: `/verdict` says what it has found.
"""
import os
import random
import shutil
import struct
import sys
import time

PLACES = sys.argv[1:]
# Version 2, CAP_NET_BIND_SERVICE permitted; see linux/capability.h.
CAPABILITY = struct.pack('<IIIII', 0x02000001, 1 << 10, 0, 0, 0)


def write(path, text):
    with open(path, 'w') as file:
        file.write(text)


def fill(place):
    kept = f'{place}/kept'
    os.makedirs(f'{kept}/deep')
    write(f'{kept}/file', 'one\n')
    os.link(f'{kept}/file', f'{kept}/deep/second-name')
    os.link(f'{kept}/file', f'{place}/third-name')
    os.symlink('kept/file', f'{place}/link')
    os.symlink('/nowhere', f'{place}/dangling')
    os.mkfifo(f'{place}/fifo', 0o640)
    write(f'{place}/owned', 'owned\n')
    os.chown(f'{place}/owned', 1234, 5678)
    os.chmod(f'{place}/owned', 0o4711)
    os.chmod(kept, 0o2750)
    write(f'{place}/name with blanks\nand a line feed', 'odd\n')
    with open(f'{place}/sparse', 'wb') as file:
        file.write(b'head')
        file.seek(8 << 20)
        file.write(b'tail')
        file.truncate((8 << 20) + 12345)
    write(f'{place}/attributes', 'x')
    for name, value in (('user.colour', b'blue'), ('security.capability', CAPABILITY)):
        try:
            os.setxattr(f'{place}/attributes', name, value)
        except OSError as error:
            print(place, name, error.strerror)
    os.utime(f'{place}/owned', ns=(1_000_000_000_123_456_789, 1_000_000_000_123_456_789))


def hollow(folder):
    """An image's folder that is gone and made anew hides all that the image has there."""
    shutil.rmtree(folder)
    os.mkdir(folder)
    write(f'{folder}/only', 'this\n')


def churn(place, model, step):
    path = f'{place}/churn/{random.randrange(40)}'
    if path in model and step % 3 == 0:
        os.remove(path)
        del model[path]
    elif path in model and step % 3 == 1:
        target = f'{place}/churn/{random.randrange(40)}'
        os.rename(path, target)
        model[target] = model.pop(path)
    else:
        model[path] = f'{step}\n' * random.randrange(1, 50)
        write(path, model[path])


def differences(place, model):
    there = {f'{place}/churn/{name}' for name in os.listdir(f'{place}/churn')}
    yield from (f'{path} should be gone' for path in there - set(model))
    yield from (f'{path} is missing' for path in set(model) - there)
    for path in there & set(model):
        with open(path) as file:
            if file.read() != model[path]:
                yield f'{path} holds something else'


models = {}
for place in PLACES:
    fill(place)
    os.mkdir(f'{place}/churn')
    models[place] = {}
os.remove('/etc/group')
hollow(os.path.dirname(__import__('unittest').__file__))
held = [open(f'{place}/kept/file', 'a') for place in PLACES]
with open(f'{PLACES[0]}/nameless', 'w+') as nameless:
    nameless.write('deleted, but open\n')
    nameless.flush()
    os.remove(f'{PLACES[0]}/nameless')
    write('/ready', '')
    step = 0
    while not os.path.exists('/stop'):
        for place in PLACES:
            churn(place, models[place], step)
        step += 1
        time.sleep(0.005)
    nameless.seek(0)
    found = [] if nameless.read() == 'deleted, but open\n' else ['the deleted file has lost its content']
for place in PLACES:
    found += differences(place, models[place])
for file in held:
    file.write('appended after the move\n')
    file.flush()
write('/verdict.new', '\n'.join(found) or 'all as it should be')
os.rename('/verdict.new', '/verdict')
while True:
    time.sleep(1)

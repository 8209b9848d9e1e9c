"""listing.py PATTERN...

Prints one line for each file below the places that the patterns name: everything that a move must keep of it.
"""
import glob
import hashlib
import json
import os
import stat
import sys

# What goes on changing; volumes.py looks after it.
SKIPPED = {'churn'}
# Kubelet's own files, made anew for each pod.
KUBELETS = {'/etc/hosts', '/etc/hostname', '/etc/resolv.conf'}
links = {}


def row_of(path):
    what = os.lstat(path)
    names = os.listxattr(path, follow_symlinks=False)
    row = {'path': path, 'mode': oct(what.st_mode), 'owner': [what.st_uid, what.st_gid]}
    row['attributes'] = {name: os.getxattr(path, name, follow_symlinks=False).hex() for name in names}
    if stat.S_ISLNK(what.st_mode):
        row['target'] = os.readlink(path)
    if stat.S_ISREG(what.st_mode):
        with open(path, 'rb') as file:
            row['sum'] = hashlib.file_digest(file, 'sha256').hexdigest()
        row |= {'size': what.st_size, 'changed': what.st_mtime_ns, 'sparse': what.st_blocks * 512 < what.st_size}
        if what.st_nlink > 1:
            # Which names are one file: the first of them stands for all.
            row['same as'] = links.setdefault((what.st_dev, what.st_ino), path)
    return row


for place in sorted(path for pattern in sys.argv[1:] for path in glob.glob(pattern)):
    for folder, folders, files in os.walk(place):
        folders[:] = sorted(set(folders) - SKIPPED)
        names = sorted(files) + [name for name in folders if os.path.islink(os.path.join(folder, name))]
        for path in [folder] + [os.path.join(folder, name) for name in names]:
            if path not in KUBELETS:
                print(json.dumps(row_of(path), sort_keys=True))

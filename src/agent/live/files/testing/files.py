"""What Node can't do with files: xattrs, shared mappings, a deep listing. One JSON request a line in, one answer a line out."""
import hashlib, json, mmap, os, stat, sys

NOTES = ("origin", "impure", "nlink", "uuid", "protattr")
maps = {}


def xattrs(path):
    names = [n for n in os.listxattr(path, follow_symlinks=False) if n.split(".")[-1] not in NOTES or ".overlay." not in n]
    return {n: os.getxattr(path, n, follow_symlinks=False).hex() for n in sorted(names)}


def describe(path, inodes, name):
    s = os.lstat(path)
    kind = stat.S_IFMT(s.st_mode)
    told = {"mode": oct(s.st_mode), "uid": s.st_uid, "gid": s.st_gid, "mtime": str(s.st_mtime_ns), "xattrs": xattrs(path)}
    # Tar makes two of a fifo or device with two names, which nobody can tell apart: overlayfs itself links its whiteouts.
    if stat.S_ISREG(kind) or stat.S_ISLNK(kind):
        told["same"] = inodes.setdefault(s.st_ino, name)
        told["links"] = s.st_nlink
    if stat.S_ISREG(kind):
        told["size"] = s.st_size
        with open(path, "rb") as f:
            told["hash"] = hashlib.file_digest(f, "sha256").hexdigest() if s.st_size else ""
    if stat.S_ISLNK(kind):
        told["target"] = os.readlink(path)
    if stat.S_ISCHR(kind) or stat.S_ISBLK(kind):
        told["device"] = s.st_rdev
    return told


def listing(root):
    found, inodes = {}, {}
    names = ["."]
    for folder, folders, files in os.walk(root):
        names += [os.path.relpath(os.path.join(folder, n), root) for n in folders + files]
    for name in sorted(names):
        path = os.path.join(root, name)
        if not stat.S_ISSOCK(os.lstat(path).st_mode):
            found[name] = describe(path, inodes, name)
    return found


def serve(do, path, **more):
    if do == "list":
        return listing(path)
    if do == "set":
        return os.setxattr(path, more["name"], bytes.fromhex(more["value"]), follow_symlinks=False)
    if do == "unset":
        return os.removexattr(path, more["name"], follow_symlinks=False)
    if do == "poke":  # through a shared mapping that stays
        if path not in maps:
            with open(path, "r+b") as f:
                maps[path] = mmap.mmap(f.fileno(), 0)
        maps[path][more["at"]] = more["byte"]


for line in sys.stdin:
    try:
        answer = {"answer": serve(**json.loads(line))}
    except OSError as error:
        answer = {"error": str(error)}
    print(json.dumps(answer), flush=True)

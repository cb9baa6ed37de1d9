"""A disk of its own for each broker, beside its first one, that can be broken or filled: a small file system in a file, and the switch that
file systems have for their tests, after which everything on it is an input/output error.

Needs root, a kernel with loop devices and ext4, and mkfs.ext4.
"""

import contextlib
import fcntl
import os
import pathlib
import shutil
import struct
import subprocess
import tempfile

# <linux/fs.h>: _IOR('X', 125, __u32); 2 is "without flushing the journal".
SHUTDOWN, AT_ONCE = 0x8004587D, struct.pack("I", 2)
IMAGE_BYTES = 256 << 20
FILLER = "filler"


def command(*words):
    done = subprocess.run([*map(str, words)], capture_output=True, text=True)
    if done.returncode:
        raise OSError(f"{' '.join(map(str, words))}: {done.stderr.strip()}")


def missing():
    """Why there can be no such disks here, or nothing."""
    if os.geteuid() != 0:
        return "only root may mount disks"
    for program in ("mkfs.ext4", "mount", "umount"):
        if not shutil.which(program):
            return f"{program} is not installed (Debian: e2fsprogs, mount)"
    try:
        with tempfile.TemporaryDirectory() as folder, Disks() as disks:
            disk = disks.new(pathlib.Path(folder) / "disk")
            (disk / "a").write_bytes(b"a")
            disks.shut(disk)
            with contextlib.suppress(OSError):
                (disk / "b").write_bytes(b"b")
                return "a file system that was shut down takes writes"
            disks.new(disk)
            (disk / "b").write_bytes(b"b")
    except OSError as error:
        return str(error)
    return None


class Disks:
    def __init__(self):
        self.mounted, self.number = set(), 0

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for path in list(self.mounted):
            self.take_away(path)

    def new(self, path):
        """Mounts an empty disk at the path, in place of the one that is there."""
        self.take_away(path)
        path.mkdir(parents=True, exist_ok=True)
        # Another file each time: a broken one that somebody has still open would be mounted again.
        self.number += 1
        image = path.with_name(f"{path.name}-{self.number}.image")
        with open(image, "wb") as file:
            file.truncate(IMAGE_BYTES)
        command("mkfs.ext4", "-q", "-F", "-m", "0", image)
        command("mount", "-o", "loop,noatime", image, path)
        image.unlink()
        self.mounted.add(path)
        return path

    def shut(self, path):
        """From now on every read and write fails, of files that are open, too."""
        found = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.ioctl(found, SHUTDOWN, AT_ONCE)
        finally:
            os.close(found)

    def fill(self, path):
        """Not a block is left."""
        with open(path / FILLER, "wb", buffering=0) as file:
            for size in (1 << 20, 4096, 512):
                with contextlib.suppress(OSError):
                    while file.write(bytes(size)):
                        pass
            with contextlib.suppress(OSError):
                os.fsync(file.fileno())

    def free(self, path):
        (path / FILLER).unlink()

    def take_away(self, path):
        if path in self.mounted:
            # Lazily: a process may have files open.
            command("umount", "-l", path)
            self.mounted.remove(path)

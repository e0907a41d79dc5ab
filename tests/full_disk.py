"""Disks that are full and folders that are read-only, for tests."""

import contextlib
import os
import resource
import subprocess

import pytest


@contextlib.contextmanager
def no_room_for(num_bytes):
    """While it is open, files of this process cannot grow beyond a size.

    A limit of the operating system, so that the errors are real ones.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (num_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@contextlib.contextmanager
def mounted(folder, options):
    """A file system in memory, mounted at a folder; skips where that fails."""
    command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
    try:
        subprocess.run(command, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("mounting a file system needs the rights of an admin")
    try:
        yield
    finally:
        subprocess.run(["umount", str(folder)], check=True)


@contextlib.contextmanager
def as_a_user():
    """While it is open, an admin is bound by the rights of files, too."""
    admin = os.geteuid() == 0
    if admin:
        os.seteuid(65534)
    try:
        yield
    finally:
        if admin:
            os.seteuid(0)

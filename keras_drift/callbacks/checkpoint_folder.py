"""The checkpoint files of a training run, written by a thread."""

import concurrent.futures
import contextlib
import errno
import pathlib
import re
import warnings

from keras_drift import atomic_files
from keras_drift.training import state_file

_NAME = re.compile(r"epoch_(\d{6,})(?:_batch_(\d{6,}))?\.npz")


class CheckpointFolder:
    """The checkpoint files of a training run, written by a thread.

    The position of a file is `(epoch, batch)`: the complete epochs of the run,
    and the complete batches of the next one.

    One file is written at a time: `write` waits for the one before. What fails
    on the thread is raised by the next `write`, or by `wait`.

    Args:
        directory: path of the folder.
        keep: int >= 1, how many of the newest files are kept.
    """

    def __init__(self, directory, keep):
        self.directory = pathlib.Path(directory)
        self.keep = keep
        self._writing = None

    def files(self):
        """The path of each complete file, by its position."""
        if not self.directory.is_dir():
            return {}
        found = map(_NAME.fullmatch, (p.name for p in self.directory.iterdir()))
        return {
            (int(m[1]), int(m[2] or 0)): self.directory / m[0]
            for m in found
            if m
        }

    def newest(self):
        """Reads the newest file that is not damaged.

        Returns:
            `(position, state)`, or `None` if there is no file.
        """
        files = self.files()
        for position in sorted(files, reverse=True):
            try:
                return position, state_file.read(files[position])
            except state_file.DamagedError as error:
                warnings.warn(f"{error} An older one is tried.", stacklevel=3)
        if files:
            raise ValueError(
                "None of the checkpoints can be read. Delete the folder to "
                f"begin anew. Received: directory={str(self.directory)!r}"
            )
        return None

    def require_writable(self):
        """Creates the folder; raises an error if no file can be written."""
        atomic_files.require_writable(
            self.directory, "checkpoint", f"directory={str(self.directory)!r}"
        )

    def write(self, position, state):
        """Starts to write a state, after the end of the write before.

        Args:
            position: tuple of two ints, see the class.
            state: dict, see `state_file.write`; it must not change any more.
        """
        self.wait()
        pool = concurrent.futures.ThreadPoolExecutor(
            1, "keras_drift.checkpoint"
        )
        # Python waits for the thread at its exit, where nobody else does.
        self._writing = position, pool.submit(self._write, position, state)
        pool.shutdown(wait=False)

    def wait(self):
        """Waits until the last file is complete; raises what failed."""
        if self._writing is None:
            return
        position, future = self._writing
        concurrent.futures.wait([future])
        self._writing = None
        try:
            future.result()
        except OSError as error:
            raise OSError(
                error.errno or errno.EIO, self._explain(position, error)
            ) from error

    def _explain(self, position, error):
        older = self.files()
        left = f"{older[max(older)].name!r} is" if older else "no checkpoint is"
        return (
            f"The checkpoint after {described(position)} could not be written: "
            f"{error.strerror or error}. The model in memory is as trained, "
            f"and {left} complete on the disk. Make room or choose another "
            "disk, and start the same script again. "
            f"Received: directory={str(self.directory)!r}"
        )

    def _write(self, position, state):
        self._delete_unfinished()
        self.directory.mkdir(parents=True, exist_ok=True)
        state_file.write(self.directory / _name(position), state)
        files = self.files()
        # Newer ones are damaged: `newest` has passed over them.
        kept = sorted(p for p in files if p <= position)[-self.keep :]
        for other in files.keys() - kept:
            files[other].unlink(missing_ok=True)

    def _delete_unfinished(self):
        """Deletes what processes that were killed have left."""
        if not self.directory.is_dir():
            return
        for path in self.directory.iterdir():
            name = atomic_files.name_of_unfinished(path)
            if name is not None and _NAME.fullmatch(name):
                with contextlib.suppress(FileNotFoundError):
                    path.unlink()


def described(position):
    """A position in words."""
    epoch, batch = position
    return f"epoch {epoch}" + (f" and {batch} batches" if batch else "")


def _name(position):
    epoch, batch = position
    return f"epoch_{epoch:06d}{f'_batch_{batch:06d}' if batch else ''}.npz"

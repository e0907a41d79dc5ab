"""The checkpoints of a training run, written by a thread."""

import concurrent.futures
import errno
import pathlib
import re

from keras_drift import atomic_files
from keras_drift import backend
from keras_drift import user_warnings
from keras_drift.training import sharded_state
from keras_drift.training import state_file
from keras_drift.training import training_state

_NAME = re.compile(r"epoch_(\d{6,})(?:_batch_(\d{6,}))?(\.npz)?")
# A folder before it is complete.
_UNFINISHED = re.compile(rf"({_NAME.pattern})\.orbax-checkpoint-tmp.*")


class CheckpointFolder:
    """The checkpoints of a training run, written by a thread.

    The position of a checkpoint is `(epoch, batch)`: the complete epochs of the
    run, and the complete batches of the next one. It is a file, or a folder
    where several processes each write a part.

    One is written at a time: `write` waits for the one before. What fails on
    the thread is raised by the next `write`, or by `wait`; they warn of older
    ones that could not be deleted.

    Args:
        directory: path of the folder.
        keep: int >= 1, how many of the newest checkpoints are kept.
    """

    def __init__(self, directory, keep):
        self.directory = pathlib.Path(directory)
        self.keep = keep
        self._writing = None

    def complete(self):
        """The path of each complete checkpoint, by its position."""
        found = {}
        # A file comes after a folder of the same position, and replaces it.
        for path in sorted(self._paths()):
            match = _NAME.fullmatch(path.name)
            if match and (match[3] or sharded_state.is_complete(path)):
                found[int(match[1]), int(match[2] or 0)] = path
        return found

    def newest(self, model=None):
        """Reads the newest checkpoint that is not damaged.

        Args:
            model: the `DriftModel` whose layout sharded weights are given.
                Needed for these only.

        Returns:
            `(position, state)`, or `None` if there is no checkpoint.
        """
        return self._newest(lambda path: _read(path, model))

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
        try:
            undeleted = self._prepare()
        except OSError as error:
            raise self._explained(position, error) from error
        self._warn_of_undeleted(undeleted)
        path = self.directory / f"{_name(position)}.npz"
        self._start(position, lambda: state_file.write(path, state))

    def write_sharded(self, position, variables, state):
        """Starts to write sharded variables; all processes call it.

        It returns when there is a copy of the shards in host memory.

        Args:
            position: tuple of two ints, see the class.
            variables: dict, see `sharded_state.write`.
            state: dict with the other values of this process.
        """
        self.wait()
        path = self.directory / _name(position)
        self._prepare_together(position, path)
        finish = sharded_state.write(path, variables, state)
        self._start(position, finish)

    def merge(self):
        """Replaces the newest checkpoint, if it is a folder, by a file.

        Of damaged checkpoints it takes the one before, and deletes them:
        backends that cannot read folders do not find the damage.

        Returns:
            The path of the file, or `None` if there is no checkpoint.
        """
        found = self._newest(_read_on_host)
        if found is None:
            return None
        position, state = found
        complete = self.complete()
        path = complete[position]
        if not path.suffix:
            path = path.with_name(f"{path.name}.npz")
            state_file.write(path, state)
            _delete(complete[position])
        for other in complete:
            if other > position:
                _delete(complete[other])
        return path

    def wait(self):
        """Waits until the last file is complete; raises what failed."""
        if self._writing is None:
            return
        position, future = self._writing
        concurrent.futures.wait([future])
        self._writing = None
        try:
            undeleted = future.result()
        except OSError as error:
            raise self._explained(position, error) from error
        self._warn_of_undeleted(undeleted)

    def _newest(self, read):
        """The position of the newest checkpoint that is not damaged, as read.

        Args:
            read: function of a path.

        Returns:
            `(position, read(path))`, or `None` if there is no checkpoint.
        """
        complete = self.complete()
        for position in sorted(complete, reverse=True):
            try:
                return position, read(complete[position])
            except state_file.DamagedError as error:
                user_warnings.warn(f"{error} An older one is tried.")
        if complete:
            raise ValueError(
                "None of the checkpoints can be read. Delete the folder to "
                f"begin anew. Received: directory={str(self.directory)!r}"
            )
        return None

    def _explained(self, position, error):
        """An `OSError` that says what is left after another one."""
        older = self.complete()
        left = f"{older[max(older)].name!r} is" if older else "no checkpoint is"
        return OSError(
            error.errno or errno.EIO,
            f"The checkpoint after {described(position)} could not be written: "
            f"{error.strerror or error}. The model in memory is as trained, "
            f"and {left} complete on the disk. Make room or choose another "
            "disk, and start the same script again. "
            f"Received: directory={str(self.directory)!r}",
        )

    def _prepare(self):
        """Makes the folder; returns the errors of what cannot be deleted."""
        self.directory.mkdir(parents=True, exist_ok=True)
        return _delete_each(self._unfinished())

    def _prepare_together(self, position, path):
        """The same for a folder; an error of the first process reaches all.

        The others would wait for the first one in Orbax.
        """
        error, undeleted = None, []
        if backend.process_index() == 0:
            try:
                undeleted = self._prepare()
                # Damaged ones, or of a run before.
                _delete(path)
                _delete(path.with_name(f"{path.name}.npz"))
            except OSError as caught:
                error = caught
        if any(backend.of_all_processes(int(error is not None))):
            error = error or OSError(
                errno.EIO, "the message of the first process says why"
            )
            raise self._explained(position, error) from error
        self._warn_of_undeleted(undeleted)

    def _start(self, position, finish):
        """Calls a function on a thread, then deletes older checkpoints."""

        def run():
            finish()
            is_first = backend.process_index() == 0
            return self._delete_older(position) if is_first else []

        pool = concurrent.futures.ThreadPoolExecutor(
            1, "keras_drift.checkpoint"
        )
        # Python waits for the thread at its exit, where nobody else does.
        self._writing = position, pool.submit(run)
        pool.shutdown(wait=False)

    def _delete_older(self, position):
        """Returns the errors of what cannot be deleted."""
        try:
            complete = self.complete()
            # Newer ones are damaged: `newest` has passed over them.
            kept = sorted(p for p in complete if p <= position)[-self.keep :]
            older = [complete[p] for p in complete.keys() - kept]
            return _delete_each(self._unfinished() + older)
        except OSError as error:  # the new checkpoint is complete nevertheless
            return [error]

    def _unfinished(self):
        """The paths of what killed processes left, and of replaced folders."""
        return [
            path
            for path in self._paths()
            if (_is_folder_to_delete(path) if path.is_dir() else _is_part(path))
        ]

    def _warn_of_undeleted(self, errors):
        if errors:
            user_warnings.warn(
                f"{len(errors)} older or unfinished checkpoints could not be "
                f"deleted, such as {errors[0]}. Training goes on, and newer "
                "ones are saved: delete these before they fill the disk. "
                f"Received: directory={str(self.directory)!r}"
            )

    def _paths(self):
        if not self.directory.is_dir():
            return []
        return list(self.directory.iterdir())


def _read(path, model):
    if path.suffix:
        return state_file.read(path)
    return sharded_state.read(path, training_state.variables(model))


def _read_on_host(path):
    if path.suffix:
        return state_file.read(path)
    return sharded_state.read_on_host(path)


def _is_part(path):
    """Whether a path is that of a file before it is complete."""
    name = atomic_files.name_of_unfinished(path)
    return name is not None and bool(_NAME.fullmatch(name))


def _is_folder_to_delete(path):
    """Whether a folder is not complete, or a file has replaced it."""
    if _UNFINISHED.fullmatch(path.name):
        return True
    is_replaced = path.with_name(f"{path.name}.npz").exists()
    is_left = is_replaced or not sharded_state.is_complete(path)
    return bool(_NAME.fullmatch(path.name)) and is_left


def _delete(path):
    if path.is_dir():
        sharded_state.delete(path)
    else:
        path.unlink(missing_ok=True)


def _delete_each(paths):
    """Deletes files and folders; returns the errors of those that stay."""
    errors = []
    for path in paths:
        try:
            _delete(path)
        except OSError as error:
            errors.append(error)
    return errors


def described(position):
    """A position in words."""
    epoch, batch = position
    return f"epoch {epoch}" + (f" and {batch} batches" if batch else "")


def _name(position):
    epoch, batch = position
    return f"epoch_{epoch:06d}{f'_batch_{batch:06d}' if batch else ''}"

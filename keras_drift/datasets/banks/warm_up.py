"""Decides when memory banks are full enough for the first batch."""

import numpy as np

from keras_drift import user_warnings
from keras_drift.progress import Progress


class WarmUp:
    """The time until memory banks are full enough for the first batch.

    It ends when every class has enough samples. Of classes that have not
    arrived after so many samples that chance does not explain it, it raises an
    error; of classes that are rare, it warns.

    Args:
        min_count: int >= 0, the samples that every class is to have. `0` does
            not wait for every class.
        min_classes: int >= 1, how many classes must have samples in any case.
        min_total: int >= 0, how many samples must have arrived in any case.
        verbose: bool, whether to print lines.

    Attributes:
        num_arrived: int, samples of all classes so far.
        is_over: bool.
    """

    def __init__(self, min_count, min_classes, min_total, verbose):
        self._min_count = min_count
        self._min_classes = min_classes
        self._min_total = min_total
        self._verbose = verbose
        self._progress = None
        self.num_arrived = 0
        self.is_over = False

    def ends_with(self, counts, num_new):
        """Whether it is over after new samples have arrived.

        Args:
            counts: int array `(num_classes,)`, the samples of each class.
            num_new: int, how many have just arrived.
        """
        self.num_arrived += num_new
        if self.is_over:
            return True
        ready = counts >= max(self._min_count, 1)
        enough = (
            (ready.all() or not self._min_count)
            and np.sum(counts > 0) >= self._min_classes
            and self.num_arrived >= self._min_total
        )
        if not enough and self.num_arrived < self._patience(len(counts)):
            self._report(np.sum(ready), len(ready))
            return False
        if not enough:
            self._check(counts)
        if self._progress is not None:
            self._progress.finish(self.num_arrived)
            self._progress = None
        self.is_over = True
        return True

    def _patience(self, num_classes):
        """How many samples to wait for.

        Of classes that are equally frequent, one is late in less than one of
        10,000 warm-ups, up to a thousand classes.
        """
        return max(num_classes * (4 * self._min_count + 20), self._min_total)

    def _report(self, num_ready, num_classes):
        if self._progress is None:
            self._progress = Progress(
                "Filling the memory banks",
                None,
                done=self.num_arrived,
                unit="samples",
                verbose=self._verbose,
            )
            self._progress.say(
                "Filling the memory banks before the first batch: up to "
                f"{max(self._min_count, 1)} samples of each of {num_classes} "
                "classes."
            )
        self._progress.update(
            self.num_arrived, f"; {num_ready} of {num_classes} classes ready"
        )

    def _check(self, counts):
        """Refuses classes that have not arrived; warns of those with few."""
        missing = np.flatnonzero(counts == 0)
        num_present = len(counts) - len(missing)
        if len(missing) and (
            self._min_count or num_present < self._min_classes
        ):
            shown = ", ".join(map(str, missing[:10]))
            shown += ", ..." if len(missing) > 10 else ""
            raise ValueError(
                f"{len(missing)} of {len(counts)} classes have not arrived "
                f"among the first {self.num_arrived} samples of the stream: "
                f"{shown}. Shuffle the stream if it is sorted by class; make "
                "`num_classes` one more than the largest label; or start "
                "without them, with `warm_up=0` and fewer `groups_per_batch`. "
                f"Received: num_classes={len(counts)}, "
                f"groups_per_batch={self._min_classes}"
            )
        few = np.flatnonzero(counts < self._min_count)
        if len(few):
            user_warnings.warn(
                f"{len(few)} of {len(counts)} classes have fewer than "
                f"warm_up={self._min_count} of the first {self.num_arrived} "
                f"samples of the stream, class {few[0]} only "
                f"{counts[few[0]]}. Their first groups show samples more than "
                "once."
            )

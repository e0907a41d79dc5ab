"""Files of images that cannot be read: named once, and counted."""

import numpy as np

from keras_drift import user_warnings


class UnreadableFiles:
    """Names each unreadable file in a warning, and limits their share.

    Args:
        paths: list of str, of all images.
        labels: int array, the class of each image.
        class_names: list of str.
        largest_share: float from 0 to 1, `unreadable_share` of `ImageFolder`.

    Attributes:
        reasons: dict from path to reason, of the files found so far.
    """

    def __init__(self, paths, labels, class_names, largest_share):
        self.reasons = {}
        self._paths = paths
        self._labels = labels
        self._class_names = class_names
        self._largest_share = largest_share
        self._readable_counts = np.bincount(labels)

    def report(self, indices, reasons):
        """Records unreadable files, and names those that are new.

        Args:
            indices: ints, which images they are.
            reasons: list of str.

        Raises:
            ValueError: if a larger share of all files is unreadable.
        """
        for index, reason in zip(indices, reasons, strict=True):
            path = self._paths[index]
            if path in self.reasons:
                continue
            self.reasons[path] = reason
            label = self._labels[index]
            self._readable_counts[label] -= 1
            user_warnings.warn(
                f"Skipped an unreadable image, {len(self.reasons)} of "
                f"{len(self._paths)} so far: {path}: {reason}."
            )
            if not self._readable_counts[label]:
                user_warnings.warn(
                    f"No image of the class {self._class_names[label]!r} is "
                    "readable."
                )
        self._check_share()

    def _check_share(self):
        unreadable, total = len(self.reasons), len(self._paths)
        if unreadable <= self._largest_share * total and unreadable < total:
            return
        named = [
            f"{path}: {reason}"
            for path, reason in list(self.reasons.items())[:5]
        ]
        raise ValueError(
            f"{unreadable} of {total} images are unreadable, a larger share "
            f"than `unreadable_share` allows: {'; '.join(named)}"
            f"{'; ...' if unreadable > len(named) else ''}. Repair or remove "
            "them (the attribute `unreadable` has all found so far), or raise "
            "`unreadable_share`. Received: "
            f"unreadable_share={self._largest_share}"
        )

"""Training data: toys, digits, image folders, latents, groups, banks."""

from keras_drift.datasets.arrays.array_dataset import ArrayDataset
from keras_drift.datasets.banks.banked_dataset import BankedDataset
from keras_drift.datasets.banks.memory_bank import MemoryBank
from keras_drift.datasets.grouped.grouped_dataset import GroupedDataset
from keras_drift.datasets.images.image_folder import ImageFolder
from keras_drift.datasets.latents.latent_cache import LatentCache
from keras_drift.datasets.toys.digits import digits
from keras_drift.datasets.toys.gaussian_mixture import GaussianMixture
from keras_drift.datasets.toys.two_dimensional import TOYS
from keras_drift.datasets.toys.two_dimensional import checkerboard
from keras_drift.datasets.toys.two_dimensional import eight_gaussians
from keras_drift.datasets.toys.two_dimensional import pinwheel
from keras_drift.datasets.toys.two_dimensional import spirals
from keras_drift.datasets.toys.two_dimensional import swiss_roll
from keras_drift.datasets.toys.two_dimensional import twenty_five_gaussians
from keras_drift.datasets.toys.two_dimensional import two_moons

__all__ = [
    "TOYS",
    "ArrayDataset",
    "BankedDataset",
    "GaussianMixture",
    "GroupedDataset",
    "ImageFolder",
    "LatentCache",
    "MemoryBank",
    "checkerboard",
    "digits",
    "eight_gaussians",
    "pinwheel",
    "spirals",
    "swiss_roll",
    "twenty_five_gaussians",
    "two_moons",
]

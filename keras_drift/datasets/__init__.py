"""Training data: toys, digits, image folders, latents, groups, banks."""

from keras_drift.datasets.array_dataset import ArrayDataset
from keras_drift.datasets.banked_dataset import BankedDataset
from keras_drift.datasets.digits import digits
from keras_drift.datasets.gaussian_mixture import GaussianMixture
from keras_drift.datasets.grouped_dataset import GroupedDataset
from keras_drift.datasets.image_folder import ImageFolder
from keras_drift.datasets.latent_cache import LatentCache
from keras_drift.datasets.memory_bank import MemoryBank
from keras_drift.datasets.toys import TOYS
from keras_drift.datasets.toys import checkerboard
from keras_drift.datasets.toys import eight_gaussians
from keras_drift.datasets.toys import pinwheel
from keras_drift.datasets.toys import spirals
from keras_drift.datasets.toys import swiss_roll
from keras_drift.datasets.toys import twenty_five_gaussians
from keras_drift.datasets.toys import two_moons

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

"""Data sets on the host, and loaders that hand out their batches on any backend.

NumPy is all that importing this needs; Pillow reads PNG and JPEG files, and pooch fetches, where they are asked to.
"""

from __future__ import annotations

from portml.data import text
from portml.data.archive import load_npz
from portml.data.classification import ClassificationData
from portml.data.dataset import ArrayDataset, Dataset
from portml.data.digits import load_digits
from portml.data.idx import load_fashion_mnist, load_mnist, read_idx
from portml.data.images import load_image, load_image_folder
from portml.data.loader import DataLoader
from portml.data.make_blobs import make_blobs
from portml.data.make_classification import make_classification
from portml.data.make_dates import make_dates
from portml.data.make_moons import make_moons
from portml.data.make_regression import make_regression
from portml.data.pixels import to_image_shape
from portml.data.registry import DATASETS, load_dataset
from portml.data.resize import resize_bilinear
from portml.data.split import every_fifth_of_each_class, random_split, stratified_split
from portml.data.table import Table, read_table
from portml.data.weights import load_weights, read_pytorch

__all__ = [
    "DATASETS",
    "ArrayDataset",
    "ClassificationData",
    "DataLoader",
    "Dataset",
    "Table",
    "every_fifth_of_each_class",
    "load_dataset",
    "load_digits",
    "load_fashion_mnist",
    "load_image",
    "load_image_folder",
    "load_mnist",
    "load_npz",
    "load_weights",
    "make_blobs",
    "make_classification",
    "make_dates",
    "make_moons",
    "make_regression",
    "random_split",
    "read_idx",
    "read_pytorch",
    "read_table",
    "resize_bilinear",
    "stratified_split",
    "text",
    "to_image_shape",
]

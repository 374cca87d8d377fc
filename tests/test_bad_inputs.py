"""Bad input of every kind is one clear line: on the command line with exit status 2, in Python a BrittleError."""

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from conftest import Run
from odd_files import odd_files

NET, DIGITS = "net.safetensors", "--data digits"
BAD: dict[str, tuple[str, str]] = {}  # what is wrong -> the command, and what its line says

# models: each verb meets each kind of sick model
VERBS = {
    "attack": "attack odd:{} --data digits -n 5 --steps 2 --threat L2:1",
    "audit": "audit odd:{} --data digits -n 20 --effort smoke --threat L2:1",
    "curvature": "curvature odd:{} --data digits -n 5 --threat L2:1",
    "features": "features odd:{} --data digits -n 40 --steps 1 --threat L2:1",
    "disentangle": "disentangle odd:{} --data digits -n 40 --steps 2 --make D_rand --threat L2:1",
    "verify": "verify v-good.npz odd:{} --data digits --threat L2:1",
}
SICK = {
    "Raises": "fails on images",
    "InPlace": ("writes into the images", "in-place operation"),
    "Nan": "NaN",
    "Half": "rows of logits",
    "Three": "has 3 classes",
    "Rgb": "fails on images",
}
BACKWARD = {"Backless": "You must implement either the backward", "Backfires": "backward pass fails: no way back"}
MORE = {
    "Exits": "fails on images",
    "Nothing": "not NoneType",
    "Text": "not str",
    "Twice": "rows of logits",
    "Floats": "not torch.float32 of shape [20]",
    "Ints": "not torch.int64",
    "Bools": "not torch.bool",
    "Cube": "of shape",
    "Array": "not ndarray",
    "Negative": "must answer one of at least 0",
    "Huge": "must answer one of at least 0",
    "Meta": "holds no numbers yet",
    "Lazy": "holds no numbers yet",
    "Wide": "calling it failed",
    "two": "fails on images",
    "none": "no model",
    "nan": "NaN",
    "three": "classes",
    "picky": "fails on images",
    "NoRepr": "looking at it failed (ValueError: no words)",
    "NoState": "looking at it failed (ValueError: no words)",
    "NoName": "looking at it failed (ZeroDivisionError",
    "Surrogate": r"\ud800\x1b[31m red",
}
BAD |= {f"{verb} of {kind}": (words.format(kind), said) for verb, words in VERBS.items() for kind, said in SICK.items()}
BAD |= {
    f"{verb} of {kind}": (VERBS[verb].format(kind), said)
    for verb in ("attack", "curvature", "features", "disentangle")
    for kind, said in BACKWARD.items()
}
BAD |= {f"audit of {kind}": (VERBS["audit"].format(kind), said) for kind, said in MORE.items()}
BAD["attack of Floats"] = (VERBS["attack"].format("Floats"), "one logit for each image is [batch, 1]")
for what, said in {"d-28": "fails on images", "d-rgb": "fails on images", "d-classes": "has 10 classes"}.items():
    on = f"{NET} --data tensors:{what}.safetensors --threat L2:1"
    BAD |= {
        f"attack on {what}": (f"attack {on}", said),
        f"audit on {what}": (f"audit {on}", said),
        f"curvature on {what}": (f"curvature {on}", said),
        f"features on {what}": (f"features {on}", said),
        f"logits on {what}": (f"features --kind logits {on}", said),
        f"D_NR on {what}": (f"disentangle {on}", said),
        f"D_mis on {what}": (f"disentangle --make D_mis {on}", said),
    }
BAD |= {
    "verify on other images": (f"verify v-good.npz {NET} --data tensors:d-28.safetensors --threat L2:1", "of shape"),
    "no such model file": ("audit nothing.safetensors", "no file"),
    "model that is none": ("audit nothing", "is no model"),
    "empty model": ("doctor '' --data digits", "is no model"),
    "pickled model": ("audit pickle.pt --data digits", "module:callable"),
    "empty program": ("doctor empty.pt --data digits", "neither TorchScript nor torch.export"),
    "text for a model": ("doctor text.txt --data digits", "neither TorchScript nor torch.export"),
    "trusted file that is not there": ("doctor trusted:nothing.pt2 --data digits", "no file"),
    "module that is not there": ("doctor absent_module:net --data digits", "no module"),
    "module whose import is not there": ("doctor broken_import:net --data digits", "not_there_at_all"),
    "module that crashes": ("doctor crash_import:net --data digits", "ZeroDivisionError"),
    "module that exits": ("doctor exit_import:net --data digits", "SystemExit"),
    "module of bad syntax": ("doctor syntax_import:net --data digits", "SyntaxError"),
    "name that is not in the module": ("doctor odd:net --data digits", "has no 'net'"),
    "name that is no model": ("doctor odd:number --data digits", "no model"),
    "no name": ("doctor odd: --data digits", "has no ''"),
    "no module": ("doctor :Net --data digits", "importing it failed"),
    "class that cannot be built": ("doctor odd:Fails --data digits", "calling it failed"),
    "weights that are not there": ("doctor odd:Net --weights w.pth --data digits", "no file"),
    "weights that are no tensors": ("doctor odd:Net --weights odd.pth --data digits", "no state dict"),
    "weights that do not fit": ("doctor odd:Net --weights foreign.safetensors --data digits", "does not fit"),
    "pickled weights": ("doctor odd:Net --weights pickle.pt --data digits", "nothing pickled is run"),
    "empty weights": ("doctor odd:Net --weights empty.pt --data digits", "cannot be read as plain weights"),
    "weights for a function": ("doctor odd:nan --weights foreign.safetensors --data digits", "no torch.nn.Module"),
    "weights beside a checkpoint": (f"audit {NET} --weights foreign.safetensors", "weights of its own"),
    "weights beside a program": ("audit pickle.pt --weights odd.pth --data digits", "weights of its own"),
    "unknown module to pass": (f"attack {NET} -n 5 --bpda nowhere", "no module 'nowhere'"),
    "function to pass through": ("attack odd:three --data digits --bpda l", "must be an nn.Module"),
}

# checkpoints
HEADERS = {
    "text": "not a whole safetensors file",
    "none": "not a whole safetensors file",
    "cut": "not a whole safetensors file",
    "head": "not a whole safetensors file",
    "folder": "not a whole safetensors file",
    "foreign": "with --weights foreign.safetensors (in Python weights=FILE)",
    "header-null": "not written by brittle",
    "header-list": "not written by brittle",
    "header-number": "not written by brittle",
    "header-text": "not written by brittle",
    **{f"{key}-lost": "missing required field" for key in ("net", "shape", "classes", "mean")},
    **{f"{key}-null": f"$.{key}" for key in ("net", "shape", "classes", "name", "threats")},
    "format-null": "not a net",
    **{f"{key}-list": f"$.{key}" for key in ("net", "shape", "mean", "name", "history", "epochs")},
    **{f"{key}-text": f"$.{key}" for key in ("shape", "classes", "std", "history", "epochs")},
    "net-text": "no net is called",
    **{f"{key}-number": f"$.{key}" for key in ("net", "shape", "classes", "name", "threats", "goal")},
    "shape-other": "does not fit its own description",
    "shape-float": "$.shape",
    "shape-negative": "$.shape",
    "shape-flat": "$.shape",
    "classes-few": "does not fit its own description",
    "data-other": "no data set is called 'nowhere'",
    "tensors-lost": "does not fit its own description",
    "tensors-more": "does not fit its own description",
    "tensors-nan": "NaN",
}
BAD |= {f"checkpoint {name}": (f"attack {name}.safetensors -n 5 --steps 1", said) for name, said in HEADERS.items()}

# data
TENSORS = {
    "d-tiny": "too small",
    "d-nothing": "have no pixels",
    "d-flat": "[N, C, H, W]",
    "d-bright": "[0, 1]",
    "d-dark": "[0, 1]",
    "d-nan": "NaN",
    "d-int": "uint8",
    "d-float-labels": "int64",
    "d-negative-labels": "out of range",
    "d-huge-labels": "out of range",
    "d-fewer-labels": "50 labels",
    "d-one-class": "two classes",
    "d-empty": "cannot be learned from",
    "d-three": "too few images",
    "d-class-text": "JSON list",
    "d-class-few": "out of range",
    "d-test-shape": "one size",
    "d-test-empty": "no images",
    "d-unlabelled": "labels",
    "text": "not a safetensors file",
    "nothing": "no file",
    NET.removesuffix(".safetensors"): "no 'images' in it",
}
FOLDERS = {
    "nowhere": "no folder",
    NET: "no folder",
    "empty": "no class folders",
    "one-class": "only one class folder",
    "no-pictures": "no pictures",
    "sixteen": "mode I;16",
    "cut": "not a picture",
    "sizes": "bring all to one size",
}
MADE = {
    **{f"made-no-{key}": f"`{key}`" for key in ("classes", "set", "data")},
    "made-no-format": "not a made set",
    **{f"made-null-{key}": f"$.{key}" for key in ("classes", "set", "data")},
    **{f"made-no-{key}": f"'{key}'" for key in ("images", "labels", "test_images", "test_labels")},
    "made-list": "not written by brittle",
    "made-float": "uint8",
    "made-one": "make more",
    "released-pickle": "nothing pickled is run",
    "released-empty": "0 images",
    "empty": "no file",
    "nowhere": "no file",
    NET: "not a made set",
    "text.txt": "not a whole safetensors file",
}
BAD |= {
    f"tensors {name}": (f"train --data tensors:{name}.safetensors --net small", said) for name, said in TENSORS.items()
}
BAD |= {f"folder {name}": (f"train --data folder:{name} --net linear", said) for name, said in FOLDERS.items()}
BAD |= {f"set {name}": (f"train --data made:{name} --net linear", said) for name, said in MADE.items()}
BAD |= {
    "no data set said": ("audit odd:Net", "--data"),
    "unknown data set": ("audit odd:Net --data digitz", "did you mean digits"),
    "no name of data": ("data ''", "no data set is called ''"),
    "path that is none": ("data folder:", "no data set is called 'folder:'"),
    "path where there is none": ("data digits:x", "no data set is called 'digits:x'"),
    "data folder that is not there": ("data mnist --data-dir nowhere", "does not exist"),
    "data folder that is a file": (f"doctor {NET} --data-dir {NET}", "is a file"),
    "size of what has no pictures": ("data digits --size 8", "--size is for pictures"),
    "severity of 0": ("data npz:u64.npz@0", "at least 1, not 0"),
    "idx of text": ("data mnist --data-dir idx-text", "magic number"),
    "idx that is cut": ("data mnist --data-dir idx-cut", "truncated"),
    "no usual threats": (f"audit {NET} --data tensors:fine.safetensors", "say what to withstand"),
}

# threats
THREATS = {
    "Linf": "KIND:SIZE",
    "''": "KIND:SIZE",
    ":1": "KIND:SIZE",
    "L3:1": "not 'L3:1'",
    "Linf:": "eps",
    "Linf:-1": "eps",
    "Linf:nan": "eps",
    "Linf:inf": "eps",
    "Linf:tiny": "eps",
    "L2:8/0": "eps",
    "L2:1/2/3": "eps",
    "L2:1e300": "eps",
    "L2:1e-400": "rounds to 0",
    "'Linf:eval(1)'": "eps",
    "Linf:8": "write Linf:8/255",
    "Linf:1.5": "whole range",
    "L0:1.5": "counts pixels",
    "L0:-1": "counts pixels",
    "L0:99999999999999999999": "counts pixels",
    "Spatial:30": "Spatial:DEGREES,PIXELS",
    "Spatial:-1,2": "at least 0",
    "Spatial:nan,2": "at least 0",
    "Spatial:1e9,1e9": "more than can be tried",
}
BAD |= {f"threat {text}": (f"audit {NET} --threat {text}", said) for text, said in THREATS.items()}
BAD |= {
    f"two threats for {verb}": (f"{verb} --threat L2:1 --threat L2:2", "one --threat at a time")
    for verb in (f"attack {NET}", f"features {NET}", f"curvature {NET}", f"disentangle {NET}", "export run a.npz")
}
BAD |= {
    "gradients in rotations": (f"attack {NET} --threat Spatial:30,3", "does not work in Spatial:30,3"),
    "usefulness in rotations": (f"features {NET} -n 40 --threat Spatial:30,3", "does not work in Spatial:30,3"),
    "curvature in pixels": (f"curvature {NET} -n 5 --threat L0:3", "does not work in L0:3"),
    "set in rotations": (f"disentangle {NET} --make D_rand --threat Spatial:30,3", "does not work in Spatial:30,3"),
    "training in rotations": (
        "train --data digits --goal adversarial --threat Spatial:30,3",
        "does not work in Spatial:30,3",
    ),
}

# attacks
ATTACKS = {
    "magic": "no attack is called 'magic'",
    "''": "no attack is called ''",
    "pgd:draws=3": "has no 'draws'",
    "pgd:seed=3": "has no 'seed'",
    "pgd:steps": "NAME:SETTING=VALUE",
    "pgd:steps=": "steps must be at least 1",
    "pgd:steps=x": "steps must be at least 1",
    "pgd:steps=1.5": "steps must be at least 1",
    "pgd:steps=-3": "steps must be at least 1",
    "pgd:steps=3,steps=4": "stands twice",
    "pgd:step=x": "step must be a number",
    "pgd:step=nan": "step must be a number",
    "pgd:step=inf": "step must be a number",
    "pgd:step=-1": "step must be a number",
    "pgd:step=0": "longer than 0",
    "pgd:start=7": "start is",
    "pgd:loss=rage": "rage",
    "mm:targets=0": "targets must be at least 1",
    "mm:targets=x": "targets must be at least 1",
    "square:queries=0": "queries must be at least 1",
    "square:share=-1": "share must be",
    "square:share=2": "share must be",
    "random:draws=0": "draws must be at least 1",
    "second_order:sigma=-1": "sigma must be",
    "second_order:clamp=x": "clamp is one of",
    "pdpgd:ratio=0": "ratio must be",
    "grid": "does not work in L2:1",
}
BAD |= {f"attack {text}": (f"attack {NET} -n 5 --threat L2:1 --attack {text}", said) for text, said in ATTACKS.items()}
BAD |= {
    "no steps": (f"attack {NET} --steps 0", "at least 1"),
    "negative steps": (f"attack {NET} --steps -1", "at least 1"),
    "steps in parts": (f"attack {NET} --steps 1.5", "--steps"),
    "negative step": (f"attack {NET} --step -1", "step must be a number"),
    "step that is none": (f"attack {NET} --step nan", "step must be a number"),
    "endless step": (f"attack {NET} --step inf", "step must be a number"),
    "step of no length": (f"attack {NET} -n 5 --step 0", "longer than 0"),
    "unknown start": (f"attack {NET} --start 'upside down'", "start is"),
    "unknown loss": (f"attack {NET} --loss rage", "rage"),
    "setting that stands twice": (f"attack {NET} --attack pgd:steps=5 --steps 10", "steps stands twice"),
    "loss that stands twice": (f"attack {NET} --attack pgd:loss=dlr --loss dlr", "loss stands twice"),
    "setting of another attack": (f"attack {NET} --attack square --steps 4", "has no 'steps'"),
    "unknown attack beside an audit": (f"audit {NET} --with magic", "no attack is called 'magic'"),
    "attack beside that works nowhere": (
        f"audit {NET} -n 5 --effort smoke --threat L2:1 --with grid",
        "'grid' does not work in L2:1",
    ),
}

# training
TRAINING = {
    "--epochs many": "epochs",
    "--epochs 0": "epochs > 0",
    "--epochs -1": "epochs > 0",
    "--epochs nan": "epochs > 0",
    "--epochs inf": "epochs > 0",
    "--batch 0": "batch >= 1",
    "--batch 1.5": "--batch",
    "--batch 1 --net vgg16": "take another --batch",
    "--lr 0": "lr > 0",
    "--lr -1": "lr > 0",
    "--lr nan": "lr > 0",
    "--lr 1e300": "lr > 0",
    "--weight-decay -1": "weight_decay >= 0",
    "--weight-decay nan": "weight_decay >= 0",
    "--weight-decay inf": "weight_decay >= 0",
    "--averaging 1": "averaging < 1",
    "--averaging -0.1": "averaging < 1",
    "--averaging nan": "averaging < 1",
    "--optimizer lion": "unknown",
    "--schedule wild": "unknown",
    "--precision double": "unknown",
    "--net brain": "no net",
    "--net trades": "too small",
    "--goal fame": "no goal",
    "--goal adversarial": "--threat",
    "--threat L2:1": "--goal adversarial",
    "--ramp 0.5": "no ramp",
    "--inner pgd": "attacks nothing",
    "--weight 1": "no weight",
    f"--static {NET}": "drop --static",
    "--seed -1": "--seed",
    "--seed 99999999999999999999999": "--seed",
    "--seed x": "--seed",
    "--out .": "is a folder",
    "--out ''": "--out",
    f"--out {NET}/x": "it is no folder",
    "--device quantum": "try --device cpu",
    "--device meta": "try --device cpu",
    "--device cuda:99": "try --device cpu",
}
ADVERSARIAL = {
    "--steps 0": "at least 1",
    "--steps x": "--steps",
    "--step 0": "above 0",
    "--step -1": "above 0",
    "--step nan": "above 0",
    "--step inf": "above 0",
    "--start nowhere": "start is",
    "--inner x": "no attack is called 'x'",
    "--inner fgsm --steps 5": "has no steps",
    "--ramp -1": "share of training",
    "--ramp 2": "share of training",
    "--ramp nan": "share of training",
    "--goal avg --weight 2": "no weight",
    "--goal trades --weight -1": "weight of TRADES",
    "--goal trades --weight nan": "weight of TRADES",
    "--goal trades --weight inf": "weight of TRADES",
    "--goal atda --weight -1": "weight of ATDA",
    "--goal ensemble --weight 2": "between 0 and 1",
    "--goal ensemble": "--static NET",
    "--goal ensemble --static nothing.safetensors": "no file",
    "--goal ensemble --static odd:Rgb": "does not fit these data",
    "--goal ensemble --static odd:Three": "has 3 classes",
    "--goal ensemble --static odd:nan": "must be a module",
}
BAD |= {f"training {text}": (f"train {DIGITS} --net linear {text}", said) for text, said in TRAINING.items()}
BAD |= {
    f"training against attacks {text}": (
        f"train {DIGITS} --net linear --goal adversarial --threat L2:1 {text}",
        said,
    )
    for text, said in ADVERSARIAL.items()
}

# counts, budgets, seeds, devices, places
AUDITS = {
    "-n 0": "-n",
    "-n -5": "-n",
    "-n 1.5": "-n",
    "-n abc": "-n",
    "-n ''": "-n",
    "--at-least most": "60% or 0.6",
    "--at-least 160%": "60% or 0.6",
    "--budget soon": "90s",
    "--budget 0": "90s",
    "--budget 0s": "90s",
    "--budget=-1": "90s",
    "--budget nan": "90s",
    "--budget ''": "90s",
    "--effort heroic": "no effort",
    "--batch 0": "batch",
    "--batch 99999999999999999999": "batch",
    "--batch x": "batch",
    "--seed -1": "--seed",
    "--seed 99999999999999999999999": "--seed",
    "--seed 1e3": "--seed",
    "--out ''": "--out",
    "--reject=-1": "--reject",
    "--device quantum": "try --device cpu",
    "--device meta": "try --device cpu",
    "--device ''": "try --device cpu",
    f"--out {NET} -n 5 --effort smoke --threat Linf:0": "cannot be written",
    f"--out {NET}/x -n 5 --effort smoke --threat Linf:0": "cannot be written",
    "--out /proc/x -n 5 --effort smoke --threat Linf:0": "cannot be written",
}
BAD |= {f"audit with {text}": (f"audit {NET} {text}", said) for text, said in AUDITS.items()}
BAD |= {
    "unknown verb": ("conquer", "No such command"),
    "unknown option": ("nets --colour", "No such option"),
    "missing argument": ("export", "Missing argument"),
    "audit of nothing": ("audit", "say which model"),
    "quickstart on anything": ("quickstart --data cifar10", "quickstart knows"),
    "quickstart in a file": (f"quickstart --out {NET}", "it is no folder"),
    "place of a quickstart": ("quickstart --seed -1", "--seed"),
    "seed of curvature": (f"curvature {NET} -n 5 --seed -1", "--seed"),
    "seed of features": (f"features {NET} --seed -1", "--seed"),
    "seed of a set": (f"disentangle {NET} --seed -1", "--seed"),
    "place of an attack": (f"attack {NET} -n 5 --steps 1 --out {NET}", "cannot be written"),
    "unknown kind of features": (f"features {NET} --kind colours", "of the kind"),
    "unknown layer": (f"features {NET} -n 40 --layer nowhere", "no layer is called"),
    "layer without a name": (f"features {NET} -n 40 --layer ''", "no layer is called ''"),
    "layer of logits": (f"features {NET} --layer 1 --kind logits", "a layer is for units"),
    "few images for features": (f"features {NET} -n 19", "20 images at least"),
    "features without end": (f"features {NET} --kind random --count 9999999999999", "not enough memory"),
    "set of test images alone": ("disentangle odd:Net --data npz:u64.npz --threat L2:1", "holds no images"),
    "no features": (f"features {NET} --kind random --count 0", "--count"),
    "no layer to read": ("features odd:Rgb --data tensors:d-rgb.safetensors --threat L2:1", "name a layer"),
    "unknown set": (f"disentangle {NET} --make D_what", "no set is called"),
    "set of one image": (f"disentangle {NET} -n 1 --steps 1", "at least 2 images"),
    "no steps of a set": (f"disentangle {NET} --steps 0", "steps >= 1"),
    "step of a set": (f"disentangle {NET} --step nan", "step > 0"),
    "endless step of a set": (f"disentangle {NET} --step inf", "step > 0"),
    "start of a set": (f"disentangle {NET} --start upside", "starts from"),
    "layer of a set": (f"disentangle {NET} -n 40 --steps 1 --layer nowhere", "no layer is called"),
    "layer where there is none": (f"disentangle {NET} --make D_rand --layer 1", "has no --layer"),
    "no copies": (f"disentangle {NET} --make D_rand --copies 0", "at least 1"),
    "copies that are the same": (f"disentangle {NET} --make D_rand --copies 3 -n 40", "leave copies at 1"),
    "other model where there is none": (f"disentangle {NET} --other {NET}", "--other is for"),
    "other model of other images": (f"disentangle {NET} --make D_rand --other odd:Rgb -n 40", "fails on images"),
    "other model of few classes": (f"disentangle {NET} --make D_rand --other odd:Three -n 40", "has 3 classes"),
    "unknown paper": ("paper nobody2020", "no paper is called"),
    "unknown scale": ("paper li2019 --scale huge", "no scale is called"),
    "data of another paper": ("paper li2019 --scale smoke --data digits", "own data"),
    "no seeds": ("paper li2019 --seeds 0", "--seeds"),
    "seed of a paper": ("paper li2019 --seed -1", "--seed"),
    "no jobs": ("paper li2019 --jobs 0", "--jobs"),
}

# judging, exporting, reporting, theory
ARRAYS = {
    "two.npz": "--key",
    "shape.npz": "of shape",
    "rgb.npz": "of shape",
    "nan.npz": "not finite",
    "many.npz": "5000 adversarial images",
    "none.npz": "0 adversarial images",
    "int.npz": "not torch.int64",
    "complex.npz": "not torch.complex64",
    "words.npz": "cannot be read as arrays",
    "labels.npz": "not those of the test images",
    "indices.npz": "at indices 77",
    "parts.npz": "no whole numbers",
    "objects.npz": "nothing pickled is run",
    "nothing.npz": "--key",
    "cut.npz": "cannot be read as arrays",
    "scalar.npy": "of shape",
    "none.npy": "cannot be read as arrays",
    "lost.npz": "no file",
}
BAD |= {f"arrays {name}": (f"verify v-{name} {NET} --threat L2:1", said) for name, said in ARRAYS.items()}
BAD |= {
    "arrays of another kind": (f"verify text.txt {NET}", "arrays are read from"),
    "key that is not there": (f"verify v-good.npz {NET} --key nothing", "no array 'nothing'"),
    "run that is not there": ("report nowhere", "no finished audit"),
    "run that is a file": (f"report {NET}", "cannot be read"),
    "damaged run": ("report done", "damaged"),
    "run of another version": ("report run-format", "brittle-audit/99"),
    "run without threats": ("report run-threats", "damaged"),
    "run of odd figures": ("export run-clean a.csv", "damaged"),
    "run of odd examples": ("export run-examples a.csv", "damaged"),
    "run of an odd verdict": ("export run-verdict a.md", "damaged"),
    "run that lost its circumstances": ("report run-lost", "damaged"),
    "run of damaged images": ("report run-images", "damaged"),
    "paper that is damaged": ("report run-paper", "holds no whole paper"),
    "page in no place": (f"report run --out {NET}/x.html", "cannot be written"),
    "export of nothing": ("export nowhere a.csv", "no finished audit"),
    "export to anything": ("export run a.docx", "is exported to .csv"),
    "export to nothing": ("export run ''", "is exported to .csv"),
    "export in no threat": ("export run a.npz --threat L1:1", "L1:1 was not audited"),
    "export in no place": (f"export run {NET}/x.csv", "cannot be written"),
    "again from nothing": ("audit --again nowhere", "cannot be read"),
    "again with a threat": ("audit --again nowhere --threat L2:1", "takes threats"),
    "again from a file": (f"audit --again {NET}", "damaged"),
    "again from a damaged run": ("audit --again done", "damaged"),
    "again from Python's run": ("audit --again run", "brittle audit MODEL --data DATA --again run"),
    "again on no data": ("audit odd:Net --again run", "say on which data set: --data"),
    "again from an old run": ("audit --again run-old", "does not say how it was asked for"),
    "again of a model that is gone": ("audit --again run-model", "no file nowhere.safetensors"),
    "again with an odd effort": ("audit --again run-effort", "no effort"),
    "again with an odd attack": ("audit --again run-attack", "no attack is called 'magic'"),
}
GAUSSIAN = {
    "--eps -1": "at least 0",
    "--eps nan": "at least 0",
    "--eps inf": "at least 0",
    "--eps x": "--eps takes",
    "--eps 1/0": "--eps takes",
    "--eps ''": "--eps takes",
    "--mu x": "--mu takes",
    "--mu ''": "--mu takes",
    "--mu 0,0": "mu is 0",
    "--mu nan,1": "NaN",
    "--mu 1,2,3": "3 entries",
    "--sigma ''": "--sigma takes",
    "--sigma 1": "rows",
    "--sigma 1,-1": "positive definite",
    "--sigma nan,1": "NaN",
    "--sigma 1,2 --covariance c-flat.json": "leave out one",
    "-n 1 --simulate": "-n",
    "--seed -1 --simulate": "--seed",
    f"--out {NET}": "cannot be written",
    "--covariance c-text.json": "no matrix",
    "--covariance c-flat.json": "no matrix",
    "--covariance c-null.json": "no matrix",
    "--covariance c-huge.json --mu 1,0": "beyond 1e+301",
    "--eps 1e308": "at most 1e+300",
    "--simulate -n 99999999999999": "not enough memory",
    "--covariance c-nan.json": "NaN",
    "--covariance c-negative.json": "positive definite",
    "--covariance c-askew.json": "symmetric",
    "--covariance c-deep.json": "no matrix",
    "--covariance c-wide.csv": "as many columns as rows",
    "--covariance c-words.csv": "no matrix",
    "--covariance c-none.csv": "as many columns as rows",
    "--covariance lost.csv": "cannot be read",
    "--covariance empty": "cannot be read",
}
BAD |= {f"gaussian {text}": (f"gaussian {text}", said) for text, said in GAUSSIAN.items()}

ATTACK = f"attack {NET} -n 5 --steps 1"
PLACES: dict[str, tuple[dict[str, str], str, str]] = {  # variables of the environment, the command, what its line says
    "store that is a file": ({"BRITTLE_STORE": NET}, ATTACK, "set BRITTLE_STORE"),
    "store inside a file": ({"BRITTLE_STORE": f"{NET}/x"}, ATTACK, "set BRITTLE_STORE"),
    "store that cannot be written": ({"BRITTLE_STORE": "/proc/x"}, ATTACK, "set BRITTLE_STORE"),
    "home that cannot be written": ({"BRITTLE_STORE": "", "XDG_CACHE_HOME": "/proc/x"}, ATTACK, "set BRITTLE_STORE"),
    "no home": ({"BRITTLE_STORE": "", "XDG_CACHE_HOME": "", "HOME": "~"}, ATTACK, "no home folder"),
    "no home for data": ({"XDG_CACHE_HOME": "", "HOME": "~"}, "data mnist", "no home folder"),
    "no home for training": (
        {"BRITTLE_STORE": "", "XDG_CACHE_HOME": "", "HOME": "~"},
        "train --data digits --net linear",
        "no home folder",
    ),
    "data folder that is a file": ({"BRITTLE_DATA": NET}, "data cifar10.1 --data-dir empty", "cifar10.1"),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The odd files, made once."""
    path = tmp_path_factory.mktemp("odd")
    odd_files(path)
    return path


@pytest.fixture
def here(folder: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> Run:
    """`run` among the odd files, without a network."""
    monkeypatch.chdir(folder)
    monkeypatch.setattr(
        "urllib.request.OpenerDirector.open", lambda *_, **__: (_ for _ in ()).throw(OSError("no network"))
    )
    return run


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", BAD)
def test_bad_input_is_one_clear_line_and_status_2(kind: str, here: Run) -> None:
    words, said = BAD[kind]
    refused(here(*shlex.split(words)), said)


def refused(ended: tuple[int, str, str], said: str | tuple[str, ...]) -> None:
    status, out, err = ended
    last = err.strip().splitlines()[-1]
    assert status == 2, (out, err)
    assert out == ""
    assert last.startswith("error: ")
    assert any(one in last for one in ((said,) if isinstance(said, str) else said)), last
    assert "Traceback" not in err


@pytest.mark.parametrize("kind", PLACES)
def test_places_that_cannot_be_used_are_one_clear_line(
    kind: str, here: Run, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    variables, words, said = PLACES[kind]
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    refused(here(*shlex.split(words)), said)


def test_a_store_may_be_written_relative_to_where_one_is(
    run: Run, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BRITTLE_STORE", "results")
    status, _, err = run("attack", str(folder / NET), "-n", "5", "--steps", "1")
    assert status == 0, err
    assert list((tmp_path / "results").glob("*/*/attack.json"))


FORGED = {
    "wrong digest": lambda entry: entry | {"files": dict.fromkeys(entry["files"], "0" * 64)},
    "no files": lambda entry: entry | {"files": {}},
    "file that is not there": lambda entry: entry | {"files": entry["files"] | {"more.json": "0" * 64}},
    "files that are none": lambda entry: entry | {"files": None},
    "another node": lambda entry: entry | {"declaration": entry["declaration"] | {"n": 6}},
    "no declaration": lambda entry: {"files": entry["files"]},
    "a list": lambda entry: [entry],
    "text": lambda entry: "hello",
}


@pytest.mark.parametrize("kind", FORGED)
def test_a_forged_entry_of_the_store_is_computed_again(kind: str, here: Run, tmp_path: Path) -> None:
    words = shlex.split(f"{ATTACK} --json")
    status, out, err = here(*words)
    assert status == 0, err
    (entry,) = (tmp_path / "store").glob("*/*/entry.json")
    entry.write_text(json.dumps(FORGED[kind](json.loads(entry.read_text()))))
    status, again, err = here(*words)
    assert status == 0
    assert "was damaged" in err
    assert json.loads(again)["robust"] == json.loads(out)["robust"]
    assert "damaged" not in here(*words)[2]


def test_more_images_than_there_are_is_said(here: Run) -> None:
    status, out, err = here(*shlex.split(f"attack {NET} --data tensors:fine.safetensors --threat L2:0 -n 99 --steps 1"))
    assert status == 0
    (there,) = re.findall(r"note: (\d+) images are there, and all are taken", err)
    assert f"of {there} withstand" in out


@pytest.mark.parametrize("kind", ["Raises", "Nan", "Half", "Three", "Rgb", "Text", "Bools", "InPlace", "Surrogate"])
def test_the_doctor_finds_a_sick_model_and_gives_status_1(kind: str, here: Run) -> None:
    status, out, err = here("doctor", f"odd:{kind}", "--data", "digits")
    assert (status, err) == (1, "")
    assert "BAD" in out
    if kind == "Text":
        assert "[batch, classes]" in " ".join(out.split())


PYTHON = {
    "pgd(against(net), Linf(0.1))(x.byte(), y)": "images must be a floating tensor",
    "pgd(against(net), Linf(0.1))(x.numpy(), y)": "torch.from_numpy",
    "pgd(against(net), Linf(0.1))(x + 0j, y)": "images must be a floating tensor",
    "pgd(against(net), Linf(0.1))(x.double(), y)": "its weights are float32, the images float64: call .float() on them",
    "pgd(wide, Linf(0.1))(x, y)": "its weights are float64, the images float32: call .float() on it",
    "pgd(deep.half(), Linf(0.1))(x, y)": "its weights are float16, the images float32: call .float() on it",
    "audit(wide, (x, y), 'Linf:0.1', effort='smoke')": "its weights are float64",
    "torch.inference_mode()(pgd(net, Linf(0.1)))(x, y)": "gradients are off here",
    "pgd(Detector(net, 3), Linf(0.1))(x, y)": "9 classes beside the one that rejects",
    "pgd(against(net), Linf(0.1))(x * 255, y)": "must lie in [0, 1]",
    "pgd(against(net), Linf(0.1))(x - 1, y)": "must lie in [0, 1]",
    "pgd(against(net), Linf(0.1))(x * nan, y)": "must lie in [0, 1]",
    "pgd(against(net), Linf(0.1))(x, y.float())": "labels must be an int64 tensor",
    "pgd(against(net), Linf(0.1))(x, y.int())": "labels must be an int64 tensor",
    "pgd(against(net), Linf(0.1))(x, y.tolist())": "labels must be an int64 tensor",
    "pgd(against(net), Linf(0.1))(x, y[:3])": "labels must be an int64 tensor [20]",
    "pgd(against(net), Linf(0.1))(x, y[:, None])": "labels must be an int64 tensor [20]",
    "pgd(against(net), Linf(0.1))(x, y - 1)": "must not be negative",
    "pgd(against(net), Linf(0.1))(x, y + 7)": "the model has 10 classes",
    "pgd(against(net), Linf(0.1))(x, y.to('meta'))": "put both on one device",
    "pgd(against(net), Linf(0.1))(x[:0], y[:0])": "no examples to attack",
    "pgd(against(net), Linf(0.1))(x[:, :, 1:], y)": "fails on images",
    "pgd(toward(net), Linf(0.1))(x, y + 7)": "the model has 10 classes",
    "apgd_targeted(against(net), Linf(0.1))(x, y + 7)": "the model has 10 classes",
    "square(against(net), Linf(0.1))(x, y + 7)": "the model has 10 classes",
    "pgd(against(net), 0.1)": "a threat is",
    "pgd(against(net), 'Linf 0.1')": "a threat is written",
    "pgd(against(net), Spatial(3, 1))": "does not work in Spatial",
    "fab_targeted(against(net), L0(3))": "does not work in L0:3",
    "pgd(against(net), Linf(0.1), steps=0)": "steps must be at least 1",
    "pgd(against(net), Linf(0.1), steps=2.5)": "steps must be at least 1",
    "pgd(against(net), Linf(0.1), step=-1)": "step must be a number",
    "pgd(against(net), Linf(0.1), step=0)": "longer than 0",
    "pgd(against(net), Linf(0.1), seed=-1)": "a seed must be",
    "pgd(against(net), Linf(0.1), seed=0.5)": "a seed must be",
    "pgd(against(net), Linf(0.1), start='nowhere')": "start is",
    "against(3)": "cannot be called",
    "Linf(8)": "write Linf:8/255",
    "L2('wide')": "eps must be",
    "L0('many')": "counts pixels",
    "classes_of(lambda x: net(x) * nan, x)": "NaN on 20 of 20",
    "classes_of(lambda x: net(x)[:3], x)": "3 rows of logits",
    "classes_of(lambda x: net(x.sub_(0.1)), x.clone())": "writes into the images",
    "audit(net, (x, y), 'Linf=0.1', effort='smoke')": "a threat is written",
    "audit(net, (x, y), [0.1], effort='smoke')": "a threat is",
    "audit(net, (x, y), [], effort='smoke')": "at least one threat",
    "audit(net, (x, y[:3]), [Linf(0.1)], effort='smoke')": "labels must be an int64 tensor [20]",
    "audit(net, (x * nan, y), [Linf(0.1)], effort='smoke')": "must lie in [0, 1]",
    "audit(net, (x.long(), y), [Linf(0.1)], effort='smoke')": "images must be a floating tensor",
    "audit(net, (x.half(), y), [Linf(0.1)], effort='smoke')": "float32 or float64",
    "audit(net, (x, y + 7), [Linf(0.1)], effort='smoke')": "10 classes",
    "audit(net, (x, y), [Linf(0.1)], effort='heroic')": "no effort",
    "audit(net, (x, y), [Linf(0.1)], effort='smoke', seed=-1)": "a seed must be",
    "audit(net, (x, y), [Linf(0.1)], effort='smoke', budget=-1)": "a budget must be",
    "audit(net, (x, y), [Linf(0.1)], effort='smoke', batch=0)": "at least 1",
    "judge(net, 'Linf:x', x, x, y)": "eps must be",
    "judge(net, Linf(0.1), x, x, y + 7)": "10 classes",
    "curvature(net, (x, y), 'L7:1')": "a threat is written",
    "curvature(net, (x, y[:3]), L2(1))": "labels must be an int64 tensor",
    "curvature(net, (x, y + 7), L2(1))": "10 classes",
    "Adversarial(('Linf0.1',))": "a threat is written",
    "Recipe(epochs=nan)": "epochs > 0",
    "Recipe(lr=1e9)": "both below 1e+09",
    "Recipe(weight_decay=1e9)": "below 1e+09",
    "Trades((Linf(0.1),), beta=-1)": "weight of TRADES",
    "InnerAttack(steps='x')": "at least 1",
    "audit(net, (x, y), None)": "not NoneType",
    "audit(net, (x, y), 0.3)": "threats takes one or a list",
    "audit(net, (x, y), L2(1), extra=pgd(net, L2(1)))": "extra takes one or a list",
    "audit(net, (x, y), L2(1), extra=[3])": "an extra attack is a text",
    "audit(net, (x, y), L2(1), journal=3)": "a journal is a path or a text",
    "audit(net, (x, y), L2(1), budget=0)": "longer than 0 seconds",
    "audit('zoo:mnist-linf', (x, y), L2(1))": "load_model('zoo:mnist-linf')",
    "pgd('zoo:mnist-linf', 'Linf:0.1')": "load_model('zoo:mnist-linf')",
    "pgd(3, 'Linf:0.1')": "cannot be called",
    "doctor(x, y, net)": "Tensor cannot be called",
    "against(net, 'rage')": "no loss is called",
    "against(net, 3)": "a loss is a name or a function",
    "restarts(net, 3)": "give one attack or more",
    "classifier(net, input_range=5)": "two numbers, such as 0,255, not 5",
    "classifier(net, input_range=None)": "two numbers, such as 0,255, not None",
    "load(None)": "named by a text",
    "build_net('mlp', (28, 28), 10)": "(channels, height, width)",
    "report.adversarial('L2:1')": "the threats are Linf:0.1",
    "report.save(3)": "a path or a text",
    "verify(net, x, x, y, 'Linf:0.1')": "not Tensor",
    "verify(net, 'Linf:0.1', x, x[:3], y)": "must be like the clean ones",
    "verify(net, 'Linf:0.1', x, x.byte(), y)": "must be like the clean ones",
    "verify(net, 'Linf:0.1', x, x, y[:3])": "labels must be an int64 tensor [20]",
    "verify(net, 'Linf:0.1', x, 'x', y)": "images and labels are numbers",
    "judge(net, 'Linf:0.1', x, x[:3], y)": "must be like the clean ones",
    "doctor(net, x, y[:3])": "labels must be an int64 tensor [20]",
    "doctor(net, x[:0], y[:0])": "there are no examples",
    "pgd(against(net), Linf(0.1))(x.to_sparse(), y)": "call .to_dense() on it",
    "audit(net, (x.to_sparse(), y), 'Linf:0.1')": "call .to_dense() on it",
    "audit(net, (x, y), 'Linf:0.1', seed=True)": "a seed must be",
    "audit(net, (x, y), 'Linf:0.1', budget=True)": "a budget must be",
    "audit(net, (x, y), 'Linf:0.1', certify='no')": "certify is True or False, not 'no'",
    "audit(net, (x, y), 'Linf:0.1', progress='no')": "progress is True or False, not 'no'",
    "fmn(against(net), L2(1)).within('Linf 0.1')": "a threat is written",
    "robust_likelihood(example(), eps='1')": "a number of at least 0",
}
SCRIPT = """
import json, sys, torch
from brittle.errors import BrittleError
from brittle.attacks import *
from brittle.audits import audit, doctor, judge, verify
from brittle.learning import Adversarial, InnerAttack, Recipe, Trades, build_net, classifier, load
from brittle.science import curvature, example, robust_likelihood
nan = float("nan")
net, x, y = build_net("mlp", (1, 8, 8), 10).eval(), torch.rand(20, 1, 8, 8), torch.arange(20) % 10
wide = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 10)).double()
deep = torch.nn.Sequential(torch.nn.Conv2d(1, 10, 8), torch.nn.Flatten())
report = audit(net, (x, y), Linf(0.1), effort="smoke")
said = {}
for line in json.load(sys.stdin):
    try:
        eval(line)
        said[line] = "nothing"
    except BrittleError as error:
        said[line] = f"BrittleError: {error}"
    except Exception as error:
        said[line] = f"{type(error).__name__}: {error}"
print(json.dumps(said))
"""


@pytest.fixture(scope="module")
def said_in_python() -> dict[str, str]:
    """What each line of Python ends in, as users run it: without the run-time checks of the tests."""
    asked = [sys.executable, "-c", SCRIPT]
    ended = subprocess.run(asked, input=json.dumps(list(PYTHON)), capture_output=True, text=True, check=True)
    return dict(json.loads(ended.stdout))


@pytest.mark.parametrize("line", PYTHON)
def test_misuse_in_python_is_a_brittle_error(line: str, said_in_python: dict[str, str]) -> None:
    said = said_in_python[line]
    assert said.startswith("BrittleError: ")
    assert PYTHON[line] in said
    assert "\n" not in said

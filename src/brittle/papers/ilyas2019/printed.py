"""What the paper and its discussion print, with how sure each figure is. All in per cent."""

BIBTEX = """@inproceedings{ilyas2019adversarial,
  title  = {Adversarial Examples Are Not Bugs, They Are Features},
  author = {Ilyas, Andrew and Santurkar, Shibani and Tsipras, Dimitris and Engstrom, Logan and Tran, Brandon and Madry,
            Aleksander},
  booktitle = {Advances in Neural Information Processing Systems},
  year   = {2019}
}"""


ABOUT = (
    "The paper says that nets are fooled since they use features of the data that are useful and yet brittle: they "
    "tell the class, and a small change turns them. It shows this with data sets of one kind of features each.",
    "D is the data set as it is. D_R holds images in which a robust net sees what it sees in those of D, made from "
    "other images: robust features alone. D_NR is the same for a standard net: mostly non-robust features.",
    "D_rand and D_det hold the images of D, each changed a little until a standard net takes it for another class, "
    "which becomes its label: a class drawn at random (D_rand), or the one after its own (D_det). To a human all "
    "labels are wrong; only non-robust features agree with them.",
)


def appendix(table: str, certain: int) -> str:
    """How sure a figure of the appendix is."""
    return f"{table} of the appendix; {certain} % certain, not verified against the print"


QUOTED = "quoted from the paper or its authors"
DISTILL = "quoted from the discussion of the paper (Distill, 2019)"
NOT_PRINTED = "not printed, or not known"

TABLE_1 = {"D": 95.3, "D_rand": 63.3, "D_det": 43.7}  # test accuracy of standard training
TABLE_1_RESTRICTED = {"D": 96.6, "D_rand": 87.9, "D_det": 64.4}  # on Restricted ImageNet
FIGURE_2 = {  # trained how on what: standard accuracy, accuracy in L2 0.25; the figure prints bars, these are Table 7's
    "standard on D": (95.25, 4.49),
    "adversarial on D": (90.83, 82.48),
    "standard on D_R": (85.40, 48.20),
    "standard on D_NR": (87.68, 0.82),
}
FIGURE_2_CERTAINTY = {
    "standard on D": (QUOTED, appendix("Table 7", 85)),
    "adversarial on D": (QUOTED, appendix("Table 7", 85)),
    "standard on D_R": (appendix("Table 7", 80), appendix("Table 7", 80)),
    "standard on D_NR": (QUOTED, QUOTED),
}
NOISE = {  # appendix D.1: accuracy, in L2 0.25, in L2 0.5
    "standard on D": (95.25, 4.49, 0.0),
    "adversarial on D": (90.83, 82.48, 70.90),
    "D_R from images": (85.40, 48.20, 21.85),
    "D_R from noise": (84.10, 48.27, 29.40),
    "D_NR from images": (87.68, 0.82, 0.0),
    "D_NR from noise": (45.60, 1.50, 0.0),
}
LONG_PGD = 48.27  # appendix D.2, of standard training on D_R
OF_NOISE = "; Table 7 has this figure of D_R from noise (48.20 from images), so that it may be of that net"
LONG_PGD_CERTAINTY = "accuracy at which more steps level off; 85 % certain" + OF_NOISE
ROBUST_TEST_SETS = {
    "test set": 48.27,
    "robust test set": 62.49,
    "robust training set": 77.33,
}  # appendix D.3, in L2 0.25
RELABELLED = {"standard model": (43.7, 16.2), "robust model": (25.2, 40.8)}  # appendix D.6: test labels y, and y + 1
NEW_TESTS = {"D_rand": 55.0, "D_det": 44.0}  # appendix D.7
NEW_TESTS_CERTAINTY = "appendix D.7; 85 % certain, not verified against the print"
LEAKAGE = {"D_rand": (23.5, 63.3), "D_det": (6.81, 43.7)}  # Goh: through robust linear features, and in all
DIRECTIONS = {"ensemble": (-10.009, -1.571), "containment": (-10.854, -1.253)}  # Goh: log robustness, log usefulness
BUGS = {  # Nakkiran, L2 2.5: attack success, targeted transfer, f' on (X, Y), f' on (X, Y + 1)
    "PGD": (99.9, 82.5, 33.2, 27.3),
    "without transfer": (99.3, 1.7, 2.8, 70.8),
}
MISLABELLED = {"the first net": 63.1, "learned from its mistakes alone": 49.7}  # Wallace

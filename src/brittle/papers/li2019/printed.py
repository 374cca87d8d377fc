"""What the paper prints, and what later work prints beside it."""

BIBTEX = """@article{li2019norm,
  title  = {On Norm-Agnostic Robustness of Adversarial Training},
  author = {Li, Bai and Chen, Changyou and Wang, Wenlin and Carin, Lawrence},
  journal = {arXiv preprint arXiv:1905.06455},
  year   = {2019}
}"""
ABOUT = (
    "The paper asks whether a net that is trained to withstand one kind of perturbation (small in L2, in Linf, or, "
    "as a Mix, both in turn) withstands another. It trains four defences so: Madry (PGD training), TRADES, ensemble"
    " adversarial training and ATDA.",
    "PGD walks uphill on the loss. S-O, the paper's second-order attack, walks along the gradient averaged over "
    "Gaussian noise, which is not 0 where the loss is flat.",
    "Its answer: no norm protects from another, mixing hardly helps, and PGD overstates what is left.",
)
DEFENCES = ("Madry", "TRADES", "Ensemble", "ATDA")
NORMS = ("L2", "Linf", "Mix")
ROWS = ("Natural", "PGD L2", "PGD Linf", "S-O L2", "S-O Linf")
TABLE_1 = {  # per cent; columns L2, Linf, Mix of each defence
    "Natural": ((98.2, 98.8, 98.7), (99.4, 99.5, 99.4), (99.4, 99.0, 98.7), (99.2, 98.8, 99.0)),
    "PGD L2": ((97.0, 92.8, 73.2), (91.7, 91.7, 90.4), (99.0, 65.3, 58.2), (98.8, 63.6, 57.9)),
    "PGD Linf": ((0.4, 92.5, 82.2), (19.7, 95.6, 15.3), (0.0, 90.2, 81.4), (0.0, 62.6, 81.3)),
    "S-O L2": ((96.6, 0.0, 18.3), (81.7, 3.2, 84.2), (98.9, 65.8, 58.4), (97.2, 64.0, 56.8)),
    "S-O Linf": ((0.0, 91.3, 84.2), (16.9, 94.7, 14.5), (0.0, 88.9, 82.1), (0.0, 61.3, 83.4)),
}
TABLE_1_CERTAINTY = "table read from the paper; heads of rows and columns inferred (strong)"
LATER = {  # Maini et al. 2020, MNIST, first 1,000 images, 10 restarts: clean, Linf 0.3, L2 2, L1 10, all
    "AVG": (99.1, 65.2, 60.1, 39.2, 34.9),
    "MAX": (98.6, 51.0, 61.9, 52.6, 42.1),
    "MSD": (98.3, 62.7, 67.9, 65.0, 58.4),
}
LATER_CERTAINTY = "Maini et al. 2020, README (quoted), not of this paper: 15 epochs, 10 restarts, first 1,000 images"

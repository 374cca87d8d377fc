"""What differs from the paper, and may explain gaps."""

from ..paper import OVER_TRAININGS, pixels_in_words, seeds_in_words
from .lab import Ilyas2019Lab
from .scales import Ilyas2019Scale


def all_deviations(lab: Ilyas2019Lab, seeds: int) -> tuple[str, ...]:
    """The deviations of a scale, as sentences."""
    scale = lab.scale
    return (
        f"{scale.net} on {lab.data.name}; the paper: ResNet-50, CIFAR-10 and Restricted ImageNet.",
        *pixels_in_words(lab.data),
        *_of_sets(scale, len(lab.data.load().train)),
        *_of_nets(scale),
        *_of_discussion(scale),
        *(
            ()
            if lab.new_test_set
            else ("D.7 is left out: CIFAR-10.1 is not at hand (brittle data cifar10.1 says how to get it).",)
        ),
        "D.8 is this paper with --data restricted:PATH@SIDE and the user's own ImageNet; in which size it tests "
        "there is not known (here L2 1.5).",
        _of_trainings(scale.learner_seeds, seeds),
        *(
            ()
            if scale.carries
            else ("Digits of 8 x 8 pixels and tiny nets: this scale shows that everything runs, not what is true.",)
        ),
    )


def _of_sets(scale: Ilyas2019Scale, train: int) -> tuple[str, ...]:
    matching, perturbing, bugs = scale.matching, scale.perturbing, scale.bugs
    return (
        f"Sets are made of the {train:,} images that are left when validation is held out, and a tenth of each set is "
        "held out again: nothing is chosen on test images. They are kept in 8 bits.",
        f"D_R and D_NR: {_count(matching.count)} images, {matching.steps} steps of {matching.step:g} (paper: all, "
        "1,000 of 0.1; on Restricted ImageNet 2,000 of 1); the closest point is kept, not the last, and gradients are "
        "the model's own behind its last ReLU.",
        f"D_rand and D_det: {_count(perturbing.count)} images, L2 {perturbing.eps}, {perturbing.steps} steps of "
        f"{perturbing.step:g} (paper: all, L2 0.5, 100 of 0.1; on Restricted ImageNet L2 3); the best point is kept, "
        f"not the last. Other sizes: {_count(scale.budget_count)} images.",
        f"From noise, and of test images: {_count(matching.aside)} images. Perturbations that do not transfer, and "
        f"plain ones beside them: {_count(bugs.count)} images, made not to transfer to {scale.bug_helpers} other nets "
        f"(Nakkiran: ten), in L2 {bugs.eps} (2.5).",
    )


def _of_nets(scale: Ilyas2019Scale) -> tuple[str, ...]:
    recipes, hardening, testing = scale.recipes, scale.hardening, scale.testing
    return (
        f"Trainings: {recipes.natural.epochs:g} epochs on the data, {recipes.robust.epochs:g} adversarial ones with "
        f"{hardening.steps} steps in L2 {hardening.eps}, {recipes.made_sets.epochs:g} on made sets "
        f"({recipes.made_sets.optimizer}, lr {recipes.made_sets.lr:g}) and {recipes.random_targets.epochs:g} "
        f"where targets are random (lr {recipes.random_targets.lr:g}); the paper "
        "searches learning rate, batch and augmentation for each set and does not "
        "say how long. Shifts and mirrored images where the data usually "
        "have them; no jitter, no rotation.",
        *(() if scale.rates else ("Made sets are learned at one learning rate each; the scale night tries three.",)),
        f"Nets that are only asked what transfers to them, and what their units are worth on the sets (equations 4, 7 "
        f"and 8), trained for {recipes.helpers.epochs:g} epochs.",
        f"Robust accuracy: PGD-{testing.steps} on {testing.n:,} test images, a success where any point of the walk "
        f"fools, verified in float32; the strongest attacks take {testing.long_steps:,} steps on {testing.long_n:,} "
        f"images, the longest {testing.longest_steps:,} of four lengths on {testing.longest_n}.",
        "Usefulness of features, and equations 4, 7 and 8, are asked of one class against the rest, each feature for "
        "the class that it tells best; the paper's definitions are of two classes.",
    )


def _of_discussion(scale: Ilyas2019Scale) -> tuple[str, ...]:
    epochs = scale.weak_epochs
    return (
        f"Mistakes (Wallace) are those of a net trained for {epochs:g} epoch{'s' * (epochs != 1)} (his: two).",
        f"The robust linear net (Goh): L2 {scale.testing.eps}, {scale.recipes.linear.epochs:g} epochs; of his only "
        "what its features must withstand is known. His ensemble takes all directions below -9.115 on his axis, whose "
        "unit is not known; here the more fragile half.",
    )


def _of_trainings(learner_seeds: int, seeds: int) -> str:
    if learner_seeds == 1:
        return seeds_in_words(seeds)
    return (
        f"In Figure 2, Table 1, D.1 (but from noise) and D.7 {learner_seeds * seeds} trainings of each net that learns "
        f"from a made set, and of the control: {OVER_TRAININGS}. Elsewhere: {seeds_in_words(seeds)}"
    )


def _count(images: int) -> str:
    return f"{images:,}" if images else "all"

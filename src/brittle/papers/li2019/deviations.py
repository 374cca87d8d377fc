"""What differs from the paper, and may explain gaps."""

from ..paper import seeds_in_words
from .lab import SIGMA_L2, SIGMA_LINF, Li2019Lab


def all_deviations(lab: Li2019Lab, seeds: int) -> tuple[str, ...]:
    """The deviations of a scale, as sentences."""
    scale = lab.scale
    return (
        f"Training: {scale.epochs:g} epochs of batch {scale.batch} (Adam, triangular to {scale.lr:g}), inner attacks "
        f"of {scale.inner_steps} steps (Ensemble and ATDA: one step of FGSM, as their authors), eps rising over the "
        "first quarter.",
        "The paper's recipes are known for Linf only.",
        seeds_in_words(seeds),
        f"Sizes: Linf {scale.sizes.linf}, L2 {scale.sizes.l2} (from the authors' code); the reduced size "
        f"{scale.sizes.small_l2} is inferred.",
        f"PGD on {scale.n} test images, S-O on {scale.averaged_n} with {scale.draws} draws (sigma {SIGMA_L2:g} in L2, "
        f"{SIGMA_LINF:g} in Linf), audits on {scale.audited_n}.",
        f"CIFAR-10 remark: {scale.trial}."
        if lab.trial_data
        else f"The CIFAR-10 remark is left out: its data are not at hand (brittle data {scale.trial.data} gets them).",
        f"Static nets of the ensemble: {' and '.join(scale.static_nets)}, naturally trained; which the paper used is "
        "not known.",
        "Here a success counts where any point of the walk fools, verified in float32; the paper counts the last "
        "point.",
        *(
            ()
            if scale.carries
            else ("Digits of 8 x 8 pixels and tiny nets: this scale shows that everything runs, not what is true.",)
        ),
    )

"""What differs from the paper, and may explain gaps."""

from ..paper import pixels_in_words, seeds_in_words
from .lab import SIGMA_L2, SIGMA_LINF, TRIAL_BETA, Li2019Lab


def all_deviations(lab: Li2019Lab, seeds: int) -> tuple[str, ...]:
    """The deviations of a scale, as sentences."""
    scale = lab.scale
    return (
        f"Nets: {scale.madry_net} for Madry, Ensemble and ATDA, {scale.trades_net} for TRADES; the paper: Madry's "
        "(two 5x5 convolutions, 1024 units), and TRADES' released net.",
        f"Training (Adam, batch {scale.batch}, triangular to {scale.lr:g}, eps rising over the first quarter): the "
        f"paper's defences {scale.epochs.defences:g} epochs, natural nets {scale.epochs.natural:g}, AVG, MAX, MSD and "
        f"E-AT {scale.epochs.several:g}; attacks of {scale.inner_steps} steps inside.",
        "Ensemble and ATDA are trained with a walk inside too (ATDA: its authors' noisy PGD of 10 steps of eps / 4): "
        "with FGSM, as their authors used it first, PGD breaks what they learn here.",
        "The paper's recipes are known for Linf only.",
        seeds_in_words(seeds),
        f"Sizes: Linf {scale.sizes.linf}, L2 {scale.sizes.l2} (from the authors' code); the reduced size "
        f"{scale.sizes.small_l2} is inferred.",
        f"Attacks on the same {scale.n} test images, S-O with {scale.draws} draws (sigma {SIGMA_L2:g} in L2, "
        f"{SIGMA_LINF:g} in Linf); audits on {scale.audited_n}.",
        f"CIFAR-10 remark: {scale.trial}; TRADES weighs its divergence there with {TRIAL_BETA:g}, as its authors do "
        "(1 on MNIST). The paper's recipe is not known."
        if lab.trial_data
        else f"The CIFAR-10 remark is left out: its data are not at hand (brittle data {scale.trial.data} gets them).",
        *(pixels_in_words(lab.trial_data) if lab.trial_data else ()),
        f"AVG, MAX, MSD and E-AT take {scale.inner_steps} steps inside, of 2.5 eps / {scale.inner_steps}, in L1 along "
        "the signs of the most telling 1 % of pixels; Maini et al. 50 to 100 steps of 0.01 (Linf), 0.1 (L2), 1 "
        "(L1; MSD 0.8). E-AT draws among three norms, by a running mean, with PGD inside; its authors' among two, with "
        "APGD. With S-O inside (of no paper): in L2 and L1 the second-order attack with momentum, one draw a step.",
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

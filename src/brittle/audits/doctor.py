"""Is this model fit to be attacked at all? Cheap looks before any attack, each finding with what to do."""

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from brittle.attacks import (
    Evaluate,
    against,
    answer_of,
    check_kinds,
    check_model,
    evaluation_at,
    gradient_at,
    margin,
    session,
)
from brittle.ground import (
    BackwardFails,
    BrittleError,
    Images,
    Labels,
    NoGradient,
    PerExample,
    eval_mode,
    first_line,
    seeded,
    unit,
)
from brittle.learning import Reordered, examples_of

from .findings import Finding
from .preparation import normalisation, range_of, relaid

COMPARED, STEPS, AGREE = 50, (0.01, 0.001), 0.8  # images, lengths of a step, share of them that must agree
ASKED, FEW = 16, 4  # times again, of classes alone; of logits about so many images


def doctor(model: Callable[[Tensor], Any], x: Images | NDArray[Any], y: Labels | NDArray[Any]) -> list[Finding]:
    """Findings on `model` at some examples [B, *S] with labels [B]; a hundred are plenty. Arrays of numpy will do.

    Looks at: pixel range, the kind and shape of the answer, NaN, constant answers, probabilities instead of logits,
    number of classes, missing or double normalisation, train mode, randomness, dependence on the batch, usable
    gradients, and whether they are those of the answer.
    Raises:
        BrittleError: no model, or no images and labels.
    Cost: about ten forward passes, a few more where accuracy is below 90 %, of classes alone about twenty-five, and two
    gradients. The model is afterwards as it was before.
    """
    check_model(model)
    if not (isinstance(x, Tensor) and isinstance(y, Tensor)):
        x, y = examples_of((x, y))
    check_kinds(x, y)
    if not len(x):
        raise BrittleError("there are no examples to look at")
    low, high = float(x.min()), float(x.max())
    findings = [range_of(low, high)]
    try:
        with torch.no_grad(), eval_mode(model):
            logits = answer_of(model, x).detach().float()
    except BrittleError as error:
        hint, option = relaid(model, x) or ("mend this first: nothing else can be looked at", "")
        return [*findings, Finding("answer", "bad", str(error), hint, option)]
    findings.append(Finding("answer", "fine", f"logits {list(logits.shape)} for images {list(x.shape)}"))
    findings.append(_classes(model, logits, y))
    if logits.isnan().any() or not logits.isfinite().all():
        share = float((~logits.isfinite()).any(1).float().mean())
        return [
            *findings,
            Finding(
                "finite", "bad", f"NaN or infinite logits on {share:.0%} of the images", "find the layer that overflows"
            ),
        ]
    findings.append(_spread(logits))
    findings.append(_probabilities(logits))
    findings.append(_modes(model))
    with torch.no_grad(), eval_mode(model):
        findings.append(_same(model, x, logits))
        try:
            alone = answer_of(model, x[:1]).detach().float()
        except BrittleError:
            hint = "export it with a dynamic batch dimension, or wrap it to pad batches"
            return [*findings, Finding("answer", "bad", f"the model takes batches of {len(x)} but not of 1", hint)]
        same = findings[-1].level == "fine"  # else nothing can be laid beside it
        if same:
            findings.append(_alone(alone, logits[:1], _scale(logits)))
        if same and not _one_sigmoid(logits) and bool((y < logits.shape[1]).all()):
            findings.append(normalisation(model, x, y, logits))
    if not bool((y < logits.shape[1]).all()):
        return [*findings, Finding("gradient", "skipped", "labels do not fit")]
    return findings + gradients_of(model, x, y, same)


def gradients_of(model: Callable[[Tensor], Any], x: Images, y: Labels, same: bool = True) -> list[Finding]:
    """Whether gradients reach the images, and whether they are those of the answer, which is not asked of a model that
    does not answer the same again."""
    found = [_gradient(model, x, y)]
    if same and found[0].level != "bad":
        found.append(_differences(model, x[:COMPARED], y[:COMPARED]))
    return found


def checked(model: Callable[[Tensor], Any], x: Images, y: Labels, seed: int) -> list[Finding]:
    """What `doctor` finds on a model that can be attacked at all; whether it is random is not left to chance.

    Raises:
        BrittleError: it cannot: no logits, NaN, or labels that are none of its classes.
    """
    with seeded(seed, x.device):
        findings = doctor(model, x, y)
    for finding in findings:
        if finding.level == "bad" and finding.name in ("answer", "finite", "classes"):
            raise BrittleError("; ".join(filter(None, (f"the model cannot be attacked: {finding.text}", finding.hint))))
    return findings


def _classes(model: Callable[[Tensor], Any], logits: Tensor, y: Labels) -> Finding:
    count = logits.shape[1]
    if int(y.max()) >= count:
        return Finding(
            "classes",
            "bad",
            f"labels go up to {int(y.max())} but the model has {count} classes",
            "check that model and data set belong together",
        )
    if count < 4:
        return Finding(
            "classes",
            "note",
            f"{count} classes: targeted DLR is not defined below 4, margins are used",
            "nothing to do; know it when comparing",
        )
    parts = model.modules() if isinstance(model, nn.Module) else ()
    named = any(isinstance(part, Reordered) for part in parts)
    return Finding("classes", "fine", f"{count} classes" + (", brought into the data's order by name" if named else ""))


def _spread(logits: Tensor) -> Finding:
    if len(logits) == 1:
        return Finding("constant", "fine", "one image alone tells nothing of others")
    if float((logits - logits[:1]).abs().max()) == 0:
        return Finding(
            "constant",
            "bad",
            "the answer is the same for every image",
            "check weights and preprocessing; nothing can be learned from attacking it",
        )
    return Finding("constant", "fine", "answers differ between images")


def _probabilities(logits: Tensor) -> Finding:
    if bool((logits >= 0).all()) and bool(((logits.sum(1) - 1).abs() < 1e-3).all()):
        return Finding(
            "logits",
            "bad",
            "the answers are probabilities (softmax), not logits",
            "remove the softmax: its gradients vanish and margins mean nothing",
        )
    hint = "return what goes into the sigmoid"
    if _one_sigmoid(logits):
        return Finding(
            "logits", "bad", "its one answer lies in [0, 1], a sigmoid's: read as a logit it is class 1", hint
        )
    if _in_unit(logits):
        return Finding("logits", "note", "all answers lie in [0, 1], as a sigmoid's do", f"{hint}, if there is one")
    return Finding("logits", "fine", "answers are not probabilities")


def _one_sigmoid(logits: Tensor) -> bool:
    """Whether a model with one answer [B, 1] gives probabilities, so that no other scale of its images mends it."""
    return logits.shape[1] == 2 and not bool(logits[:, 0].any()) and _in_unit(logits)


def _in_unit(logits: Tensor) -> bool:
    return bool(((logits >= 0) & (logits <= 1)).all())


def _modes(model: object) -> Finding:
    moving = (nn.modules.batchnorm._BatchNorm, nn.modules.dropout._DropoutNd)
    modules = list(model.modules()) if isinstance(model, nn.Module) else []
    if count := sum(module.training and isinstance(module, moving) for module in modules):
        text = f"{count} batch norm or dropout modules are in train mode; what is said here is of eval mode"
        return Finding("mode", "note", text, "call model.eval() before it is used")
    return Finding("mode", "fine", "no module depends on train mode")


def _same(model: Callable[[Tensor], Any], x: Images, logits: Tensor) -> Finding:
    """Classes alone seldom change, so that all are asked for again and again, where of logits a few will do: a model
    may be another at some of its calls."""
    some = len(x) if bool(((logits == 0) | (logits == 1)).all()) else FEW
    asked = []
    with suppress(BrittleError):  # of a model that takes batches of one size alone `_alone` tells
        asked = [answer_of(model, x[:some]).detach().float() for _ in range(ASKED)]
    scale = _scale(logits)
    pairs = [(answer_of(model, x).detach().float(), logits), *((one, asked[0]) for one in asked[1:])]
    if all(torch.allclose(one, other, rtol=1e-4, atol=1e-4 * scale) for one, other in pairs):
        return Finding("deterministic", "fine", "the same images get the same answers again")
    return Finding(
        "deterministic",
        "warn",
        "the same images get other answers when asked again",
        "an audit averages gradients over draws and judges by majority; single attacks do not",
    )


def _scale(logits: Tensor) -> float:
    """How far the logits of an image lie apart, on average; at most 1, so that small ones are looked at as closely."""
    return min(1.0, float((logits.amax(1) - logits.amin(1)).mean()))


def _alone(alone: Tensor, together: Tensor, scale: float) -> Finding:
    if torch.allclose(alone, together, rtol=1e-3, atol=1e-3 * scale):
        return Finding("batch", "fine", "an image gets the same answer alone as in a batch")
    return Finding(
        "batch",
        "bad",
        "an image gets another answer alone than in a batch",
        "it looks at the whole batch: batch statistics (evaluate in eval mode), or a quantisation scaled by the batch",
    )


def _gradient(model: Callable[[Tensor], Any], x: Images, y: Labels) -> Finding:
    try:
        with session(against(model)) as evaluate:
            _, grad = gradient_at(evaluate, x, y)
    except (NoGradient, BackwardFails, RuntimeError) as error:
        why = "the model cuts it off" if isinstance(error, NoGradient) else first_line(error.__cause__ or error)
        return Finding(
            "gradient",
            "bad",
            f"no gradient reaches the image ({why})",
            "use score-based attacks, or pass gradients straight through the step that cuts them: --bpda MODULE",
        )
    size = grad.flatten(1).norm(dim=1)
    zero = float((size == 0).float().mean())
    if bool(grad.isnan().any()):
        return Finding(
            "gradient",
            "bad",
            "gradients are NaN",
            "find the operation whose derivative is not defined (sqrt at 0, log of 0)",
        )
    if zero > 0.5:
        return Finding(
            "gradient",
            "bad",
            f"the gradient is exactly zero on {zero:.0%} of the images",
            "PGD cannot move there: use random starts, the second-order attack, score-based attacks",
        )
    if zero > 0.05:
        return Finding(
            "gradient",
            "warn",
            f"the gradient is exactly zero on {zero:.0%} of the images",
            "prefer margin losses and random starts",
        )
    return Finding(
        "gradient", "fine", f"mean gradient length {float(size.mean()):.2g}; zero on {zero:.0%} of the images"
    )


def _differences(model: Callable[[Tensor], Any], x: Images, y: Labels) -> Finding:
    """Whether a short step along the margin's gradient changes the margin as much as the gradient says.

    (L(a) - L(b)) / <g, a - b> for a, b = x +- h g / |g|, in [0, 1]: 1 where the gradient is the answer's own; about 0
    where it is shattered or an answer jumps, -1 where it is turned round.
    """
    with session(against(model, margin)) as evaluate:
        seen, grad = gradient_at(evaluate, x, y)
        floor = 100 * torch.finfo(seen.logits.dtype).eps * seen.logits.abs().amax(1)  # below it, differences are noise
        shares = [_agreeing(evaluate, x, y, grad, step, floor) for step in STEPS]
    known = [share for share in shares if share is not None]
    if not known:
        return Finding("finite differences", "fine", "the margin changes too little for a comparison")
    text = f"a short step along the gradient does what the gradient says on {max(known):.0%} of the images"
    if max(known) < AGREE:
        hint = "the gradient is not that of the answer: quote score-based attacks and those from outside, or use BPDA"
        return Finding("finite differences", "bad", text, hint)
    return Finding("finite differences", "fine", text)


def _agreeing(evaluate: Evaluate, x: Images, y: Labels, grad: Images, step: float, floor: PerExample) -> float | None:
    """The share of images on which a step of this length agrees; none where it would change too few margins."""
    ends = [(x + sign * step * unit(grad)).clamp(0, 1) for sign in (1, -1)]
    foretold = (grad * (ends[0] - ends[1])).flatten(1).sum(1)
    there = foretold > floor
    if int(there.sum()) < 5:
        return None
    first, second = (evaluation_at(evaluate, end[there], y[there]).margin for end in ends)
    ratio = (first - second) / foretold[there]
    return float(((ratio > 0.5) & (ratio < 1.5)).float().mean())

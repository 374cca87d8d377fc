"""What the processes that share an audit agree on before they begin."""

import time
from dataclasses import replace

from msgspec import Struct

from brittle.ground import world

from .journal import Journal
from .state import AuditState


class Beginning(Struct, frozen=True):
    """What processes that share an audit must agree on before they deal the work, beside tensors."""

    gradients: bool
    blind: bool


def agreed(state: AuditState, journal: Journal) -> AuditState:
    """The state that the first of several processes begins with; alone: the same.

    Models answer a little differently on different devices, or at random: each process would deal the examples in
    another order, and wait for the others' pieces.
    """
    me = world()
    if me.size == 1 or journal.folder is None:
        return state
    while (kept := journal.read("beginning", Beginning)) is None:
        if me.helps:
            time.sleep(0.02)
        else:
            margin = state.threats[0].margin
            tensors = {"right": state.right, "answers": state.answers, "margin": margin}
            journal.write("beginning", tensors, Beginning(state.subject.gradients, state.subject.blind))
    tensors, facts = kept
    right, answers, margin = (tensors[name].to(state.right.device) for name in ("right", "answers", "margin"))
    threats = [
        replace(one, right=right, alive=right.clone(), alive_8bit=right.clone(), clean=margin, margin=margin.clone())
        for one in state.threats
    ]
    subject = replace(state.subject, gradients=facts.gradients, blind=facts.blind)
    return replace(state, subject=subject, right=right, answers=answers, threats=threats)

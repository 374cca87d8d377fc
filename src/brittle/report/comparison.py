"""Several audits beside one another: which model is more robust, where that can be said at all."""

from collections.abc import Sequence

from . import words
from .reading import Record, effort_of

ORDER = ("smoke", "quick", "standard", "thorough")  # of efforts


def comparison(models: Sequence[Record], threats: Sequence[str]) -> Record:
    """Models as rows; clean, each threat and union as columns; each column's best, as far as the intervals allow.

    A robust accuracy is an upper bound. So one that was found with less effort, that a budget cut short, or whose
    verdict is not `trust`, may lose to others, but not win.
    """
    columns = ["clean", *threats, "union"]
    rows = [
        {"clean": each["clean"], "union": each["union"], **{t["threat"]: t["robust"] for t in each["threats"]}}
        for each in models
    ]
    signs: list[dict[str, str]] = [{} for _ in models]
    said: list[Record] = []
    apart = len({each["data"]["name"] for each in models}) > 1 and not _same_images(models)
    alike, doubts = one_question(models), [doubt_of(each, models) for each in models]
    for column in () if apart else columns if alike else columns[:-1]:
        measured = sorted(
            (i for i, row in enumerate(rows) if column in row and row[column]["accuracy"] is not None),
            key=lambda i: -rows[i][column]["accuracy"],
        )
        if len(measured) < 2:
            continue
        best, second = measured[:2]
        level = [i for i in measured if rows[i][column]["interval"][1] >= rows[best][column]["interval"][0]]
        doubt = "" if column == "clean" or len(level) > 1 else doubts[best]
        for i in () if doubt else level:
            signs[i][column] = "best" if len(level) == 1 else "level"
        if column != "clean":
            winner = {"best": best, "second": second, "alone": len(level) == 1, "level": level, "doubt": doubt}
            may = "choose among these" if column == "union" else words.allowed(column)
            said.append({"column": column, "allowed": may, **winner})
    notes = []
    if apart:
        notes.append("They were audited on different data, so that none can be called more robust than another.")
    elif not _same_images(models):
        notes.append("The models were audited on different examples, so small differences mean little.")
    if len(efforts := dict.fromkeys(filter(None, map(effort_of, models)))) > 1:
        notes.append(f"They were audited with different efforts: {', '.join(efforts)}.")
    if not alike:
        notes.append("They were audited under different threats, so that their unions cannot be compared.")
    return {"columns": columns, "rows": rows, "signs": signs, "said": said, "notes": notes}


def one_question(records: Sequence[Record]) -> bool:
    """Whether all were audited in the same threats, so that one union may stand beside another."""
    return len({tuple(sorted(threat["threat"] for threat in each["threats"])) for each in records}) == 1


def _same_images(records: Sequence[Record]) -> bool:
    return len({(each["data"]["digest"], each["data"]["n"]) for each in records}) == 1


def doubt_of(record: Record, others: Sequence[Record]) -> str:
    """Why a high robust accuracy of this audit is no sign of robustness beside the others; empty where it is one."""
    if record.get("skipped"):
        return "its budget was spent before everything was tried"
    if record["verdict"]["level"] != "trust":
        return f"its figures are {record['verdict']['level']}"
    own, most = effort_of(record), max((ORDER.index(one) for one in map(effort_of, others) if one in ORDER), default=0)
    if own in ORDER and ORDER.index(own) < most:
        return f"it was attacked with less effort ({own})"
    return ""

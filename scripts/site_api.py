"""How code becomes pages: sections and "Cost:", "Random:", "Source:" begin paragraphs; `<` and `$` are signs;
a name that a function shares with its file means the function."""

import re
from typing import Any

import griffe

SECTION = re.compile(r"\n+(?=(?:Args|Attributes|Returns|Raises):\n)")
WORD = re.compile(r"(?:^|\n|(?<=[.;)]) )(Cost|Random|Source|Differs): ")


class Pages(griffe.Extension):
    def on_object(self, *, obj: griffe.Object, **kwargs: Any) -> None:
        if obj.docstring:
            text = WORD.sub(r"\n\n**\1:** ", SECTION.sub("\n\n", obj.docstring.value))
            parts = text.split("`")  # code stands in every other one
            parts[::2] = [part.replace("<", "&lt;").replace("$", "&#36;") for part in parts[::2]]
            obj.docstring.value = "`".join(parts)

    def on_package(self, *, pkg: griffe.Module, **kwargs: Any) -> None:
        for name, member in list(pkg.members.items()):
            path = member.target_path if isinstance(member, griffe.Alias) else ""
            if path.startswith(f"{pkg.name}.") and member.is_module and name in member.members:
                pkg.set_member(name, griffe.Alias(name, f"{path}.{name}"))

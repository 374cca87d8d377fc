"""One file for each attack, under its usual name. A file registers its attack itself; nothing else needs to know of
it."""

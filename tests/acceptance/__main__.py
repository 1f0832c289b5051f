"""Write docs/compatibility.md again: `python -m tests.acceptance`."""

from tests.acceptance.document import PATH, document

PATH.write_text(document())
print(f"{PATH.relative_to(PATH.parents[1])} is up to date")

"""The paper of a commitment: from its payload to the bytes of a PDF, the same bytes for the same payload.

paper.py puts it together, words.py says in two languages what the payload says in numbers, printing.py makes the PDF,
faces.py has its letters, and cutting.py made them; signing.py puts the seller's own signature behind it, where one is wanted.
WeasyPrint (a second to load, and 200 MB) is loaded by the first paper, never by a web process, which makes none.
"""

from __future__ import annotations

from promises.document.faces import Unprintable
from promises.document.paper import Letterhead, render
from promises.document.signing import current as signer
from promises.document.signing import signed

__all__ = ["Letterhead", "Unprintable", "render", "signed", "signer"]

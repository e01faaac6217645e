"""What a connector is: it translates one outside system's words, and nothing else."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar

from integrations.canonical import Translated

REGISTRY: dict[str, type[Connector]] = {}


class Connector:
    """Translates one message. No database, no clock, no decisions.

    A subclass is registered by being defined; two with one slug are an error at import.
    """

    slug: ClassVar[str] = ""
    label: ClassVar[Any] = ""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if cls.slug in REGISTRY:
            raise TypeError(f"two connectors are called {cls.slug!r}")
        REGISTRY[cls.slug] = cls

    def read(
        self, form: str, body: str, *, key: str, shop: str, mapping: dict[str, Any] | None
    ) -> Iterable[Translated]:
        """The orders and facts in one stored message body.

        form, key: InboundMessage.form and remote_key. shop: code of the connection's shop, "" if it has none.
        mapping: definition of the connection's field mapping, None if it has none.
        Raises Untranslatable with every problem found.
        """
        raise NotImplementedError

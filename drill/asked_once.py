"""Looks at AWS in which no question is asked twice: for whoever looks for many things at one instant. Read-only.

Only for a look that is over soon: what an answer said is believed until the AskedOnce is let go.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

from drill.listers import Clients


class AskedOnce:
    """Clients that remember each answer, by service, Region, operation and parameters; errors are not remembered.

    Not for several threads at once.
    """

    def __init__(self, aws: Clients) -> None:
        self._aws = aws
        self._clients: dict[tuple[str, str, str | None], _Client] = {}

    def client(self, service: str, region: str, endpoint_url: str | None = None) -> Any:
        """See Clients; a client of which only operations, `can_paginate` and `get_paginator` are to be used."""
        key = (service, region, endpoint_url)
        if key not in self._clients:
            self._clients[key] = _Client(self._aws.client(service, region, endpoint_url))
        return self._clients[key]


class _Client:
    def __init__(self, client: Any) -> None:
        self._client = client
        self._replies: dict[str, Any] = {}
        self._pages: dict[str, _Pages] = {}
        self.can_paginate = client.can_paginate

    def __getattr__(self, operation: str) -> Callable[..., Any]:
        def asked(**params: Any) -> Any:
            key = _key(operation, params)
            if key not in self._replies:
                self._replies[key] = getattr(self._client, operation)(**params)
            return self._replies[key]

        return asked

    def get_paginator(self, operation: str) -> _Paginator:
        return _Paginator(self, operation)

    def pages(self, operation: str, params: dict[str, Any]) -> _Pages:
        key = _key(operation, params)
        if key not in self._pages or self._pages[key].broken:
            self._pages[key] = _Pages(iter(self._client.get_paginator(operation).paginate(**params)))
        return self._pages[key]


class _Paginator:
    def __init__(self, client: _Client, operation: str) -> None:
        self._client, self._operation = client, operation

    def paginate(self, **params: Any) -> _Pages:
        return self._client.pages(self._operation, params)


class _Pages:
    """Pages that are fetched when somebody first wants them, and kept for the next."""

    def __init__(self, source: Iterator[Any]) -> None:
        self._source = source
        self._seen: list[Any] = []
        self.broken = False

    def __iter__(self) -> Iterator[Any]:
        number = 0
        while number < len(self._seen) or self._fetched():
            yield self._seen[number]
            number += 1

    def _fetched(self) -> bool:
        try:
            self._seen.append(next(self._source))
        except StopIteration:
            return False
        except Exception:
            self.broken = True  # a generator that has raised would only say that it is at its end
            raise
        return True


def _key(operation: str, params: dict[str, Any]) -> str:
    return json.dumps([operation, params], sort_keys=True)

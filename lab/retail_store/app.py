"""The retail store's six services, one small program: which one a task is, its configuration says.

The API is that of the public sample in outline; what is not published, and is here so that each data store can be
written and read back by name: GET of one cart line, one order and one product, and POST of a product.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from lab import web
from lab.clock import LabClock
from lab.retail_store.shop import CheckoutService, UiService
from lab.retail_store.stock import AssetsService, CartsService, CatalogService, OrdersService
from lab.task_server import serve


@dataclass(frozen=True)
class ServiceConfig:
    """What every task is told at its start.

    service: which of names.SERVICES; api_host, api_port: the Region's internal load balancer; reads, writes: libpq
    strings of the service's own database ("" for one without), of which `writes` may name a second host to which the
    Region's endpoint forwards what it cannot write itself.
    """

    region: str
    task: str
    host: str
    clock: LabClock
    service: str
    aws_host: str
    aws_port: int
    table: str
    api_host: str
    api_port: int
    reads: str
    writes: str

    @classmethod
    def of(cls, config: Mapping[str, Any]) -> ServiceConfig:
        """From the JSON that a task gets."""
        return cls(**{**config, "clock": LabClock(**config["clock"])})


def handler_of(config: ServiceConfig) -> web.Handler:
    """The handler of the service that the task is."""
    inside = web.Client(config.api_host, config.api_port)
    makers: Mapping[str, Callable[[], web.Handler]] = {
        "ui": lambda: UiService(inside).handle,
        "checkout": lambda: CheckoutService(inside).handle,
        "carts": lambda: CartsService(config.aws_host, config.aws_port, config.region, config.table).handle,
        "catalog": lambda: CatalogService(config.reads, config.writes).handle,
        "orders": lambda: OrdersService(config.reads, config.writes).handle,
        "assets": lambda: AssetsService().handle,
    }
    return makers[config.service]()


async def run(config: Mapping[str, Any], listening: Callable[[int], None]) -> None:
    """Run one task."""
    typed = ServiceConfig.of(config)
    await serve(typed.host, handler_of(typed), listening)

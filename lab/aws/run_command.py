"""Systems Manager's Run Command for one document: a client instance loses packets from and to certain sources.

AWSFIS-Run-Network-Packet-Loss-Sources, parameters as AWS documents them. It runs on an instance that plays the
drill's client (`lab.packet_loss.CLIENT`): packets are lost between that and the addresses in `Sources`. On the
instance `tc` would lose what arrives (TrafficType ingress) or what leaves (egress). Here both are a loss of what the
client sends, taken at the far end: to who waits for an answer a lost request is a lost answer.
Two of these documents on one instance at once fail, as AWS says. Sources that are no IPv4 address or network, and
every other document, are refused. `Interface` and `InstallDependencies` are taken and make no difference.

Source: https://docs.aws.amazon.com/fis/latest/userguide/actions-ssm-agent.html
"""

from __future__ import annotations

import ipaddress
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from moto.ssm.models import Command, SimpleSystemManagerBackend

from lab.aws.patching import replace
from lab.aws.protocol import AwsError
from lab.clock import LabClock
from lab.packet_loss import Loss
from lab.truth import Truth

DOCUMENT = "AWSFIS-Run-Network-Packet-Loss-Sources"
REQUIRED = ("DurationSeconds", "Sources")
DEFAULTS: Mapping[str, str] = {
    "LossPercent": "7",
    "TrafficType": "ingress",
    "Interface": "DEFAULT",
    "FlowsPercent": "100",
    "InstallDependencies": "True",
}
RUNNING, SUCCESS, CANCELLED, FAILED = "InProgress", "Success", "Cancelled", "Failed"
Listener = Callable[[Loss | None], None]
"""Told which loss there is now, None for none."""

_moto_send = SimpleSystemManagerBackend.send_command
_live: Commands | None = None


@dataclass
class _Running:
    """A command that is in progress; timer: what ends it when its time has come."""

    command: Command
    timer: threading.Timer


class Commands:
    """Runs commands on the instances that `add` names, and tells `listeners` what is lost."""

    def __init__(self, clock: LabClock, truth: Truth, listeners: Iterable[Listener]) -> None:
        self._clock, self._truth = clock, truth
        self._listeners = tuple(listeners)
        self._instances: set[str] = set()
        self._lock = threading.Lock()
        self._running: _Running | None = None

    def start(self) -> None:
        """Take the place of moto's SendCommand, which says Success of everything."""
        global _live  # noqa: PLW0603 (moto's backends are global to the process, so is who serves them)
        _live = self
        replace(SimpleSystemManagerBackend, "send_command", _send_command)

    def stop(self) -> None:
        """No command ends from here on; what is lost goes with the lab."""
        global _live  # noqa: PLW0603
        if _live is self:
            _live = None
        if self._running is not None:
            self._running.timer.cancel()

    def add(self, instance: str) -> None:
        """That instance plays the client."""
        self._instances.add(instance)

    def send(self, command: Command) -> None:
        """A command was sent: it is in progress, or has failed, when this returns. AwsError for what SSM refuses."""
        given = {name: "".join(values) for name, values in command.parameters.items()}
        loss, lasts_s = loss_of(given), float(given["DurationSeconds"])
        if unknown := sorted(set(command.instance_ids) - self._instances):
            raise AwsError("InvalidInstanceId", f"Instances {unknown} not in a valid state for account")
        with self._lock:
            if self._running is not None:
                _ended(command, FAILED)
                return
            end = threading.Timer(self._clock.wall_s(lasts_s), self._finish, (command.command_id, SUCCESS))
            end.daemon = True
            self._running = _Running(command, end)
            command.status = command.status_details = RUNNING
            command.completed_count = 0
            self._tell(loss)
        end.start()

    def cancel(self, command_id: str) -> None:
        """CancelCommand, with the document's own rollback; nothing happens to a command that is over."""
        self._finish(command_id, CANCELLED)

    def _finish(self, command_id: str, status: str) -> None:
        with self._lock:
            running = self._running
            if running is None or running.command.command_id != command_id:
                return
            self._running = None
            self._tell(None)
            _ended(running.command, status)
        running.timer.cancel()

    def _tell(self, loss: Loss | None) -> None:
        sources = [] if loss is None else list(loss.networks)
        self._truth.record("network.loss", percent=0.0 if loss is None else loss.percent, sources=sources)
        for listener in self._listeners:
            listener(loss)


def loss_of(given: Mapping[str, str]) -> Loss:
    """What the document does with these parameters.

    AwsError InvalidParameters for what it does not take; NotImplementedError for what is not played here.
    """
    if wrong := sorted({*given} - {*DEFAULTS, *REQUIRED}) or sorted({*REQUIRED} - {*given}):
        raise AwsError("InvalidParameters", f"{DOCUMENT}: {', '.join(wrong)} is unknown, or required and missing")
    said = {**DEFAULTS, **given}
    percent, traffic = said["LossPercent"], said["TrafficType"]
    if not (percent.isdigit() and int(percent) <= 100 and given["DurationSeconds"].isdigit()):
        why = f"LossPercent {percent!r} or DurationSeconds {given['DurationSeconds']!r} is no number that it takes"
        raise AwsError("InvalidParameters", f"{DOCUMENT}: {why}")
    if traffic not in ("ingress", "egress"):
        raise AwsError("InvalidParameters", f"{DOCUMENT}: TrafficType {traffic!r} is neither ingress nor egress")
    if said["FlowsPercent"].rstrip("%") != "100":
        raise NotImplementedError(f"{DOCUMENT} with FlowsPercent {said['FlowsPercent']}")
    return Loss(float(percent), tuple(map(_network, said["Sources"].split(","))))


def _network(source: str) -> str:
    try:
        return str(ipaddress.IPv4Network(source))
    except ValueError as error:
        raise NotImplementedError(f"{DOCUMENT} with source {source!r}") from error


def _ended(command: Command, status: str) -> None:
    command.status = command.status_details = status
    command.completed_count = len(command.instance_ids)
    command.error_count = command.completed_count if status == FAILED else 0


def _send_command(backend: SimpleSystemManagerBackend, *args: Any, **values: Any) -> Command:
    """Replaces moto's SendCommand: a document that nobody plays is refused."""
    if _live is None:
        return _moto_send(backend, *args, **values)
    if not is_played(str(values["document_name"])):
        raise NotImplementedError(f"SSM document {values['document_name']}")
    command = _moto_send(backend, *args, **values)
    try:
        _live.send(command)
    except (AwsError, NotImplementedError):
        backend._commands.remove(command)
        raise
    return command


def is_played(document: str) -> bool:
    """Whether that is the document (name or ARN)."""
    return document.rpartition("/")[2] == DOCUMENT


def ids_of(arns: Sequence[str]) -> list[str]:
    """The ids of instances, by their ARNs."""
    return [arn.rpartition("/")[2] for arn in arns]

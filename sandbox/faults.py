"""Misbehaviour on demand: errors, cut connections, delays and holds, each for a counted number
of calls."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from aiohttp import web


@dataclass(slots=True)
class Fault:
    """What goes wrong with the next `times` matching calls (`None`: with all of them)."""

    where: str  # a method or endpoint; "*" is any
    times: int | None = 1
    chat_id: int | None = None  # only calls about this chat; None: any
    act: bool = False  # the call is carried out all the same, only its answer is lost or replaced
    status: int | None = None  # None: the real answer
    body: str = ""
    content_type: str = "application/json"
    headers: dict[str, str] = field(default_factory=dict)
    cut: bool = False  # the connection breaks instead of an answer
    delay_seconds: float = 0.0
    gate: asyncio.Event | None = None  # the call waits here until `release()`
    hits: int = 0
    """How many calls it has met."""

    def release(self) -> None:
        """Let held calls go on."""
        if self.gate is not None:
            self.gate.set()

    @property
    def spent(self) -> bool:
        return self.times is not None and self.hits >= self.times

    def matches(self, where: str, chat_id: int | None) -> bool:
        return (
            not self.spent
            and self.where.lower() in ("*", where.lower())
            and self.chat_id in (None, chat_id)
        )


class FaultBox:
    """The faults that are set, in order; the first that matches is used."""

    def __init__(self) -> None:
        self.faults: list[Fault] = []

    def add(self, fault: Fault) -> Fault:
        self.faults.append(fault)
        return fault

    def clear(self) -> None:
        """Behave again; held calls go on."""
        for fault in self.faults:
            fault.release()
        self.faults.clear()

    def take(self, where: str, chat_id: int | None = None) -> Fault | None:
        """The fault for this call, counted."""
        for fault in self.faults:
            if fault.matches(where, chat_id):
                fault.hits += 1
                return fault
        return None


async def misbehave(
    fault: Fault, request: web.Request, act: Callable[[], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """Answer as the fault says; `act` carries the call out and gives the true answer."""
    if fault.gate is not None:
        await fault.gate.wait()
    if fault.delay_seconds:
        await asyncio.sleep(fault.delay_seconds)
    replaced = fault.cut or fault.status is not None
    answer = await act() if fault.act or not replaced else None
    if fault.cut:
        if request.transport is not None:
            request.transport.abort()
        return web.Response()
    if fault.status is not None:
        return web.Response(
            status=fault.status,
            text=fault.body,
            content_type=fault.content_type,
            headers=fault.headers,
        )
    assert answer is not None  # noqa: S101 - a fault without a replacement always acts
    return answer

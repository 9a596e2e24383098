"""A wire between Amana and PostgreSQL that can be cut at a statement, or go silent."""

from __future__ import annotations

import asyncio
import re
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from enum import Enum
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

SOCKET = ".s.PGSQL.5432"


class Cut(Enum):
    """Where the wire breaks, seen from the statement that was waited for."""

    BEFORE = "the server never sees the statement"
    AFTER = "the server has it, the client is gone at once"
    ANSWERED = "the server has answered, the client never hears it"
    SILENT = "nothing passes any more, and nobody is told"


class Proxy:
    """Listens on a socket of its own. `cut_at` arms it once; `refusing` turns new clients away."""

    def __init__(self, dsn: str, folder: Path) -> None:
        parts = urlsplit(dsn)
        (host,) = parse_qs(parts.query)["host"]
        self._server_socket = str(Path(host) / SOCKET)
        self._folder = folder
        self.dsn = f"postgresql://{parts.netloc}{parts.path}?host={folder}&port=5432"
        self.refusing = False
        self.struck = asyncio.Event()
        self._armed: tuple[re.Pattern[str], Cut] | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._writers: set[asyncio.StreamWriter] = set()

    @classmethod
    @asynccontextmanager
    async def open(cls, dsn: str, folder: Path) -> AsyncIterator[Proxy]:
        proxy = cls(dsn, folder)
        server = await asyncio.start_unix_server(proxy._accept, str(folder / SOCKET))
        try:
            yield proxy
        finally:
            server.close()
            await proxy.sever()

    async def sever(self) -> None:
        """Ends every connection, the silent ones too."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for writer in list(self._writers):
            writer.close()
        self._writers.clear()
        await asyncio.sleep(0)

    def cut_at(self, statement: str, cut: Cut) -> None:
        """Breaks the wire at the next statement that matches, once."""
        self.struck.clear()
        self._armed = (re.compile(statement), cut)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.ensure_future(self._serve(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        if self.refusing:
            writer.close()
            return
        back, forth = await asyncio.open_unix_connection(self._server_socket)
        self._writers.add(forth)
        link = _Link(self, reader, writer, back, forth)
        try:
            await link.run()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            for end in (writer, forth):
                if link.cut is not Cut.SILENT:
                    end.close()
                    self._writers.discard(end)

    def strikes(self, statement: str) -> Cut | None:
        """Whether this statement is the one; takes the arm away."""
        if self._armed is None or not self._armed[0].search(statement):
            return None
        cut = self._armed[1]
        self._armed = None
        return cut


class _Link:
    """One client's connection."""

    def __init__(
        self,
        proxy: Proxy,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        back: asyncio.StreamReader,
        forth: asyncio.StreamWriter,
    ) -> None:
        self._proxy = proxy
        self._reader, self._writer, self._back, self._forth = reader, writer, back, forth
        self._names: dict[bytes, str] = {}
        self.cut: Cut | None = None

    async def run(self) -> None:
        tasks = [asyncio.ensure_future(task) for task in (self._up(), self._down())]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            if self.cut in (Cut.AFTER, Cut.ANSWERED):
                self._writer.close()
                if not tasks[1].done():  # the server finishes what it was given
                    await tasks[1]
            elif self.cut is Cut.SILENT:
                await asyncio.Event().wait()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _up(self) -> None:
        """Client to server, message by message."""
        (size,) = struct.unpack("!I", await self._reader.readexactly(4))
        self._forth.write(struct.pack("!I", size) + await self._reader.readexactly(size - 4))
        while True:
            kind = await self._reader.readexactly(1)
            (size,) = struct.unpack("!I", await self._reader.readexactly(4))
            body = await self._reader.readexactly(size - 4)
            statement = self._statement(kind, body)
            self.cut = self._proxy.strikes(statement) if statement else None
            if self.cut in (Cut.BEFORE, Cut.SILENT):
                self._proxy.struck.set()
                return
            self._forth.write(kind + struct.pack("!I", size) + body)
            if self.cut is Cut.AFTER:
                if kind != b"Q":
                    self._forth.write(b"S\x00\x00\x00\x04")
                await self._forth.drain()
                self._proxy.struck.set()
                return

    def _statement(self, kind: bytes, body: bytes) -> str:
        """The SQL that this message makes the server run; empty when it runs none."""
        if kind == b"Q":
            return body[:-1].decode()
        if kind == b"P":
            name, _, rest = body.partition(b"\0")
            self._names[name] = rest.partition(b"\0")[0].decode()
        elif kind == b"B":
            name = body.partition(b"\0")[2].partition(b"\0")[0]
            return self._names.get(name, "")
        return ""

    async def _down(self) -> None:
        """Server to client."""
        while block := await self._back.read(65536):
            if self.cut is Cut.ANSWERED:
                self._proxy.struck.set()
                return
            if self.cut is None:
                self._writer.write(block)

"""Statements read by the engine's own parser, which runs nothing of them."""

from __future__ import annotations

import hashlib
import json
import re
import threading
from collections import OrderedDict
from typing import Final

from clickhouse.embedded.engine_connection import EngineConnection
from clickhouse.embedded.errors import BAD_ARGUMENTS, ServerError
from clickhouse.embedded.permission.tree import Tree, read_tree

# The trees of the statements asked last are kept. A longer text is rare and parsed each time.
_KEPT: Final = 2048
_KEPT_BYTES: Final = 64 << 10
# Statements that have no JSON form, in the engine's own spelling. What follows these is read as the FROM of a SELECT.
_OF_A_TABLE: Final = re.compile(r"(DESCRIBE|EXISTS|SHOW CREATE) (?:TABLE|VIEW) (.+)", re.DOTALL)
_IN_WORDS: Final = re.compile(
    r"(SHOW (?:FUNCTIONS|ENGINES|SETTING)|(?:EXISTS|SHOW CREATE) DATABASE)"
    r"(?: (?:I?LIKE )?(?:\w+|`[^`\\]*`|'[^'\\]*'))?(?: FORMAT \w+)?"
)


class Parser:
    """Trees of statements, made by the engine on a connection of its own: some 2 ms, or none for one seen before."""

    def __init__(self, connection: EngineConnection) -> None:
        self._connection = connection
        self._connection.set({"max_query_size": "0"})
        self._asking = threading.Lock()
        self._keeping = threading.Lock()
        self._kept: OrderedDict[bytes, Tree] = OrderedDict()

    def parse(self, text: bytes) -> Tree:
        """The tree of one statement. Raises ServerError, as the engine would, for invalid text or too much of it."""
        key = hashlib.blake2b(text, digest_size=32).digest()
        with self._keeping:
            if (kept := self._kept.get(key)) is not None:
                self._kept.move_to_end(key)
                return kept
        # A statement that was seen before never waits for a new one.
        with self._asking:
            tree = self._read(text)
        if len(text) <= _KEPT_BYTES:
            with self._keeping:
                self._kept[key] = tree
                if len(self._kept) > _KEPT:
                    self._kept.popitem(last=False)
        return tree

    def close(self) -> None:
        """Ends the connection."""
        self._connection.close()

    def _read(self, text: bytes) -> Tree:
        try:
            return self._tree(text)
        except ServerError as error:
            if error.code != BAD_ARGUMENTS or "does not support JSON" not in error.text:
                raise
        # One line without comments, in which only names and strings are the caller's, both quoted by the engine.
        spelled = self._ask("formatQuerySingleLine", text).rstrip("\n")
        if found := _OF_A_TABLE.fullmatch(spelled):
            tree = self._tree(f"SELECT * FROM {found[2]}".encode())  # noqa: S608
            tree.kind = found[1]
            return tree
        found = _IN_WORDS.fullmatch(spelled)
        return Tree(found[1] if found else spelled.partition(" ")[0])

    def _tree(self, text: bytes) -> Tree:
        try:
            return read_tree(json.loads(self._ask("parseQueryToJSON", text)))
        except RecursionError as error:
            raise ServerError(BAD_ARGUMENTS, "The query is nested too deeply.") from error

    def _ask(self, function: str, text: bytes) -> str:
        # In hex, so that no byte of it can be anything but text.
        asked = f"SELECT {function}(unhex('{text.hex()}'))"
        try:
            answer: bytes = self._connection.query(asked, "TabSeparatedRaw").bytes()
        except ServerError as error:
            raise ServerError(error.code, error.text.partition(": In scope SELECT ")[0], error.name) from error
        return answer.decode("utf-8", "replace")

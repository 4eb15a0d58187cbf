"""The wire as its reference page tells it, to check and to make messages with.

The page is what ``omni-wiredoc`` prints, which is made from proto/wire.h: so neither the
scenarios nor this runner repeat a number or a key.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import msgpack

_TYPES: dict[str, tuple[type, ...]] = {
    "integer": (int,),
    "number": (float, int),
    "boolean": (bool,),
    "string": (str,),
    "binary": (bytes,),
    "map": (dict,),
}


@dataclass
class Message:
    number: int
    name: str
    direction: str
    required: list[str]
    optional: list[str]


@dataclass
class Field:
    key: str
    kind: str
    name: str  # of the header field; of a record's field its presence
    low: float
    high: float


class Reference:
    """Messages by name and number, header fields by key, and the lists' item records."""

    def __init__(self, page: str) -> None:
        self.messages: dict[str, Message] = {}
        self.fields: dict[str, Field] = {}
        self.records: dict[str, dict[str, Field]] = {}
        header_max = re.search(r"at most (\d+) bytes", page)
        version = re.search(r"version (\d+);", page)
        if not header_max or not version:
            raise ValueError("this is not the wire reference")
        self.header_max, self.version = int(header_max[1]), int(version[1])
        section = ""
        for line in page.splitlines():
            if line.startswith("#"):
                section = line.strip("# ")
            elif line.startswith("|"):
                self._read_row(section, [cell.strip() for cell in line.split("|")[1:-1]])

    def _read_row(self, section: str, cells: list[str]) -> None:
        if section == "Messages" and cells[0].isdigit():
            message = Message(int(cells[0]), cells[1], cells[2], _keys(cells[3]),
                              _keys(cells[4]))
            self.messages[message.name] = message
        elif cells[0].startswith("`") and "–" in cells[3]:
            low, high = cells[3].split("–")
            field = Field(cells[0].strip("`"), cells[1], cells[2], float(low), float(high))
            if section == "Header fields":
                self.fields[field.key] = field
            elif section.startswith("Record "):
                self.records.setdefault(section.split()[1], {})[field.key] = field

    def find(self, number: int) -> Message | None:
        return next((m for m in self.messages.values() if m.number == number), None)

    def check(self, header: bytes) -> tuple[Message, dict[str, Any]]:
        """Read a header a worker sent; raises ValueError that says what is wrong."""
        if len(header) > self.header_max:
            raise ValueError(f"a header of {len(header)} bytes")
        fields = msgpack.unpackb(header, raw=False)
        if not isinstance(fields, dict):
            raise ValueError("the header is not a map")
        message = self.find(fields.get("t", 0))
        if message is None:
            raise ValueError(f"there is no message number {fields.get('t')}")
        if fields.get("v") != self.version:
            raise ValueError(f"{message.name} has version {fields.get('v')}")
        if message.direction not in ("either", "worker → broker"):
            raise ValueError(f"a worker does not send {message.name}")
        for key in message.required:
            if key not in fields:
                raise ValueError(f"{message.name} lacks {key}")
        for key, value in fields.items():
            if key not in ("v", "t", *message.required, *message.optional):
                raise ValueError(f"{message.name} does not have {key}")
            self._check_value(message.name, self.fields[key], value)
        return message, fields

    def _check_value(self, where: str, field: Field, value: Any) -> None:
        where = f"{where}.{field.key}"
        listed = re.fullmatch(r"array of (\w+)(?: of (\w+))?", field.kind)
        wanted = (list,) if listed else _TYPES[field.kind]
        if not isinstance(value, wanted) or isinstance(value, bool) != (wanted == (bool,)):
            raise ValueError(f"{where} is {type(value).__name__}, not {field.kind}")
        size = value
        if isinstance(value, (str, bytes, list, dict)):
            size = len(value.encode()) if isinstance(value, str) else len(value)
        if not field.low <= size <= field.high:
            raise ValueError(f"{where} is out of its range: {size}")
        if listed and listed[2]:
            for item in value:
                self._check_record(where, listed[2], item)

    def _check_record(self, where: str, name: str, item: Any) -> None:
        record = self.records[name]
        if not isinstance(item, dict):
            raise ValueError(f"{where} has an item that is not a map")
        for key, field in record.items():
            if key in item:
                self._check_value(where, field, item[key])
            elif field.name == "required":
                raise ValueError(f"{where} has an item without {key}")
        for key in item:
            if key not in record:
                raise ValueError(f"{where} has an item with {key}")


def _keys(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)

"""Logs: two readers, one rule: nothing private."""

import json
import logging
from pathlib import Path

import pytest

from escrow import logs

PRIVATE = {
    "a phone number": ("254712345678", "0712***678"),
    "with a plus": ("+254112345678", "0112***678"),
    "at home": ("0712345678", "0712***678"),
    "a receipt": ("SG632NMUAB", "SG6****UAB"),
    "a request id": ("ws_CO_12032023195619069708374149", "ws_CO_***"),
    "a bot token": ("1234567:AAF-abcdefghijklmnopqrstuvwxyz012345", "***token***"),
    "a path secret": ("0123456789abcdef0123456789abcdef", "***secret***"),
}


@pytest.mark.parametrize("name", PRIVATE)
def test_it_is_masked_wherever_it_stands(name: str) -> None:
    plain, masked = PRIVATE[name]
    for text in (plain, f"before {plain} after", f'{{"x": "{plain}"}}', f"/hooks/{plain}/s"):
        assert plain not in logs.mask_text(text)
        assert masked in logs.mask_text(text)


@pytest.mark.parametrize(
    "text", ["ES1008257624", "KES 10,500", "10500", "2026-11-22T20:15:00", "update 281595136"]
)
def test_deals_amounts_and_times_stay_readable(text: str) -> None:
    assert logs.mask_text(text) == text


def test_the_file_has_one_json_object_a_line_with_the_facts(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = logging.getLogger()
    before, level = list(root.handlers), root.level
    path = tmp_path / "logs" / "app.log"
    try:
        logs.set_up("INFO", str(path))
        logging.getLogger("amana.test").info(
            "payment %s", "committed", extra={"action": "committed", "phone": "254712345678"}
        )
        try:
            raise ValueError("no 0712345678")
        except ValueError:
            logging.getLogger("amana.test").exception("it failed")
    finally:
        for handler in root.handlers:
            handler.close()
        root.handlers[:] = before
        root.setLevel(level)
    first, second = (json.loads(line) for line in path.read_text().splitlines())
    assert first["message"] == "payment committed"
    assert first["action"] == "committed"
    assert first["phone"] == "0712***678"
    assert "ValueError: no 0712***678" in second["error"]
    console = capsys.readouterr().out
    assert "payment committed · action=committed phone=0712***678" in console
    assert "345678" not in console

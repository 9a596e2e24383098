"""A picture is drawn whatever the figures are, beside the loop, and says them truly."""

import asyncio
import io
import subprocess
import sys
import threading

import pytest
from PIL import Image

from escrow.bot import charts
from escrow.bot.charts import Panel, picture, short

DAYS = [f"{day} Nov" for day in range(1, 31)]
PANELS = [
    Panel("Held at the end of each day, KES", [day * 40_000 for day in range(30)], area=True),
    Panel("Released per day, KES", [day % 7 * 15_000 for day in range(30)]),
]


def read(png: bytes) -> Image.Image:
    found = Image.open(io.BytesIO(png))
    found.load()
    return found


async def test_it_is_a_png_for_a_phone() -> None:
    png = await picture("Amana, 1 - 30 Nov 2026", DAYS, PANELS)
    found = read(png)
    assert found.format == "PNG"
    assert found.width == 1080
    assert 900 < found.height < 1400
    assert len(png) < 200_000


@pytest.mark.parametrize(
    "values", [[0] * 30, [1], [0], [], [10**13] * 30, [0, 0, 1], list(range(31))]
)
@pytest.mark.parametrize("area", [True, False])
async def test_any_figures_can_be_drawn(values: list[int], area: bool) -> None:
    labels = [str(number) for number in range(len(values))]
    assert read(await picture("Ripoti ya Novemba – ąß", labels, [Panel("x", values, area)])).width


async def test_twice_as_much_is_twice_as_high() -> None:
    """Counted in the picture: the pixels of the bars."""
    values = [0] * 30
    values[5], values[20] = 30_000, 60_000
    found = read(await picture("t", DAYS, [Panel("p", values)])).convert("RGB")
    assert [_height(found, 5), _height(found, 20)] == pytest.approx([150, 300], abs=4)
    assert _height(found, 10) == 0


def _height(found: Image.Image, place: int) -> int:
    """How many pixels of that bar's middle are as orange as bars are."""
    left, right = charts._slot(place, 30)
    x = (left + right) // 2 // charts._SCALE
    colours = (found.getpixel((x, y)) for y in range(found.height))
    return sum(one[0] > 180 and one[2] < 90 for one in colours if isinstance(one, tuple))


async def test_other_work_goes_on_while_it_is_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    where: list[threading.Thread] = []
    gate = threading.Event()

    def draws(*_: object) -> bytes:
        where.append(threading.current_thread())
        assert gate.wait(10)
        return b""

    monkeypatch.setattr(charts, "_draw", draws)
    drawing = asyncio.create_task(picture("t", DAYS, PANELS))
    while not where:  # noqa: ASYNC110 the thread says it
        await asyncio.sleep(0)
    gate.set()  # this runs while the drawing waits for it
    await drawing
    assert where[0] is not threading.main_thread()


@pytest.mark.parametrize(
    ("units", "shown"),
    [
        (0, "0"),
        (950, "950"),
        (1_000, "1K"),
        (2_500, "2.5K"),
        (400_000, "400K"),
        (1_250_000, "1.2M"),
        (3_000_000_000, "3B"),
    ],
)
def test_axes_are_short(units: int, shown: str) -> None:
    assert short(units) == shown


@pytest.mark.parametrize(("largest", "top"), [(0, 1), (1, 1), (7, 8), (41, 60), (900_000, 10**6)])
def test_axes_end_at_a_round_number(largest: int, top: int) -> None:
    assert charts._top([0, largest]) == top


def test_nothing_that_draws_is_loaded_at_the_start() -> None:
    """A process that only runs Amana never pays for the library."""
    asked = "import main, escrow.program, escrow_handlers_admin, sys; print('PIL' in sys.modules)"
    said = subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True, check=True)
    assert said.stdout.strip() == "False"

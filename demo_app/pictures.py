"""The shop's pictures: calm shapes in two colours, the same each time for the same product."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

WIDTH, HEIGHT = 400, 300
#: Ground and figure; the figure stands out from its ground by at least 3 to 1.
PALETTES = (
    ("#ead9c6", "#8a4b2a"),
    ("#dde6dc", "#3f6b57"),
    ("#ece0c4", "#86611a"),
    ("#d8e2e8", "#3b5f78"),
    ("#efdcd6", "#9a4a45"),
    ("#e2e0d0", "#565f43"),
    ("#e6dde6", "#6b4a6b"),
    ("#f2e2c6", "#a85a1c"),
)
#: Draws a shape; takes ground, figure and a number from 0 to 1 that makes each one a little different.
Shape = Callable[[str, str, float], str]


def picture(shape: str, slug: str) -> str:
    """The SVG text for a product; raises KeyError for an unknown shape."""
    seed = hashlib.sha256(slug.encode()).digest()
    ground, figure = PALETTES[seed[0] % len(PALETTES)]
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}">'
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="{ground}"/>{SHAPES[shape](ground, figure, seed[1] / 255)}</svg>'
    )


def _circle(x: float, y: float, radius: float, colour: str) -> str:
    return f'<circle cx="{x:.0f}" cy="{y:.0f}" r="{radius:.0f}" fill="{colour}"/>'


def _ring(x: float, y: float, radius: float, colour: str, line: float) -> str:
    return (
        f'<circle cx="{x:.0f}" cy="{y:.0f}" r="{radius:.0f}" fill="none" stroke="{colour}" stroke-width="{line:.0f}"/>'
    )


def _block(x: float, y: float, width: float, height: float, colour: str, corner: float = 0) -> str:
    return (
        f'<rect x="{x:.0f}" y="{y:.0f}" width="{width:.0f}" height="{height:.0f}" rx="{corner:.0f}" fill="{colour}"/>'
    )


def _area(steps: str, colour: str) -> str:
    return f'<path d="{steps}" fill="{colour}"/>'


def _line(steps: str, colour: str, width: float) -> str:
    return f'<path d="{steps}" fill="none" stroke="{colour}" stroke-width="{width:.0f}" stroke-linecap="round"/>'


def _turned(degrees: float, inner: str) -> str:
    return f'<g transform="rotate({degrees:.1f} 200 150)">{inner}</g>'


def _bowl(ground: str, figure: str, vary: float) -> str:
    radius = 92 + 20 * vary
    top = 142 - radius / 2
    half = _area(f"M{200 - radius:.0f} {top:.0f}a{radius:.0f} {radius:.0f} 0 0 0 {2 * radius:.0f} 0z", figure)
    foot = _block(164, top + radius - 4, 72, 20, figure, 4)
    return half + foot + _block(200 - radius, top + 24, 2 * radius, 6, ground)


def _jug(ground: str, figure: str, vary: float) -> str:
    handle = _ring(242, 138, 38 + 8 * vary, figure, 14)
    body = _area("M136 60h108l-12 44q28 32 28 76q0 40-28 60h-84q-28-20-28-60q0-44 28-76z", figure)
    return handle + body + _block(120, 168, 140, 6, ground)


def _plate(ground: str, figure: str, vary: float) -> str:
    return _circle(200, 150, 108, figure) + _ring(200, 150, 68 + 12 * vary, ground, 5)


def _cloth(ground: str, figure: str, vary: float) -> str:
    bend = 16 + 16 * vary
    folds = "".join(_line(f"M104 {y}q48 {-bend:.0f} 96 0t96 0", ground, 6) for y in (114, 150, 186))
    return _block(104, 72, 192, 156, figure, 16) + folds


def _blanket(ground: str, figure: str, vary: float) -> str:
    stripes = "".join(_block(112, y, 176, 6, ground) for y in (104, 118, 182 + 8 * vary, 196 + 8 * vary))
    fringe = "".join(_block(118 + 24 * n, 232, 6, 20, figure, 3) for n in range(7))
    return fringe + _block(112, 52, 176, 184, figure, 12) + stripes


def _pan(ground: str, figure: str, vary: float) -> str:
    round_ = _line("M236 150H348", figure, 24) + _circle(164, 150, 92, figure) + _ring(164, 150, 72, ground, 5)
    return _turned(-24 + 16 * vary, round_ + _circle(344, 150, 5, ground))


def _lamp(ground: str, figure: str, vary: float) -> str:
    reach = 40 + 16 * vary
    arm = _line(f"M148 232V116q0-40 40-40h{reach:.0f}", figure, 12)
    x = 188 + reach
    shade = _area(f"M{x - 56:.0f} 132a56 56 0 0 1 112 0z", figure) + _circle(x, 144, 12, figure)
    return arm + shade + _block(104, 226, 88, 14, figure, 7)


def _book(ground: str, figure: str, vary: float) -> str:
    cover = _block(130, 56, 140, 188, figure, 8) + _block(150, 56, 6, 188, ground)
    return _turned(-8 + 16 * vary, cover + _block(184, 92, 56, 32, ground, 4))


def _pencils(ground: str, figure: str, vary: float) -> str:
    tops = (96 - 24 * vary, 56, 84, 64 + 32 * vary)
    pencils = "".join(_area(f"M{133 + 36 * n} 200V{y + 24:.0f}l13-24l13 24V200z", figure) for n, y in enumerate(tops))
    return pencils + _block(116, 184, 168, 6, ground) + _block(116, 190, 168, 60, figure, 8)


def _tray(ground: str, figure: str, vary: float) -> str:
    sheets = "".join(
        _block(124 + 4 * n, y, 152 - 8 * n, 8, figure, 2) for n, y in enumerate((148, 128, 108 - 8 * vary))
    )
    return sheets + _area("M96 164h208v60q0 12-12 12h-184q-12 0-12-12z", figure) + _block(168, 164, 64, 24, ground, 12)


def _knife(ground: str, figure: str, vary: float) -> str:
    blade = _area("M56 150q60-24 176-20v40q-116 4-176-20z", figure) + _block(232, 136, 112, 28, figure, 14)
    return _turned(-36 + 16 * vary, blade + _block(240, 130, 6, 40, ground) + _circle(324, 150, 5, ground))


def _basket(ground: str, figure: str, vary: float) -> str:
    handle = _line(f"M108 148C108 {44 + 16 * vary:.0f} 292 {44 + 16 * vary:.0f} 292 148", figure, 12)
    boat = _area("M84 144h232q-12 92-68 92h-96q-56 0-68-92z", figure)
    return handle + boat + _line("M96 176H304", ground, 5) + _line("M112 204H288", ground, 5)


def _can(ground: str, figure: str, vary: float) -> str:
    spout = _line("M176 204L88 112", figure, 14) + _line(f"M{72 + 4 * vary:.0f} 124l28-28", figure, 12)
    handle = _line("M180 120C176 48 264 48 260 120", figure, 12)
    return spout + handle + _block(160, 116, 120, 124, figure, 12) + _block(160, 140, 120, 6, ground)


def _pot(ground: str, figure: str, vary: float) -> str:
    top = 88 - 16 * vary
    stem = _line(f"M200 180V{top + 24:.0f}", figure, 8)
    left = _area(f"M200 {top + 56:.0f}q-72 4-76-56q68-4 76 56z", figure)
    right = _area(f"M200 {top + 32:.0f}q72 4 76-56q-68-4-76 56z", figure)
    return stem + left + right + _area("M136 168h128l-16 84h-96z", figure) + _block(136, 192, 128, 6, ground)


def _fork(ground: str, figure: str, vary: float) -> str:
    tines = "".join(_line(f"M{x} 64V132", figure, 10) for x in (168, 200, 232))
    head = _line("M168 132q0 24 32 24t32-24", figure, 10) + _line("M200 156V188", figure, 10)
    return _turned(
        16 + 24 * vary, tines + head + _block(188, 180, 24, 76, figure, 12) + _block(184, 196, 32, 5, ground)
    )


def _meadow(ground: str, figure: str, vary: float) -> str:
    sun = _circle(120 + 160 * vary, 96, 40, figure)
    hills = _area("M0 212Q100 132 200 192T400 164V300H0z", figure)
    return sun + hills + _line("M-8 256Q100 188 200 240T408 212", ground, 6)


def _pillow(ground: str, figure: str, vary: float) -> str:
    case = _area("M92 88q108 20 216 0q-16 62 0 124q-108-20-216 0q16-62 0-124z", figure)
    return _turned(-6 + 12 * vary, case + _line("M128 116q72 10 144 0", ground, 5))


def _candles(ground: str, figure: str, vary: float) -> str:
    def candle(x: float, top: float) -> str:
        flame = _area(f"M{x:.0f} {top - 56:.0f}q22 32 0 44q-22-12 0-44z", figure)
        return flame + _block(x - 16, top, 32, 232 - top, figure, 4)

    return candle(164, 116) + candle(236, 132 + 24 * vary) + _block(112, 228, 176, 14, figure, 7)


def _carafe(ground: str, figure: str, vary: float) -> str:
    lid = _block(172, 48, 56, 56, figure, 6)
    body = _area("M180 112h40v20q48 20 48 68v28q0 16-16 16h-104q-16 0-16-16v-28q0-48 48-68z", figure)
    return lid + body + _line(f"M148 {188 + 16 * vary:.0f}q26-10 52 0t52 0", ground, 6)


def _bench(ground: str, figure: str, vary: float) -> str:
    legs = "".join(_line(f"M{x} 152L{x - lean} 224", figure, 12) for x, lean in ((116, 12), (284, -12)))
    weave = "".join(_block(88 + 32 * n, 128, 5, 28, ground) for n in range(1, 7))
    return legs + _block(80, 124, 240, 36, figure, 8) + weave + _block(108, 188, 184, 6 + 4 * vary, figure)


def _cup(ground: str, figure: str, vary: float) -> str:
    top = 108 - 12 * vary
    body = _area(f"M124 {top:.0f}h136v{132 - top:.0f}q0 92-68 92t-68-92z", figure)
    saucer = _block(96, 232, 192, 12, figure, 6)
    return _ring(262, top + 44, 32, figure, 14) + body + saucer + _block(124, top + 20, 136, 6, ground)


def _kettle(ground: str, figure: str, vary: float) -> str:
    handle = _line(f"M136 120C136 {36 + 12 * vary:.0f} 264 {36 + 12 * vary:.0f} 264 120", figure, 12)
    spout = _area("M268 148l56-28 8 16-52 64z", figure)
    body = _area("M140 120h120q40 44 40 88 0 28-28 28h-144q-28 0-28-28 0-44 40-88z", figure)
    return handle + spout + body + _circle(200, 112, 12, figure) + _block(112, 184, 176, 6, ground)


def _spoon(ground: str, figure: str, vary: float) -> str:
    bowl = f'<ellipse cx="116" cy="150" rx="52" ry="36" fill="{figure}"/>'
    return _turned(-32 + 20 * vary, _line("M160 150H332", figure, 16) + bowl + _circle(328, 150, 4, ground))


def _board(ground: str, figure: str, vary: float) -> str:
    cuts = "".join(_line(f"M{136 + 24 * n} {124 + 8 * vary:.0f}l40 40", ground, 4) for n in range(4))
    hole = _circle(312, 150, 10, ground)
    return _turned(-6 + 12 * vary, _block(76, 84, 260, 132, figure, 20) + hole + cuts)


def _clock(ground: str, figure: str, vary: float) -> str:
    hours = "".join(f'<g transform="rotate({30 * n} 200 150)">{_block(197, 60, 6, 12, ground)}</g>' for n in range(12))
    hand = f'<g transform="rotate({360 * vary:.0f} 200 150)">{_line("M200 150V84", ground, 6)}</g>'
    return _circle(200, 150, 104, figure) + hours + hand + _line("M200 150L236 168", ground, 8)


def _stool(ground: str, figure: str, vary: float) -> str:
    legs = "".join(_line(f"M{x} 132L{x + lean} 240", figure, 12) for x, lean in ((140, -20), (200, 0), (260, 20)))
    rung = _line(f"M132 {188 + 16 * vary:.0f}H268", figure, 8)
    return legs + rung + _block(104, 104, 192, 36, figure, 18) + _block(124, 120, 152, 5, ground)


def _bottle(ground: str, figure: str, vary: float) -> str:
    neck = _block(182, 44, 36, 80, figure, 6)
    body = _area("M182 104h36q4 24 28 40v84q0 20-20 20h-52q-20 0-20-20v-84q24-16 28-40z", figure)
    return neck + body + _block(166, 164 + 12 * vary, 68, 48, ground, 4)


def _broom(ground: str, figure: str, vary: float) -> str:
    twigs = "".join(_line(f"M200 148L{152 + 16 * n} 252", figure, 9) for n in range(7))
    bands = _line("M186 168H214", ground, 5) + _line("M180 184H220", ground, 5)
    return _turned(16 + 20 * vary, _line("M200 36V150", figure, 10) + twigs + bands)


def _box(ground: str, figure: str, vary: float) -> str:
    lid = _block(92, 84, 216, 44, figure, 8)
    label = _block(164, 160 + 8 * vary, 72, 36, ground, 4)
    return lid + _block(104, 136, 192, 104, figure, 8) + label


def _socks(ground: str, figure: str, vary: float) -> str:
    sock = "M132 56h56v100q0 12 10 20l30 24q20 18 4 36t-40 8l-48-32q-12-8-12-28z"
    pair = _area(sock, figure) + _block(132, 80 + 8 * vary, 56, 6, ground)
    return f'<g transform="translate(72 8)">{pair}</g>' + f'<g transform="translate(-24 0)">{pair}</g>'


def _lantern(ground: str, figure: str, vary: float) -> str:
    hat = _ring(200, 56, 16, figure, 8) + _area("M144 108l24-40h64l24 40z", figure)
    flame = _area(f"M200 {132 - 8 * vary:.0f}q28 36 0 60q-28-24 0-60z", figure)
    return (
        hat
        + _block(152, 108, 96, 116, figure, 4)
        + _block(164, 120, 72, 92, ground)
        + flame
        + _block(136, 224, 128, 16, figure, 6)
    )


def _ruler(ground: str, figure: str, vary: float) -> str:
    marks = "".join(_block(72 + 16 * n, 124, 3, 24 if n % 4 == 0 else 12, ground) for n in range(17))
    return _turned(-24 + 16 * vary, _block(56, 124, 288, 52, figure, 4) + marks)


SHAPES: dict[str, Shape] = {
    "basket": _basket,
    "bench": _bench,
    "blanket": _blanket,
    "board": _board,
    "book": _book,
    "bottle": _bottle,
    "bowl": _bowl,
    "box": _box,
    "broom": _broom,
    "can": _can,
    "candles": _candles,
    "carafe": _carafe,
    "clock": _clock,
    "cloth": _cloth,
    "cup": _cup,
    "fork": _fork,
    "jug": _jug,
    "kettle": _kettle,
    "knife": _knife,
    "lamp": _lamp,
    "lantern": _lantern,
    "meadow": _meadow,
    "pan": _pan,
    "pencils": _pencils,
    "pillow": _pillow,
    "plate": _plate,
    "pot": _pot,
    "ruler": _ruler,
    "socks": _socks,
    "spoon": _spoon,
    "stool": _stool,
    "tray": _tray,
}

"""The catalogue the shop starts with: twenty made-up products in four categories."""

from __future__ import annotations

import datetime
from typing import TypedDict

#: Slug and name of each category, in the order they are shown.
CATEGORIES = {"kitchen": "Kitchen", "desk": "Desk", "garden": "Garden", "rest": "Rest"}


class ProductRow(TypedDict):
    """One product as the catalogue writes it down; the columns of the table but the id."""

    slug: str
    name: str
    category: str
    shape: str
    price_cents: int
    summary: str
    description: str
    material: str
    size: str
    added_on: datetime.date


def _product(
    slug: str,
    name: str,
    category: str,
    shape: str,
    price_cents: int,
    added: str,
    summary: str,
    material: str,
    size: str,
    text: str,
) -> ProductRow:
    return ProductRow(
        slug=slug,
        name=name,
        category=category,
        shape=shape,
        price_cents=price_cents,
        summary=summary,
        description=text,
        material=material,
        size=size,
        added_on=datetime.date.fromisoformat(added),
    )


PRODUCTS: tuple[ProductRow, ...] = (
    _product(
        "alder-mixing-bowl", "Alder mixing bowl", "kitchen", "bowl", 5400, "2026-03-02",
        "Turned in one piece, wide enough for a loaf.",
        "Alder, linseed oil", "30 cm across, 12 cm high, 1.1 kg",
        "A bowl for dough and for the table. The rim is left thick, so that one hand can hold it while the other "
        "works. It darkens with use; oil it twice a year and it will outlive the recipe.",
    ),
    _product(
        "stoneware-jug", "Stoneware jug", "kitchen", "jug", 3900, "2026-05-18",
        "Pours without a drip, stands without a wobble.",
        "Stoneware, matt glaze", "21 cm high, holds 1.2 litres",
        "Thrown thick at the foot and thin at the lip. The handle takes three fingers, the spout cuts the stream "
        "clean. Water, milk, or a few branches from the garden.",
    ),
    _product(
        "everyday-plate", "Everyday plate", "kitchen", "plate", 1850, "2026-01-12",
        "The plate you reach for first.",
        "Stoneware, clear glaze", "24 cm across, 560 g",
        "Flat enough for bread, deep enough for soup that is nearly a stew. They stack tightly, survive the "
        "dishwasher, and a broken one can be replaced by one that matches.",
    ),
    _product(
        "linen-tea-towels", "Linen tea towels, set of three", "kitchen", "cloth", 2700, "2026-08-24",
        "Dry a whole supper without going limp.",
        "Linen, 220 g/m²", "50 by 70 cm each",
        "Woven with a little twist in the yarn, so that they drink from the first wash on. A loop at the corner, a "
        "narrow hem, no print to fade.",
    ),
    _product(
        "iron-pan", "Hammered iron pan", "kitchen", "pan", 7900, "2026-10-05",
        "Heavy, black, and better every year.",
        "Wrought iron, beech handle", "26 cm across, 1.9 kg",
        "Forged from three millimetres of iron and seasoned before it leaves us. Takes the heat of any stove and "
        "of a fire. Wipe it, warm it, oil it: that is all the care it wants.",
    ),
    _product(
        "arc-desk-lamp", "Arc desk lamp", "desk", "lamp", 12900, "2026-09-14",
        "A warm circle of light where the work is.",
        "Powdered steel, cotton cable", "46 cm high, cable 2 m, 6 W lamp included",
        "The arm stays where you leave it. The shade hides the lamp from your eyes and from whoever sits across. A "
        "turn of the knob takes it from reading to late.",
    ),
    _product(
        "field-notebook", "Field notebook", "desk", "book", 1400, "2026-02-09",
        "96 sewn pages that lie flat.",
        "Recycled paper, 100 g/m²", "13 by 21 cm, 96 pages",
        "Thread-sewn in six sections under a cover that bends and does not crack. Dotted on the left, blank on the "
        "right. The last page is a ruler.",
    ),
    _product(
        "cedar-pencils", "Cedar pencils, dozen", "desk", "pencils", 1600, "2026-04-20",
        "Sharpen sweetly, write dark.",
        "Incense cedar, graphite 2B", "17.5 cm, twelve in a box",
        "Unpainted, so that you smell the wood. Soft enough for a shopping list, firm enough for a drawing. The "
        "box closes with a paper band and serves as a tray.",
    ),
    _product(
        "oak-letter-tray", "Oak letter tray", "desk", "tray", 4800, "2026-06-29",
        "One place for what must not be forgotten.",
        "Oak, dovetailed", "32 by 24 cm, 6 cm high",
        "Four dovetails, no screws. Two trays stand on one another without sliding. A notch at the front lets a "
        "thumb lift the whole pile.",
    ),
    _product(
        "brass-paper-knife", "Brass paper knife", "desk", "knife", 2950, "2026-07-13",
        "Opens letters, marks pages, keeps its shine.",
        "Solid brass", "19 cm, 64 g",
        "Ground from a single bar and polished by hand on one side only; the other is left as the file left it. "
        "Blunt enough for a pocket.",
    ),
    _product(
        "hazel-trug", "Hazel trug", "garden", "basket", 6200, "2026-03-30",
        "Carries apples and forgives mud.",
        "Hazel, willow slats", "48 by 28 cm, holds 9 litres",
        "A shallow basket that is as light as it looks. The handle is one steamed rod which runs under the boat, "
        "so the load hangs from wood and not from nails.",
    ),
    _product(
        "copper-watering-can", "Copper watering can", "garden", "can", 8900, "2026-10-19",
        "A long neck and a soft rain.",
        "Copper, brass rose", "38 cm long, holds 2 litres",
        "Balanced so that it pours from the wrist. The rose unscrews for seedlings that want a thread and not a "
        "shower. It will turn brown, then green, as it pleases.",
    ),
    _product(
        "terracotta-pots", "Terracotta pots, set of four", "garden", "pot", 3400, "2026-04-06",
        "Frost-proof, plain, and in four sizes that nest.",
        "Terracotta, fired at 1,060 °C", "12, 16, 20 and 24 cm across",
        "Thick walls keep roots cool in August and whole in January. The hole at the bottom is where it should be. "
        "They winter inside one another.",
    ),
    _product(
        "hand-fork", "Hand fork", "garden", "fork", 2400, "2026-05-04",
        "Three tines that do not bend.",
        "Carbon steel, ash handle", "29 cm, 240 g",
        "The tang goes all the way through the handle and is riveted at the end. For weeds with opinions and for "
        "moving a primrose without waking it.",
    ),
    _product(
        "meadow-seed", "Meadow seed", "garden", "meadow", 950, "2026-02-23",
        "Twenty-two flowers for ten square metres.",
        "Seed, 22 kinds, no grasses", "40 g, sow March to May",
        "Cornflower, ox-eye, yarrow, wild carrot and eighteen more that get along. Rake, scatter, step on it, "
        "wait. The second summer is the good one.",
    ),
    _product(
        "wool-blanket", "Undyed wool blanket", "rest", "blanket", 14900, "2026-09-28",
        "Warm without weight, in the colours of the sheep.",
        "New wool, woven in herringbone", "140 by 200 cm, 1.3 kg",
        "Three fleeces, nothing added. Washed soft before it is cut, so that it will not shrink when you wash it. "
        "For the sofa, the garden in April, and the second half of the night.",
    ),
    _product(
        "buckwheat-pillow", "Buckwheat pillow", "rest", "pillow", 4600, "2026-06-08",
        "Takes the shape of your neck and keeps it.",
        "Cotton cover, buckwheat hulls", "35 by 50 cm, 2.1 kg",
        "It rustles for the first week and then you miss the sound elsewhere. A zip lets you take some out or put "
        "some back. Cool on the warm side, too.",
    ),
    _product(
        "beeswax-candles", "Beeswax candles, pair", "rest", "candles", 1900, "2026-08-10",
        "Nine hours each, no drip, a little honey.",
        "Beeswax, cotton wick", "25 cm high, 2.2 cm across",
        "Dipped twenty-eight times. They burn with a tall calm flame and leave nothing on the cloth. Let the first "
        "hour melt the whole top.",
    ),
    _product(
        "night-carafe", "Night carafe", "rest", "carafe", 3200, "2026-07-27",
        "Water by the bed, its glass upside down on top.",
        "Recycled glass, mouth-blown", "20 cm high, holds 0.6 litres",
        "The tumbler is the lid, so there is one thing fewer to look for in the dark. Each is a shade of green of "
        "its own, depending on the bottles of the week.",
    ),
    _product(
        "reading-bench", "Reading bench", "rest", "bench", 32500, "2026-10-26",
        "Long enough to lie on, low enough to forget.",
        "Ash, woven paper cord", "140 by 42 cm, 41 cm high",
        "The seat is a hundred and thirty metres of paper cord, woven by one person in a day and a half. It gives "
        "a little and gives it back. Comes in one piece, carried in by two.",
    ),
)  # fmt: skip

"""What is for sale for rest."""

from __future__ import annotations

from demo_app.catalogue.rows import ProductRow, product

PRODUCTS: tuple[ProductRow, ...] = (
    product(
        "wool-blanket", "Undyed wool blanket", "rest", "blanket", 14900, "2026-09-28",
        "linden-mill", "wool warm lasting",
        "Warm without weight, in the colours of the sheep.",
        "New wool, woven in herringbone", "140 by 200 cm, 1.3 kg",
        "Three fleeces, nothing added. Washed soft before it is cut, so that it will not shrink when you wash it. "
        "For the sofa, the garden in April, and the second half of the night.",
    ),
    product(
        "buckwheat-pillow", "Buckwheat pillow", "rest", "pillow", 4600, "2026-06-08",
        "linden-mill", "cotton sleep washable",
        "Takes the shape of your neck and keeps it.",
        "Cotton cover, buckwheat hulls", "35 by 50 cm, 2.1 kg",
        "It rustles for the first week and then you miss the sound elsewhere. A zip lets you take some out or put "
        "some back. Cool on the warm side, too.",
    ),
    product(
        "beeswax-candles", "Beeswax candles, pair", "rest", "candles", 1900, "2026-08-10",
        "candlemere", "wax light gift",
        "Nine hours each, no drip, a little honey.",
        "Beeswax, cotton wick", "25 cm high, 2.2 cm across",
        "Dipped twenty-eight times. They burn with a tall calm flame and leave nothing on the cloth. Let the "
        "first hour melt the whole top.",
    ),
    product(
        "night-carafe", "Night carafe", "rest", "carafe", 3200, "2026-07-27",
        "greenglass", "glass sleep handmade",
        "Water by the bed, its glass upside down on top.",
        "Recycled glass, mouth-blown", "20 cm high, holds 0.6 litres",
        "The tumbler is the lid, so there is one thing fewer to look for in the dark. Each is a shade of green of "
        "its own, depending on the bottles of the week.",
    ),
    product(
        "reading-bench", "Reading bench", "rest", "bench", 32500, "2026-10-26",
        "alderman", "wood seat lasting",
        "Long enough to lie on, low enough to forget.",
        "Ash, woven paper cord", "140 by 42 cm, 41 cm high",
        "The seat is a hundred and thirty metres of paper cord, woven by one person in a day and a half. It gives "
        "a little and gives it back. Comes in one piece, carried in by two.",
    ),
    product(
        "linen-sheets", "Linen sheets", "rest", "cloth", 18900, "2026-01-12",
        "linden-mill", "linen sleep washable",
        "Cool at first, warm a minute later.",
        "Linen, 180 g/m², washed", "240 by 260 cm, two pillow cases",
        "Softened with stones and nothing else. No ironing, on principle.",
    ),
    product(
        "wool-socks", "Bed socks", "rest", "socks", 2400, "2026-02-09",
        "linden-mill", "wool warm gift",
        "For feet that go to bed cold.",
        "New wool, undyed", "36 to 39, 40 to 43",
        "Knitted loosely at the cuff, so that nothing presses. They felt a little in the first week, which is the "
        "idea.",
    ),
    product(
        "tea-bowl", "Evening tea bowl", "rest", "cup", 1950, "2026-03-30",
        "pot-house", "clay table warm",
        "No handle: the warmth is the point.",
        "Stoneware, ash glaze", "8 cm high, 200 ml",
        "The glaze is the ash of the kiln that fired it. When you can hold it, you can drink it.",
    ),
    product(
        "footstool", "Footstool", "rest", "stool", 8900, "2026-04-13",
        "alderman", "wood seat handmade",
        "The other half of any chair.",
        "Ash, woven paper cord", "38 cm high, 44 cm across",
        "The same cord as on the reading bench, and the same hands. It has carried a grown man changing a bulb.",
    ),
    product(
        "bath-brush", "Bath brush", "rest", "broom", 2900, "2026-05-04",
        "alderman", "wood washable",
        "Reaches what you do not.",
        "Beech, horsehair", "42 cm",
        "The head comes off its handle for the feet. Hang it up by the loop and it dries by morning.",
    ),
    product(
        "hammam-towel", "Flat woven towel", "rest", "blanket", 3900, "2026-06-29",
        "linden-mill", "cotton washable",
        "Thin, quick, and big enough to wear.",
        "Cotton, woven flat", "100 by 180 cm, 310 g",
        "Dries you, then dries itself in an hour. The fringe is knotted by hand, twice, and stays.",
    ),
    product(
        "tea-lights", "Tea lights, twenty", "rest", "candles", 1200, "2026-07-13",
        "candlemere", "wax light refill",
        "Four hours each, no tin left over.",
        "Beeswax, cotton wick", "3.8 cm across",
        "They stand in a glass of their own that you keep. Twenty of them are an evening in company.",
    ),
    product(
        "bedside-lamp", "Bedside lamp", "rest", "lamp", 9800, "2026-08-24",
        "thornwick", "metal light sleep",
        "Dims to the colour of a coal.",
        "Powdered steel, linen shade", "32 cm high, 4 W lamp included",
        "Turn the foot to dim it, press it for dark. It remembers how you left it.",
    ),
    product(
        "sleep-clock", "Alarm clock with a bell", "rest", "clock", 5400, "2026-09-07",
        "alderman", "wood sleep gift",
        "One small bell, struck once, then twice.",
        "Cherry, brass bell", "11 cm across",
        "It begins gently and gives you a minute. Wound on Sundays.",
    ),
    product(
        "reading-pillow", "Reading wedge", "rest", "pillow", 6900, "2026-09-21",
        "linden-mill", "wool sleep warm",
        "Sits you up in bed until the chapter ends.",
        "Wool filling, linen cover", "60 by 45 by 25 cm",
        "Filled with combed wool that stays where it is. The side pocket takes glasses and a pencil.",
    ),
)  # fmt: skip

"""What is for sale for the desk."""

from __future__ import annotations

from demo_app.catalogue.rows import ProductRow, product

PRODUCTS: tuple[ProductRow, ...] = (
    product(
        "arc-desk-lamp", "Arc desk lamp", "desk", "lamp", 12900, "2026-09-14",
        "thornwick", "metal light",
        "A warm circle of light where the work is.",
        "Powdered steel, cotton cable", "46 cm high, cable 2 m, 6 W lamp included",
        "The arm stays where you leave it. The shade hides the lamp from your eyes and from whoever sits across. "
        "A turn of the knob takes it from reading to late.",
    ),
    product(
        "field-notebook", "Field notebook", "desk", "book", 1400, "2026-02-09",
        "paper-lane", "paper writing pocket",
        "96 sewn pages that lie flat.",
        "Recycled paper, 100 g/m²", "13 by 21 cm, 96 pages",
        "Thread-sewn in six sections under a cover that bends and does not crack. Dotted on the left, blank on "
        "the right. The last page is a ruler.",
    ),
    product(
        "cedar-pencils", "Cedar pencils, dozen", "desk", "pencils", 1600, "2026-04-20",
        "paper-lane", "wood writing gift",
        "Sharpen sweetly, write dark.",
        "Incense cedar, graphite 2B", "17.5 cm, twelve in a box",
        "Unpainted, so that you smell the wood. Soft enough for a shopping list, firm enough for a drawing. The "
        "box closes with a paper band and serves as a tray.",
    ),
    product(
        "oak-letter-tray", "Oak letter tray", "desk", "tray", 4800, "2026-06-29",
        "alderman", "wood tidy handmade",
        "One place for what must not be forgotten.",
        "Oak, dovetailed", "32 by 24 cm, 6 cm high",
        "Four dovetails, no screws. Two trays stand on one another without sliding. A notch at the front lets a "
        "thumb lift the whole pile.",
    ),
    product(
        "brass-paper-knife", "Brass paper knife", "desk", "knife", 2950, "2026-07-13",
        "thornwick", "metal gift pocket",
        "Opens letters, marks pages, keeps its shine.",
        "Solid brass", "19 cm, 64 g",
        "Ground from a single bar and polished by hand on one side only; the other is left as the file left it. "
        "Blunt enough for a pocket.",
    ),
    product(
        "wall-clock", "Quiet wall clock", "desk", "clock", 7400, "2026-01-19",
        "alderman", "wood tidy lasting",
        "Moves without a tick.",
        "Ash, brass hands", "28 cm across, one AA cell",
        "A sweeping movement, so that the room stays silent. No numbers: you know where the three is.",
    ),
    product(
        "desk-blotter", "Felt desk blotter", "desk", "cloth", 3800, "2026-02-02",
        "linden-mill", "wool writing tidy",
        "A quiet field for keyboard, cup and elbows.",
        "New wool felt, 4 mm", "66 by 40 cm",
        "Pressed from offcuts of the blanket loom. Coffee stays on top for as long as it takes to find a cloth.",
    ),
    product(
        "letter-paper", "Letter paper, fifty sheets", "desk", "book", 1850, "2026-03-09",
        "paper-lane", "paper writing gift",
        "For the two letters a year that matter.",
        "Cotton paper, 120 g/m²", "A5, 50 sheets, 25 envelopes",
        "Takes ink without a feather. The envelopes are lined with the pattern of the month they were made in.",
    ),
    product(
        "pen-tray", "Plum pen tray", "desk", "tray", 2700, "2026-03-23",
        "alderman", "wood writing tidy",
        "Four hollows, and nothing rolls off.",
        "Plum, oiled", "24 by 9 cm",
        "Scooped out by a round plane; you see its path in the bottom. One of the hollows is for what you always "
        "look for.",
    ),
    product(
        "brass-ruler", "Brass ruler", "desk", "ruler", 1900, "2026-04-13",
        "thornwick", "metal writing pocket",
        "Thirty centimetres you can lean on.",
        "Solid brass", "30 cm, 110 g",
        "The lines are engraved, not printed, and begin at the very edge. Cork below keeps it where you put it.",
    ),
    product(
        "reading-stand", "Folding reading stand", "desk", "bench", 5200, "2026-05-11",
        "alderman", "wood writing",
        "Holds a cookbook open, or a screen up.",
        "Walnut, brass hinge", "30 by 22 cm, folds flat",
        "Three slopes, and a lip with two pins for thick books. Folded, it is a board that goes between books.",
    ),
    product(
        "waste-basket", "Willow waste basket", "desk", "basket", 4300, "2026-06-22",
        "low-meadow", "wood tidy handmade",
        "Too handsome to be under the desk.",
        "Willow, unpeeled", "32 cm high, 28 cm across",
        "Woven in one afternoon of willow cut in January. The foot is doubled, where baskets usually go first.",
    ),
    product(
        "storage-box", "Linen storage box", "desk", "box", 3100, "2026-07-27",
        "linden-mill", "linen tidy",
        "Letters, cables, photographs: shut.",
        "Linen over recycled board", "33 by 24 by 12 cm",
        "Stacks four high. The label frame takes a slip of paper that you write yourself, and change.",
    ),
    product(
        "ink-bottle", "Walnut ink", "desk", "bottle", 1450, "2026-08-03",
        "paper-lane", "writing gift",
        "Brown like a fox, dry in a breath.",
        "Walnut hulls, gum arabic", "50 ml",
        "Boiled from hulls that fall in our own yard. For dip pens and brushes; a fountain pen would rather not.",
    ),
    product(
        "pocket-diary", "Pocket diary", "desk", "book", 1700, "2026-09-21",
        "paper-lane", "paper writing pocket",
        "A week, two pages, no advice.",
        "Recycled paper, 80 g/m²", "9 by 14 cm, 144 pages",
        "Begins on any Monday you like: you write the dates. There is a thread to mark the week and a pocket for "
        "the ticket.",
    ),
)  # fmt: skip

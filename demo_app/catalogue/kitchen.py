"""What is for sale for the kitchen."""

from __future__ import annotations

from demo_app.catalogue.rows import ProductRow, product

PRODUCTS: tuple[ProductRow, ...] = (
    product(
        "alder-mixing-bowl", "Alder mixing bowl", "kitchen", "bowl", 5400, "2026-03-02",
        "alderman", "wood handmade baking",
        "Turned in one piece, wide enough for a loaf.",
        "Alder, linseed oil", "30 cm across, 12 cm high, 1.1 kg",
        "A bowl for dough and for the table. The rim is left thick, so that one hand can hold it while the other "
        "works. It darkens with use; oil it twice a year and it will outlive the recipe.",
    ),
    product(
        "stoneware-jug", "Stoneware jug", "kitchen", "jug", 3900, "2026-05-18",
        "pot-house", "clay handmade table",
        "Pours without a drip, stands without a wobble.",
        "Stoneware, matt glaze", "21 cm high, holds 1.2 litres",
        "Thrown thick at the foot and thin at the lip. The handle takes three fingers, the spout cuts the stream "
        "clean. Water, milk, or a few branches from the garden.",
    ),
    product(
        "everyday-plate", "Everyday plate", "kitchen", "plate", 1850, "2026-01-12",
        "pot-house", "clay table",
        "The plate you reach for first.",
        "Stoneware, clear glaze", "24 cm across, 560 g",
        "Flat enough for bread, deep enough for soup that is nearly a stew. They stack tightly, survive the "
        "dishwasher, and a broken one can be replaced by one that matches.",
    ),
    product(
        "linen-tea-towels", "Linen tea towels, set of three", "kitchen", "cloth", 2700, "2026-08-24",
        "linden-mill", "linen washable",
        "Dry a whole supper without going limp.",
        "Linen, 220 g/m²", "50 by 70 cm each",
        "Woven with a little twist in the yarn, so that they drink from the first wash on. A loop at the corner, "
        "a narrow hem, no print to fade.",
    ),
    product(
        "iron-pan", "Hammered iron pan", "kitchen", "pan", 7900, "2026-10-05",
        "thornwick", "metal cooking lasting",
        "Heavy, black, and better every year.",
        "Wrought iron, beech handle", "26 cm across, 1.9 kg",
        "Forged from three millimetres of iron and seasoned before it leaves us. Takes the heat of any stove and "
        "of a fire. Wipe it, warm it, oil it: that is all the care it wants.",
    ),
    product(
        "cherry-spoon", "Cherry cooking spoon", "kitchen", "spoon", 1250, "2026-01-26",
        "alderman", "wood cooking handmade",
        "A flat edge that finds every corner of the pot.",
        "Cherry, linseed oil", "31 cm, 48 g",
        "Carved along the grain, so that it flexes and does not snap. The left-handed one is the same one, turned "
        "over.",
    ),
    product(
        "beech-board", "Beech bread board", "kitchen", "board", 3600, "2026-02-16",
        "alderman", "wood baking table",
        "End grain that is kind to knives.",
        "Beech, oiled", "38 by 26 cm, 3 cm thick",
        "Glued from forty-two small blocks stood on their ends, so that a blade goes between the fibres and the "
        "marks close again. A groove keeps the crumbs.",
    ),
    product(
        "espresso-cups", "Espresso cups, set of two", "kitchen", "cup", 2600, "2026-03-16",
        "pot-house", "clay table gift",
        "Two sips each, and warm to the last.",
        "Stoneware, clear glaze", "6 cm high, 80 ml",
        "Double the usual thickness at the foot, where the heat is kept. The handle is for one finger and a "
        "thumb.",
    ),
    product(
        "stock-pot", "Enamelled stock pot", "kitchen", "pan", 8400, "2026-04-27",
        "thornwick", "metal cooking lasting",
        "Soup for eight, or jam for the year.",
        "Enamelled steel", "26 cm across, holds 7 litres",
        "Two coats of enamel, fired one after the other, and a rim of bare steel that does not chip. It goes from "
        "the stove into the oven and from there to the table.",
    ),
    product(
        "whistling-kettle", "Whistling kettle", "kitchen", "kettle", 5900, "2026-05-25",
        "thornwick", "metal cooking",
        "Sings a third, not a shriek.",
        "Brushed steel, beech handle", "22 cm high, holds 1.8 litres",
        "The whistle has two reeds. The handle stays cool because it stands beside the steam and not in it.",
    ),
    product(
        "olive-oil-bottle", "Oil bottle with a slow spout", "kitchen", "bottle", 2200, "2026-06-15",
        "greenglass", "glass cooking table",
        "Pours a thread and stops when you do.",
        "Recycled glass, cork", "28 cm high, holds 0.5 litres",
        "The spout is ground to fit its bottle, and both carry the same number. The green keeps the light from "
        "the oil.",
    ),
    product(
        "butter-dish", "Butter dish", "kitchen", "tray", 2900, "2026-07-06",
        "pot-house", "clay table",
        "Soft in winter, whole in summer.",
        "Stoneware, matt glaze", "18 by 11 cm",
        "A little water under the lid keeps a half-pound cool through a warm breakfast. The lid turned over is "
        "the second dish.",
    ),
    product(
        "linen-apron", "Linen apron", "kitchen", "cloth", 4400, "2026-07-20",
        "linden-mill", "linen cooking washable",
        "Crossed at the back, nothing to tie.",
        "Linen, 260 g/m²", "One size, 84 cm long",
        "Two pockets, one of which is made for a phone and neither of which gapes. It is better after the "
        "fiftieth wash.",
    ),
    product(
        "bread-knife", "Bread knife", "kitchen", "knife", 6800, "2026-08-17",
        "thornwick", "metal baking lasting",
        "Waves that part a crust and spare the crumb.",
        "Carbon steel, plum handle", "34 cm, 180 g",
        "Forged thin behind the edge, so that it does not wedge. We sharpen it once for nothing, any year you "
        "like.",
    ),
    product(
        "porridge-bowls", "Porridge bowls, pair", "kitchen", "bowl", 3300, "2026-09-07",
        "pot-house", "clay table gift",
        "Deep, warm, and made for two hands.",
        "Stoneware, clear glaze", "14 cm across, 0.5 litres each",
        "The wall leans in at the top, so that the last spoonful has something to go against. One pair never "
        "comes out quite like the next.",
    ),
)  # fmt: skip

"""What is for sale for the garden."""

from __future__ import annotations

from demo_app.catalogue.rows import ProductRow, product

PRODUCTS: tuple[ProductRow, ...] = (
    product(
        "hazel-trug", "Hazel trug", "garden", "basket", 6200, "2026-03-30",
        "low-meadow", "wood handmade harvest",
        "Carries apples and forgives mud.",
        "Hazel, willow slats", "48 by 28 cm, holds 9 litres",
        "A shallow basket that is as light as it looks. The handle is one steamed rod which runs under the boat, "
        "so the load hangs from wood and not from nails.",
    ),
    product(
        "copper-watering-can", "Copper watering can", "garden", "can", 8900, "2026-10-19",
        "thornwick", "metal watering lasting",
        "A long neck and a soft rain.",
        "Copper, brass rose", "38 cm long, holds 2 litres",
        "Balanced so that it pours from the wrist. The rose unscrews for seedlings that want a thread and not a "
        "shower. It will turn brown, then green, as it pleases.",
    ),
    product(
        "terracotta-pots", "Terracotta pots, set of four", "garden", "pot", 3400, "2026-04-06",
        "pot-house", "clay planting",
        "Frost-proof, plain, and in four sizes that nest.",
        "Terracotta, fired at 1,060 °C", "12, 16, 20 and 24 cm across",
        "Thick walls keep roots cool in August and whole in January. The hole at the bottom is where it should "
        "be. They winter inside one another.",
    ),
    product(
        "hand-fork", "Hand fork", "garden", "fork", 2400, "2026-05-04",
        "low-meadow", "metal planting lasting",
        "Three tines that do not bend.",
        "Carbon steel, ash handle", "29 cm, 240 g",
        "The tang goes all the way through the handle and is riveted at the end. For weeds with opinions and for "
        "moving a primrose without waking it.",
    ),
    product(
        "meadow-seed", "Meadow seed", "garden", "meadow", 950, "2026-02-23",
        "low-meadow", "seed planting gift",
        "Twenty-two flowers for ten square metres.",
        "Seed, 22 kinds, no grasses", "40 g, sow March to May",
        "Cornflower, ox-eye, yarrow, wild carrot and eighteen more that get along. Rake, scatter, step on it, "
        "wait. The second summer is the good one.",
    ),
    product(
        "birch-broom", "Birch broom", "garden", "broom", 2800, "2026-01-05",
        "low-meadow", "wood harvest handmade",
        "For leaves, snow and thinking.",
        "Birch twigs, hazel handle", "140 cm",
        "Bound with three bands of willow that tighten as they dry. It sweeps gravel without moving it.",
    ),
    product(
        "dibber", "Ash dibber", "garden", "spoon", 1350, "2026-02-23",
        "low-meadow", "wood planting gift",
        "Makes the hole, measures the depth.",
        "Ash, brass tip", "27 cm, marked every 2 cm",
        "For bulbs, leeks and beans. The brass goes into ground that wood does not like.",
    ),
    product(
        "seed-tin", "Seed tin", "garden", "box", 2600, "2026-03-02",
        "low-meadow", "seed metal tidy",
        "Twelve months in their order.",
        "Tinplate, card dividers", "20 by 15 by 12 cm",
        "A divider for each month of sowing, and one for what you will try next year. Closes tight against mice.",
    ),
    product(
        "garden-stool", "Weeding stool", "garden", "stool", 5700, "2026-03-16",
        "alderman", "wood seat planting",
        "Low enough to weed, high enough to rest.",
        "Larch, unfinished", "34 cm high, 2.6 kg",
        "Turned over it is a kneeler with two handles to get up by. Larch goes grey outside and minds nothing.",
    ),
    product(
        "plant-labels", "Slate plant labels, ten", "garden", "pencils", 1100, "2026-04-06",
        "low-meadow", "planting gift",
        "Written with chalk, washed by no rain.",
        "Slate offcuts", "12 by 3 cm",
        "Split from what the roofer leaves. Chalk stays for a summer, a scratch stays for good.",
    ),
    product(
        "long-planter", "Long planter", "garden", "pot", 6400, "2026-04-20",
        "pot-house", "clay planting lasting",
        "Herbs on a sill, all in a row.",
        "Terracotta, fired at 1,060 °C", "60 by 18 cm, 17 cm high",
        "Thick in the wall, with feet of its own so that the water finds its way out. Takes frost, takes knocks, "
        "weighs what it weighs.",
    ),
    product(
        "garden-lantern", "Garden lantern", "garden", "lantern", 7200, "2026-05-18",
        "thornwick", "metal light outdoors",
        "A candle that the wind leaves alone.",
        "Galvanised steel, glass", "34 cm high",
        "The air comes in at the foot and out at the hat, and the flame stands straight. Hangs from a branch or "
        "stands on a wall.",
    ),
    product(
        "harvest-apron", "Harvest apron", "garden", "cloth", 4900, "2026-06-08",
        "linden-mill", "linen harvest washable",
        "A pocket as wide as you are.",
        "Linen canvas, 340 g/m²", "One size",
        "Unbutton the bottom over the crate and the beans fall out. Empty, it folds up into an apron like any "
        "other.",
    ),
    product(
        "rain-jug", "Measuring rain jug", "garden", "jug", 3700, "2026-08-10",
        "greenglass", "glass watering",
        "Knows what fell in the night.",
        "Recycled glass, steel stake", "30 cm high",
        "Marked by the millimetre. Lift it off its stake and water the tomatoes with what you measured.",
    ),
    product(
        "bee-meadow-seed", "Seed for bees", "garden", "meadow", 1050, "2026-09-14",
        "low-meadow", "seed planting",
        "Something in flower from March to October.",
        "Seed, 31 kinds", "50 g, sow September to April",
        "Crocus to ivy-leaved toadflax. Leave the stems in winter: somebody lives in them.",
    ),
)  # fmt: skip

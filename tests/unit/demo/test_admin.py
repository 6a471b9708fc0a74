"""What an admin does: edit, feature, look; and that nobody else can."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from flask import Flask
from flask.testing import FlaskClient

from demo_app.models import Featured, db, now
from pathhits import Event, PathHits
from tests.unit.demo.conftest import OWN, text, token

EDIT = "/admin/products/iron-pan"
FORM = {
    "name": "Iron pan",
    "summary": "Heavy.",
    "material": "Iron",
    "size": "26 cm",
    "description": "Forged.",
    "price": "81.5",
}


@pytest.fixture
def admin(signed_in: Callable[[str], FlaskClient]) -> FlaskClient:
    """Who may change things."""
    return signed_in("admin")


def heard_by(hits: PathHits) -> list[Event]:
    """What the worker tells listeners from now on."""
    heard: list[Event] = []
    hits.on("product.*", name="heard")(heard.append)
    hits.prepare_worker()
    return heard


def tell(hits: PathHits) -> None:
    """Do what the worker does."""
    assert hits.flush(10)
    hits.sync()
    hits.deliver()


@pytest.mark.parametrize("path", ["/admin", EDIT])
def test_guests_are_sent_to_sign_in_and_others_are_refused(
    visitor: FlaskClient, signed_in: Callable[[str], FlaskClient], path: str
) -> None:
    assert visitor.get(path).status_code == 303
    anna = signed_in("anna")
    assert anna.get(path).status_code == 403
    for place in (EDIT, f"{EDIT}/shelf"):
        assert anna.post(place, data={**FORM, "token": token(anna)}, headers=OWN).status_code == 403
    assert "Hammered iron pan" in text(anna, "/products/iron-pan")


def test_an_edit_is_an_event_that_says_what_changed_and_by_whom(admin: FlaskClient, hits: PathHits) -> None:
    heard = heard_by(hits)
    for _ in range(2):
        assert admin.post(EDIT, data={**FORM, "token": token(admin)}, headers=OWN).status_code == 303
    shown = text(admin, "/products/iron-pan")
    assert "Iron pan" in shown
    assert "€81.50" in shown
    assert "iron-pan" in admin.get("/search?q=heavy").text
    tell(hits)
    (updated,) = [event for event in heard if event.name == "product.updated"]
    assert updated.properties["changed"]["price_cents"] == ["7900", "8150"]
    assert "brand" not in updated.properties["changed"]


@pytest.mark.parametrize(("field", "value"), [("name", " "), ("name", "x" * 121), ("price", "a lot"), ("price", "-1")])
def test_an_edit_that_cannot_be_says_why_and_keeps_what_was_typed(admin: FlaskClient, field: str, value: str) -> None:
    response = admin.post(EDIT, data={**FORM, field: value, "token": token(admin)}, headers=OWN)
    assert response.status_code == 400
    assert f"The {field}" in response.text
    assert "Forged." in response.text
    assert "Hammered iron pan" in text(admin, "/products/iron-pan")


def test_a_shelf_changes_at_once_for_everybody_and_each_change_is_an_event(
    admin: FlaskClient, visitor: FlaskClient, hits: PathHits
) -> None:
    heard = heard_by(hits)

    def shelve(**form: str) -> None:
        assert admin.post(f"{EDIT}/shelf", data={**form, "token": token(admin)}, headers=OWN).status_code == 303

    assert "To give away" not in text(visitor, "/")
    shelve(shelf="gifts", place="3")
    assert "To give away Kitchen Hammered iron pan" in text(visitor, "/"), "though the shelves were just read"
    shelve(shelf="window", place="1")
    home = text(visitor, "/")
    assert "In the window Kitchen Hammered iron pan" in home
    assert "To give away" not in home
    shelve(shelf="window", place="1", until="2020-01-01")
    assert "In the window Kitchen Whistling kettle" in text(visitor, "/")
    shelve(shelf="")
    shelve(shelf="")
    tell(hits)
    said = [(event.name, event.properties.get("change")) for event in heard if "featured" in event.name]
    assert said == [
        ("product.featured", "created"),
        ("product.featured", "updated"),
        ("product.featured", "updated"),
        ("product.unfeatured", None),
    ]


def test_a_product_stands_on_its_shelf_up_to_its_last_day(admin: FlaskClient, shop: Flask) -> None:
    today = now().date()
    form = {"shelf": "gifts", "place": "1", "until": today.isoformat(), "token": token(admin)}
    admin.post(f"{EDIT}/shelf", data=form, headers=OWN)
    assert "To give away" in text(admin, "/")
    with shop.app_context():
        assert db.session.query(Featured).filter_by(shelf="gifts").one().until == today


def test_the_overview_shows_what_was_looked_for_and_in_vain(
    admin: FlaskClient, visitor: FlaskClient, hits: PathHits
) -> None:
    for query in ("jug", "Jug", "unicorn"):
        visitor.get(f"/search?q={query}")
    tell(hits)
    shown = text(admin, "/admin")
    assert "Looked for and found jug 2 searches" in shown
    assert "Looked for in vain unicorn 1 search" in shown


def test_the_overview_shows_which_recommendations_were_clicked(
    admin: FlaskClient, visitor: FlaskClient, hits: PathHits
) -> None:
    assert "Nothing was recommended in seven days." in text(admin, "/admin")
    page = visitor.get("/products/stoneware-jug").text
    shown = page.count("because=same_workshop")
    visitor.get("/go/long-planter?because=same_workshop&beside=stoneware-jug&place=1")
    tell(hits)
    told = f"From the same workshop 1 of {shown} shown, {100 / shown:.1f}%"
    assert told in text(admin, "/admin")


def test_the_dashboard_is_open_to_admins_and_closed_to_others(
    admin: FlaskClient, visitor: FlaskClient, signed_in: Callable[[str], FlaskClient]
) -> None:
    assert admin.get("/_pathhits/").status_code == 200
    assert visitor.get("/_pathhits/").status_code == signed_in("anna").get("/_pathhits/").status_code == 403


def test_the_overview_shows_the_columns_that_pathhits_keeps(admin: FlaskClient, hits: PathHits) -> None:
    guest = admin.application.test_client()
    for n in range(hits.settings.hot_at):
        guest.get("/products/tea-lights", headers={"User-Agent": f"Mozilla/5.0 (X11) Firefox/{n}"})
    tell(hits)
    hits.refresh_items()
    shown = text(admin, "/admin")
    count = hits.settings.hot_at
    assert f"Tea lights, twenty {count} hot" in shown
    assert f"Hot now Tea lights, twenty {count} views" in shown

"""What visitors do with a product: one row a person and product, and pathhits' counters are the sums of the rows."""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import func, select

from demo_app.models import Like, Rating, Watched, db
from pathhits import PathHits
from pathhits.storage.sql import tables
from tests.unit.demo.conftest import BROWSER, OWN, text, token

JUG = "/products/stoneware-jug"


def send(client: FlaskClient, path: str, **form: str) -> int:
    """Send a form of the shop as its page would; the status."""
    return client.post(path, data={**form, "token": token(client)}, headers=OWN).status_code


def counter(hits: PathHits, name: str) -> int:
    """A counter of the jug."""
    assert hits.flush(10)
    return int(hits.counter("product", "stoneware-jug", name))


def test_a_like_counts_can_be_taken_back_and_is_only_taken_from_the_shop_itself(
    visitor: FlaskClient, hits: PathHits
) -> None:
    for origin in (None, "https://evil.example", "null"):
        headers = {"Origin": origin} if origin else {}
        assert visitor.post(f"{JUG}/like", headers=headers).status_code == 403
    assert visitor.post("/products/none/like", headers=OWN).status_code == 404
    for likes, button in ((1, "Liked: take it back"), (0, "Like"), (1, "Liked: take it back")):
        assert visitor.post(f"{JUG}/like", headers=OWN).status_code == 303
        assert hits.flush(10)
        shown = text(visitor, JUG)
        assert f"{button} Watch" in shown
        assert f"Likes {likes} " in shown
    hits.sync()
    assert hits.counter("product", "stoneware-jug", "likes").stored == 1


def test_a_guest_and_a_user_like_once_each_however_often_they_press_at_the_same_moment(
    shop: Flask, hits: PathHits, signed_in: Callable[[str], FlaskClient]
) -> None:
    clients = [signed_in("anna") for _ in range(4)]  # her four devices
    with ThreadPoolExecutor(4) as threads:
        assert set(threads.map(lambda client: send(client, f"{JUG}/like"), clients)) == {303}
    with shop.app_context():
        rows = db.session.scalar(select(func.count()).select_from(Like))
    assert counter(hits, "likes") == (rows or 0) <= 1
    guest = shop.test_client()
    assert send(guest, f"{JUG}/like") == 303
    assert counter(hits, "likes") == (rows or 0) + 1


@pytest.mark.parametrize("deed", ["watch", "rate"])
def test_who_is_not_signed_in_is_sent_to_sign_in_and_then_back(visitor: FlaskClient, deed: str) -> None:
    response = visitor.post(f"{JUG}/{deed}", data={"stars": "3"}, headers=OWN)
    assert (response.status_code, response.location) == (303, f"/sign-in?next={JUG}")


def test_a_rating_counts_once_a_user_and_moves_when_they_change_their_mind(
    shop: Flask, hits: PathHits, signed_in: Callable[[str], FlaskClient]
) -> None:
    anna, ben = signed_in("anna"), signed_in("ben")
    for client, stars in ((anna, "5"), (ben, "4"), (anna, "5"), (anna, "2"), (anna, "3")):
        assert send(client, f"{JUG}/rate", stars=stars) == 303
    assert (counter(hits, "ratings"), counter(hits, "rating_sum")) == (2, 7)
    with shop.app_context():
        assert sorted(db.session.scalars(select(Rating.stars))) == [3, 4]
    shown = text(anna, JUG)
    assert "Your rating" in shown
    assert "3.5 of 5, 2 ratings" in shown
    hits.sync()
    assert (counter(hits, "ratings"), counter(hits, "rating_sum")) == (2, 7)
    assert "Rate it 3.5 of 5, 2 ratings" in text(shop.test_client(), JUG)
    for wrong in ("0", "6", "many", ""):
        assert send(anna, f"{JUG}/rate", stars=wrong) == 400


def test_the_watchlist_is_the_users_own_and_is_counted(
    shop: Flask, hits: PathHits, signed_in: Callable[[str], FlaskClient]
) -> None:
    anna, ben = signed_in("anna"), signed_in("ben")
    assert "Nothing yet" in text(anna, "/watchlist")
    for client in (anna, ben):
        assert send(client, f"{JUG}/watch") == 303
    assert send(anna, "/products/iron-pan/watch") == 303
    assert counter(hits, "watchlist") == 2
    mine = text(anna, "/watchlist")
    assert mine.index("Hammered iron pan") < mine.index("Stoneware jug"), "the newest first"
    assert "iron pan" not in text(ben, "/watchlist")
    assert "Watched: take it off" in text(ben, JUG)
    assert send(ben, f"{JUG}/watch") == 303
    assert "Nothing yet" in text(ben, "/watchlist")
    assert counter(hits, "watchlist") == 1
    with shop.app_context():
        assert db.session.scalar(select(func.count()).select_from(Watched)) == 2


def test_what_a_user_looks_at_is_in_their_history_once_the_worker_has_written_it(
    shop: Flask, hits: PathHits, signed_in: Callable[[str], FlaskClient], visitor: FlaskClient
) -> None:
    hits.prepare_worker()
    anna = signed_in("anna")
    for path in (JUG, "/products/iron-pan", JUG, f"{JUG}/sheet"):
        assert anna.get(path).status_code == 200
    visitor.get("/products/hand-fork")
    assert "Nothing yet" in text(anna, "/history")
    assert hits.flush(10)
    hits.sync()
    hits.deliver()
    shown = text(anna, "/history")
    assert shown.index("Stoneware jug") < shown.index("Hammered iron pan"), "the data sheet was fetched last"
    assert (shown.count("Stoneware jug"), shown.count("fetched Hammered")) == (1, 1)
    assert "Hand fork" not in shown
    assert "Nothing yet" in text(signed_in("ben"), "/history")


def test_a_user_who_opted_out_has_no_history(hits: PathHits, signed_in: Callable[[str], FlaskClient]) -> None:
    hits.prepare_worker()
    anna = signed_in("anna")
    anna.get(JUG, headers={"Sec-GPC": "1"})
    assert hits.flush(10)
    hits.sync()
    hits.deliver()
    assert "Nothing yet" in text(anna, "/history")


def test_a_data_sheet_that_is_fetched_is_a_download(visitor: FlaskClient, hits: PathHits) -> None:
    response = visitor.get(f"{JUG}/sheet")
    assert response.mimetype == "text/plain"
    assert visitor.get("/products/none/sheet").status_code == 404
    assert hits.flush(10)
    assert "Data sheets fetched 1 " in text(visitor, JUG)


def test_a_click_on_a_recommendation_is_an_event_with_its_reason_and_place(
    visitor: FlaskClient, hits: PathHits
) -> None:
    response = visitor.get("/go/long-planter?because=same_workshop&beside=stoneware-jug&place=2")
    assert (response.status_code, response.location) == (303, "/products/long-planter")
    assert visitor.get("/go/long-planter?because=magic").status_code == 404
    assert visitor.get("/go/none?because=same_workshop").status_code == 404
    assert hits.flush(10)
    assert hits.counter("product", "long-planter", "recommendation_clicks") == 1
    hits.sync()
    with hits.engine.connect() as connection:
        c = tables.events.c
        [said] = connection.scalars(select(c.properties).where(c.name == "product.recommendation_clicked"))
    assert json.loads(said) == {"reason": "same_workshop", "position": 2, "beside": "stoneware-jug"}
    assert "From the same workshop" in text(visitor, JUG)


def test_what_the_same_visitors_viewed_is_recommended_once_it_is_known(
    shop: Flask, hits: PathHits, visitor: FlaskClient
) -> None:
    for n in range(hits.settings.recommend_min_visitors):
        for path in (JUG, "/products/hand-fork"):
            shop.test_client().get(path, headers={"User-Agent": f"{BROWSER} {n}"})
    assert hits.flush(10)
    hits.sync()
    hits.recommend()
    page = visitor.get(JUG).text
    assert "Others who looked at this also looked at" in page
    assert "/go/hand-fork?because=also_viewed&amp;beside=stoneware-jug&amp;place=1" in page

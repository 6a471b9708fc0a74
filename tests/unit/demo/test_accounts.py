"""Signing in and out, and forms that no other site can send."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select

from demo_app.accounts import new_passwords
from demo_app.forms import own_path
from demo_app.models import User, db
from tests.unit.demo.conftest import OWN, text, token


def test_the_users_are_made_once_with_passwords_that_only_the_release_knows(shop: Flask) -> None:
    made = shop.config["PASSWORDS"]
    assert made.keys() == {"anna", "ben", "admin"}
    assert len(set(made.values())) == 3
    with shop.app_context():
        users = db.session.scalars(select(User)).all()
        assert [user.name for user in users if user.is_admin] == ["admin"]
        assert not any(password in user.password for user in users for password in made.values())


@pytest.mark.parametrize(("name", "password"), [("anna", "wrong"), ("nobody", "x"), ("", ""), ("x" * 5000, "y" * 5000)])
def test_a_wrong_name_or_password_is_refused_with_the_same_words(
    visitor: FlaskClient, name: str, password: str
) -> None:
    response = visitor.post("/sign-in", data={"name": name, "password": password}, headers=OWN)
    assert response.status_code == 403
    assert "do not belong together" in response.text


def test_who_signs_in_comes_back_to_where_they_were_and_signs_out_again(shop: Flask, visitor: FlaskClient) -> None:
    assert visitor.get("/watchlist").location == "/sign-in?next=/watchlist"
    form = {"name": " Anna ", "password": shop.config["PASSWORDS"]["anna"], "next": "/watchlist"}
    assert visitor.post("/sign-in", data=form, headers=OWN).location == "/watchlist"
    shown = text(visitor, "/")
    assert "Watchlist History Sign out" in shown
    assert "Admin" not in shown
    assert visitor.post("/sign-out", headers=OWN).status_code == 403, "without its token"
    assert visitor.post("/sign-out", data={"token": token(visitor)}, headers=OWN).status_code == 303
    assert "Sign in" in text(visitor, "/")


@pytest.mark.parametrize("elsewhere", ["https://evil.example", "//evil.example", "/\\evil.example", "evil", "/\nx", ""])
def test_nobody_is_sent_elsewhere(elsewhere: str) -> None:
    assert own_path(elsewhere, "/") == "/"
    assert own_path("/products?sort=name", "/") == "/products?sort=name"


def test_a_form_without_the_token_of_its_session_does_nothing(signed_in: Callable[[str], FlaskClient]) -> None:
    anna = signed_in("anna")
    for given in ("", "guessed", "é", token(signed_in("ben"))):
        response = anna.post("/products/iron-pan/like", data={"token": given}, headers=OWN)
        assert response.status_code == 403
        assert "This page is not counted" in response.text
    assert "Liked" not in text(anna, "/products/iron-pan")


def test_new_passwords_replace_the_lost_ones(shop: Flask, visitor: FlaskClient) -> None:
    with shop.app_context():
        made = new_passwords()
    for password, status in ((shop.config["PASSWORDS"]["ben"], 403), (made["ben"], 303)):
        form = {"name": "ben", "password": password}
        assert visitor.post("/sign-in", data=form, headers=OWN).status_code == status

"""Accounts and tokens from the terminal."""

from __future__ import annotations

import pytest

from ichnode.web.passwords import is_password
from ichnode.worklist import accounts, tokens
from ichnode.worklist.audit import terminal
from ichnode.worklist.people import api_tokens, audit
from tests.made import rows


@pytest.fixture
def password(tmp_path):
    file = tmp_path / "password"
    file.write_text("correct horse battery\n")
    return file


def test_an_account_from_the_first_day_to_the_last(ichnode, node, data, password):
    added = ichnode("user", "add", "Ada", "--role", "reader", "--password-file", password, "--data", data)
    assert (added.code, added.out) == (0, "ada may sign in as reader.\n")
    assert ichnode("user", "role", "ada", "--role", "administrator", "--data", data).code == 0
    with node.worklist.read() as tx:
        ada = accounts.find(tx, "ADA")
    assert ada.role == "administrator"
    assert ada.password.startswith("$argon2id$")
    assert is_password(ada.password, "correct horse battery")
    assert "ada  administrator  enabled  never signed in" in ichnode("user", "list", "--data", data).out
    password.write_text("another good one")
    assert ichnode("user", "password", "ada", "--password-file", password, "--data", data).code == 0
    with node.worklist.read() as tx:
        assert is_password(accounts.find(tx, "ada").password, "another good one")
    assert ichnode("user", "disable", "ada", "--data", data).code == 0
    assert "disabled" in ichnode("user", "list", "--data", data).out
    assert ichnode("user", "disable", "ada", "--undo", "--data", data).code == 0
    kept = [(r["who"], r["what"], r["detail"]["account"]) for r in rows(node.worklist, audit)]
    assert kept == [(terminal().name, "account.added", "ada"), *[(terminal().name, "account.changed", "ada")] * 4]
    assert "horse" not in str(rows(node.worklist, audit))


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("ada", "short", "10 to 512 characters"),
        ("a:b", "long enough", "without a colon"),
        ("Node", "long enough", "is none of node, terminal"),
        (" ", "long enough", "colon"),
    ],
)
def test_what_cannot_be_is_told(ichnode, node, data, password, name, content, said):
    password.write_text(content)
    answer = ichnode("user", "add", name, "--role", "reader", "--password-file", password, "--data", data)
    assert answer.code == 1
    assert said in answer.err


def test_a_name_is_given_once_and_an_unknown_one_is_told(ichnode, node, data, password):
    add = ("user", "add", "ada", "--role", "reader", "--password-file", password, "--data", data)
    assert ichnode(*add).code == 0
    again = ichnode(*add)
    assert again.code == 1
    assert "There is an account ada already" in again.err
    assert "There is no account bob" in ichnode("user", "disable", "bob", "--data", data).err


def test_one_who_signs_in_at_the_proxy_has_no_password(ichnode, node, data):
    assert ichnode("user", "add", "eve", "--role", "reader", "--at-the-proxy", "--data", data).code == 0
    with node.worklist.read() as tx:
        assert not is_password(accounts.find(tx, "eve").password, "")


def test_a_token_is_shown_once_and_ends_when_it_is_revoked(ichnode, node, data):
    made = ichnode("token", "add", "monitor", "--scope", "node.read", "--days", "2", "--data", data)
    secret = made.out.strip()
    assert made.code == 0
    assert secret.startswith("ichnode_")
    assert secret not in str(rows(node.worklist, api_tokens))
    assert secret not in ichnode("token", "list", "--data", data).out
    with node.worklist.read() as tx:
        assert tokens.find(tx, node.now(), secret).scopes == ("node.read",)
        assert tokens.find(tx, node.now(), secret[:-1]) is None
    again = ichnode("token", "add", "monitor", "--scope", "node.read", "--data", data)
    assert again.code == 1
    assert ichnode("token", "revoke", "monitor", "--data", data).code == 0
    with node.worklist.read() as tx:
        assert tokens.find(tx, node.now(), secret) is None
    assert ichnode("token", "revoke", "monitor", "--data", data).code == 1
    assert "revoked" in ichnode("token", "list", "--data", data).out

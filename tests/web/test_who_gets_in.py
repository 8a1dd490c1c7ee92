"""Who gets in, for how long, and who does not: sessions, throttling, tokens, the proxy, forged requests."""

from __future__ import annotations

import hashlib
import shutil
import socket
import ssl
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from threading import Event

import httpx2
import pytest
from structlog.testing import capture_logs

from ichnode.errors import ConfigError
from ichnode.web import server, sign_in
from ichnode.web.server import WebServer
from ichnode.web.sign_in import inside
from ichnode.web.visitor import COOKIE
from ichnode.worklist import accounts, sign_ins
from ichnode.worklist.people import audit, sessions
from tests.certificates import Authority
from tests.made import rows
from tests.peers import free_port, wait_until
from tests.web.conftest import PASSWORD, Visit


def audited(node):
    return [(row["who"], row["what"]) for row in rows(node.worklist, audit)]


def test_nobody_sees_a_page_without_signing_in_and_comes_back_to_it(people, stranger):
    visit = stranger()
    led = visit.get("/?state=positive")
    assert (led.status_code, led.headers["Location"]) == (303, "/sign-in?next=/%3Fstate%3Dpositive")
    assert "investigational" in visit.get("/sign-in").text.lower()
    back = visit.sign_in("reader", next="/?state=positive")
    assert (back.status_code, back.headers["Location"]) == (303, "/?state=positive")
    assert visit.get("/").status_code == 200
    assert audited(people)[-2:] == [("reader", "session.begun"), ("reader", "worklist.viewed")]


@pytest.mark.parametrize(
    "address", ["//evil.example", "/\\evil.example", "https://evil.example", "", "/sign-out", "/a\nb"]
)
def test_signing_in_leads_nowhere_else(address):
    assert inside(address) == "/"


def test_the_first_page_says_how_to_make_the_first_account(stranger):
    assert "ichnode user add" in stranger().get("/sign-in").text


def test_the_cookie_is_kept_from_scripts_and_other_sites_and_the_table_holds_only_its_digest(people, stranger):
    visit = stranger()
    said = visit.sign_in("reader").headers["Set-Cookie"].lower()
    assert "httponly" in said
    assert "samesite=lax" in said
    secret = visit.cookies[COOKIE]
    (row,) = rows(people.worklist, sessions)
    assert row["digest"] == hashlib.sha256(secret.encode()).hexdigest()


def test_a_session_cannot_be_fixed_beforehand(people, stranger):
    visit = stranger()
    visit.cookies.set(COOKIE, "chosen-by-somebody-else")
    visit.sign_in("reader")
    other = stranger()
    other.cookies.set(COOKIE, "chosen-by-somebody-else")
    assert other.get("/").status_code == 303


def test_each_sign_in_is_another_session(people, stranger):
    first, second = stranger(), stranger()
    first.sign_in("reader")
    second.sign_in("reader")
    assert first.cookies[COOKIE] != second.cookies[COOKIE]


def test_a_session_ends_when_nobody_does_anything_and_after_a_day_in_any_case(people, visitor):
    visit = visitor("reader")
    for _ in range(3):
        people.now.forward(1700)
        assert visit.get("/").status_code == 200
    people.now.forward(1801)
    assert visit.get("/").status_code == 303
    again = visitor("reader")
    for _ in range(26):
        people.now.forward(1700)
        again.get("/")
    assert again.get("/").status_code == 303


def test_signing_out_ends_the_session_on_the_node_too(people, visitor):
    visit = visitor("reader")
    secret = visit.cookies[COOKIE]
    assert visit.submit("/sign-out").status_code == 303
    visit.cookies.set(COOKIE, secret)
    assert visit.get("/").status_code == 303
    assert audited(people)[-1] == ("reader", "session.ended")


def test_a_disabled_account_is_out_at_once(people, visitor, stranger):
    visit = visitor("reader")
    with people.worklist.write() as tx:
        accounts.change(tx, people.now(), "reader", disabled=True)
    assert visit.get("/").status_code == 303
    assert stranger().sign_in("reader").status_code == 401


def test_guessing_a_password_becomes_slow_and_the_right_one_has_to_wait_as_well(people, stranger):
    visit = stranger()
    for _ in range(5):
        assert visit.sign_in("radiologist", "a wrong password").status_code == 401
    refused = visit.sign_in("radiologist")
    assert refused.status_code == 429
    assert "Try again in" in refused.text
    people.now.forward(2)
    assert visit.sign_in("radiologist").status_code == 303
    assert ("radiologist", "session.refused") in audited(people)


def test_trying_many_names_from_one_address_becomes_slow_and_a_known_one_does_not_buy_more(people):
    """The rows alone: a hundred passwords are hashed elsewhere."""
    now = people.now()
    with people.worklist.write() as tx:
        for number in range(sign_ins.ADDRESS_FREE - 1):
            sign_ins.count(tx, now, f"name {number}", "192.0.2.9")
        assert sign_ins.pause_s(tx, now, "another", "192.0.2.9") == 0
        sign_ins.succeeded(tx, sign_ins.count(tx, now, "name 3", "192.0.2.9"))
        assert sign_ins.pause_s(tx, now, "another", "192.0.2.9") == 0
        for number in range(7):
            sign_ins.count(tx, now, f"last {number}", "192.0.2.9")
        assert sign_ins.pause_s(tx, now, "another", "192.0.2.9") == sign_ins.ADDRESS_LONGEST_S
        assert sign_ins.pause_s(tx, now, "another", "192.0.2.10") == 0


def test_many_guesses_at_once_get_no_more_than_one_after_the_other(people, stranger, monkeypatch):
    """All of them stand at the door before the first password has been looked at."""
    looked, all_there = [], Event()

    def slow(kept, password):
        looked.append(password)
        assert all_there.wait(240)
        return False

    monkeypatch.setattr(sign_in, "is_password", slow)
    monkeypatch.setattr("ichnode.web.app.PASSWORDS_AT_ONCE", 12)
    elsewhere = people.settings.web.model_copy(update={"port": free_port()})
    server = WebServer(replace(people, settings=people.settings.model_copy(update={"web": elsewhere})))
    server.start()
    try:
        with ThreadPoolExecutor(12) as pool:

            def guess(number):
                form = {"name": "radiologist", "password": f"guess number {number}"}
                return httpx2.post(f"{server.address}sign-in", data=form, timeout=240).status_code

            given = [pool.submit(guess, number) for number in range(12)]
            wait_until(lambda: len(looked) + sum(one.done() for one in given) == 12, 60, "each looked at or refused")
            all_there.set()
            assert sorted(one.result() for one in given) == [401] * 5 + [429] * 7
    finally:
        all_there.set()
        server.stop()
    assert len(looked) == 5


def test_many_strangers_at_the_door_hold_up_no_page_and_only_few_wait(people, visitor, served, monkeypatch):
    inside, asked, open_door = visitor("reader"), [], Event()

    def slow(kept, password):
        asked.append(password)
        return not open_door.wait(120)

    monkeypatch.setattr(sign_in, "is_password", slow)
    monkeypatch.setattr(sign_in, "MOST_WAITING", 3)
    with ThreadPoolExecutor(8) as pool:
        try:

            def come(number):
                form = {"name": f"stranger {number}", "password": "some password"}
                return httpx2.post(f"{served.address}sign-in", data=form, timeout=240).status_code

            given = [pool.submit(come, number) for number in range(8)]
            wait_until(lambda: sum(one.done() for one in given) == 3, 100, "those that are too many are told so")
            assert inside.get("/worklist/list").status_code == 200
        finally:
            open_door.set()
        assert sorted(one.result() for one in given) == [401] * 5 + [503] * 3
    assert len(asked) == 5


def test_signing_in_again_ends_the_session_before(people, visitor, stranger):
    visit = visitor("reader")
    old = visit.cookies[COOKIE]
    visit.sign_in("radiologist")
    assert len(rows(people.worklist, sessions)) == 1
    other = stranger()
    other.cookies.set(COOKIE, old)
    led = other.get("/")
    assert led.status_code == 303
    assert led.headers["Clear-Site-Data"] == '"cache"', "what a browser keeps of patients goes with the session"
    assert "Clear-Site-Data" not in stranger().get("/").headers


def test_what_was_typed_as_a_name_is_not_written_down_where_there_is_no_such_account(people, stranger):
    stranger().sign_in("my-password-by-mistake")
    assert audited(people)[-1] == ("unknown", "session.refused")


def test_an_unknown_name_is_told_as_a_wrong_password(people, stranger):
    known, unknown = stranger().sign_in("reader", "wrong password"), stranger().sign_in("nobody", "wrong password")
    assert known.status_code == unknown.status_code == 401
    assert "Name or password is wrong." in known.text
    assert "Name or password is wrong." in unknown.text


def test_a_form_without_the_token_of_its_page_does_nothing(people, visitor):
    visit = visitor("reader")
    for token in ({}, {"csrf": "0" * 64}, {"csrf": ""}):
        assert visit.post("/sign-out", data=token).status_code == 403
    assert visit.get("/").status_code == 200


@pytest.mark.parametrize(
    "headers", [{"Sec-Fetch-Site": "cross-site"}, {"Origin": "https://evil.example"}, {"Origin": "null"}]
)
def test_what_another_site_sends_does_nothing(people, visitor, stranger, headers):
    visit = visitor("reader")
    assert visit.post("/sign-out", data={"csrf": visit.csrf()}, headers=headers).status_code == 403
    assert visit.get("/").status_code == 200
    answer = stranger().post("/sign-in", data={"name": "reader", "password": PASSWORD}, headers=headers)
    assert answer.status_code == 403


def test_a_form_larger_than_any_is_refused_before_it_is_read(stranger, people):
    visit = stranger()
    assert visit.post("/sign-in", data={"name": "x" * 70000}).status_code == 413
    slowly = visit.post(
        "/sign-in", content=(b"name=" + b"x" * 8192 for _ in range(20)),
        headers={"Content-Type": "application/x-www-form-urlencoded"},
    )  # fmt: skip
    assert slowly.status_code == 413


def test_every_answer_is_armoured(stranger, people):
    for path in ("/", "/sign-in", "/nothing", "/static/app.css"):
        headers = stranger().get(path).headers
        assert "script-src 'self'" in headers["Content-Security-Policy"]
        assert "unsafe" not in headers["Content-Security-Policy"]
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Referrer-Policy"] == "same-origin"
        assert ("no-store" in headers["Cache-Control"]) != path.startswith("/static")


def test_no_page_has_anything_inline(people, visitor):
    visit = visitor("administrator")
    for path in ("/", "/sign-in", "/nothing"):
        text = visit.get(path).text
        assert "<script>" not in text
        assert " style=" not in text
        assert " onclick=" not in text


def test_static_files_end_at_their_folder(stranger):
    for path in ("/static/../app.py", "/static/%2e%2e/app.py", "/static/..%2f..%2fconfig.py", "/static/nothing"):
        assert stranger().get(path).status_code == 404


class TestProxy:
    @pytest.fixture
    def options(self, tmp_path):
        (tmp_path / "secret").write_text("between us\n")
        return {"web": {"proxy_secret_file": str(tmp_path / "secret")}}

    def test_only_who_knows_the_secret_may_name_somebody(self, people, stranger):
        def come(**headers):
            return stranger().get("/", headers=headers).status_code

        assert come(**{"X-Remote-User": "reader"}) == 303
        assert come(**{"X-Remote-User": "reader", "X-Ichnode-Proxy-Secret": "guessed"}) == 303
        assert come(**{"X-Remote-User": "Reader", "X-Ichnode-Proxy-Secret": "between us"}) == 200
        assert come(**{"X-Remote-User": "nobody", "X-Ichnode-Proxy-Secret": "between us"}) == 403

    def test_the_journal_has_the_address_that_the_proxy_names(self, people, stranger):
        headers = {
            "X-Remote-User": "reader",
            "X-Ichnode-Proxy-Secret": "between us",
            "X-Forwarded-For": "6.6.6.6, 192.0.2.7",
        }
        stranger().get("/", headers=headers)
        assert rows(people.worklist, audit)[-1]["address"] == "192.0.2.7"

    def test_nobody_passes_for_the_node_a_command_or_a_token(self, people, stranger):
        with people.worklist.write() as tx:
            accounts.add(tx, people.now(), "node", "administrator", None)
        for name in ("node", "unknown", "terminal:root", "token:x"):
            headers = {"X-Remote-User": name, "X-Ichnode-Proxy-Secret": "between us"}
            assert stranger().get("/", headers=headers).status_code == 303

    def test_the_cookie_is_bound_to_https_where_the_trusted_proxy_says_so(self, people, stranger):
        said = {"X-Forwarded-Proto": "https"}
        form = {"name": "reader", "password": PASSWORD}
        guessed = stranger().post("/sign-in", data=form, headers=said)
        assert "secure" not in guessed.headers["Set-Cookie"].lower()
        trusted = stranger().post("/sign-in", data=form, headers={**said, "X-Ichnode-Proxy-Secret": "between us"})
        assert "secure" in trusted.headers["Set-Cookie"].lower()

    def test_a_forged_request_does_nothing_here_either(self, people, stranger):
        headers = {"X-Remote-User": "reader", "X-Ichnode-Proxy-Secret": "between us"}
        assert stranger().post("/sign-out", headers=headers).status_code == 403


class TestProxyWithoutSecret:
    @pytest.fixture
    def options(self):
        return {"web": {"secure_cookies": True}}

    def test_the_cookie_is_bound_to_https_where_the_administrator_says_so(self, people, stranger):
        visit = stranger()
        answer = visit.sign_in("reader")
        assert "secure" in answer.headers["Set-Cookie"].lower()
        assert visit.get("/").status_code == 303, "it does not come back by plain http"
        by_proxy = {"Cookie": answer.headers["Set-Cookie"].partition(";")[0], "X-Forwarded-Proto": "https"}
        assert stranger().get("/", headers=by_proxy).status_code == 200


class TestTls:
    @pytest.fixture
    def authority(self, tmp_path):
        return Authority(tmp_path / "authority")

    @pytest.fixture
    def options(self, authority):
        issued = authority.issue("node")
        return {"web": {"certificate": str(issued.certificate), "certificate_key": str(issued.key)}}

    def test_pages_travel_encrypted_and_the_cookie_never_otherwise(self, people, served, authority):
        trusting = ssl.create_default_context(cafile=authority.certificate)
        with Visit(base_url=served.address, verify=trusting, timeout=240) as visit:
            assert served.address.startswith("https://")
            answer = visit.sign_in("reader")
            assert "secure" in answer.headers["Set-Cookie"].lower()
            assert visit.get("/").headers["Strict-Transport-Security"]

    def test_a_renewed_certificate_is_shown_without_a_restart(self, served, authority):
        first, second = authority.folder / "node.pem", authority.issue("second")

        def shown() -> str:
            trusting = ssl.create_default_context(cafile=authority.certificate)
            with (
                socket.create_connection(("127.0.0.1", served.port)) as plain,
                trusting.wrap_socket(plain, server_hostname="127.0.0.1") as connection,
            ):
                return dict(x[0] for x in connection.getpeercert()["subject"])["commonName"]

        assert shown() == "node"
        with capture_logs() as logs:
            shutil.copy(second.certificate, first)
            assert shown() == "node", "its key is still to come"
            shutil.copy(second.key, authority.folder / "node.key.pem")
            assert shown() == shown() == "second"
        assert [e["event"] for e in logs if e["event"].startswith("certificate")] == [
            "certificate.not_loaded", "certificate.loaded",
        ]  # fmt: skip


def test_a_certificate_that_cannot_be_used_is_told_in_a_sentence(node, tmp_path):
    (tmp_path / "bad.pem").write_text("no certificate")
    web = node.settings.web.model_copy(update={"certificate": str(tmp_path / "bad.pem")})
    with pytest.raises(ConfigError, match=r"web\.certificate cannot be used"):
        WebServer(replace(node, settings=node.settings.model_copy(update={"web": web})))


def test_a_port_that_is_taken_is_tried_again(node, served, monkeypatch):
    monkeypatch.setattr(server, "AGAIN_S", 0.05)
    taken = node.settings.web.model_copy(update={"port": served.port})
    other = server.WebServer(replace(node, settings=node.settings.model_copy(update={"web": taken})))
    other.start()
    assert other.port == 0
    served.stop()
    wait_until(lambda: other.port, 10, "the port is there")
    assert httpx2.get(f"{other.address}sign-in", timeout=240).status_code == 200
    other.stop()

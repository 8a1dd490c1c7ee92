"""The pages of a node on loopback, and visitors who speak HTTP to them."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx2
import pytest
from argon2 import PasswordHasher
from playwright.sync_api import Browser, Page

from ichnode.config import Settings
from ichnode.steps import register
from ichnode.steps.node import Node, open_node
from ichnode.steps.register import IMPORT, settle_active, take_in
from ichnode.web import passwords
from ichnode.web.server import WebServer
from ichnode.worklist import accounts, models, tokens
from ichnode.worklist.database import Worklist
from tests.association import PATIENCE_S
from tests.bundles import write_tiny_bundle
from tests.chromium import opened
from tests.made import Clock
from tests.peers import free_port
from tests.web import ward
from tests.web.window import PASSWORD


class Visit(httpx2.Client):
    """Somebody with a browser that keeps cookies; `name` has a session once signed in."""

    def sign_in(self, name: str, password: str = PASSWORD, **more: str) -> httpx2.Response:
        return self.post("/sign-in", data={"name": name, "password": password, **more})

    def csrf(self) -> str:
        found = re.search(r'<meta name="csrf" content="(\w+)">', self.get("/").text)
        assert found is not None
        return found[1]

    def submit(self, path: str, **fields: Any) -> httpx2.Response:
        """Send a form as its own page does."""
        return self.post(path, data={"csrf": self.csrf(), **fields})


@pytest.fixture
def options() -> dict[str, Any]:
    """Settings of the `[web]` section and others; a module may override this."""
    return {}


@pytest.fixture
def node(tmp_path: Path, empty_worklist: Path, options: dict[str, Any]) -> Iterator[Node]:
    data = tmp_path / "data"
    data.mkdir()
    shutil.copy(empty_worklist, data)
    sections = {"node": {"data": str(data)}, "receive": {"low_disk_bytes": 0}, **options}
    sections["web"] = {"port": free_port(), **options.get("web", {})}
    node = replace(open_node(Settings.model_validate(sections), "boot"), now=Clock())
    yield node
    node.worklist.dispose()


@pytest.fixture(scope="session")
def one_morning(
    tmp_path_factory: pytest.TempPathFactory, empty_worklist: Path, kept_password: str
) -> tuple[Path, Clock]:
    """A worklist as `tests.web.ward` fills it, with an account of each role, and the clock at its end."""
    file, clock = tmp_path_factory.mktemp("morning") / "worklist.sqlite", Clock()
    shutil.copy(empty_worklist, file)
    worklist = Worklist(f"sqlite:///{file}")
    with worklist.write() as tx:
        for role in ("reader", "radiologist", "administrator"):
            accounts.add(tx, clock(), role, role, kept_password)
    ward.morning(worklist, clock)
    worklist.dispose()
    return file, clock


@pytest.fixture
def morning(node: Node, one_morning: tuple[Path, Clock]) -> Node:
    """The node on such a morning."""
    file, clock = one_morning
    node.worklist.dispose()
    shutil.copy(file, node.settings.node.data / "worklist.sqlite")
    node.now.at = clock.at  # type: ignore[attr-defined]
    return node


@pytest.fixture
def served(node: Node) -> Iterator[WebServer]:
    server = WebServer(node)
    server.start()
    yield server
    server.stop()


@pytest.fixture
def restarted(node: Node, served: WebServer) -> Callable[[], AbstractContextManager[None]]:
    """``with restarted():`` → the pages are served again at the address where they were, by a new server."""

    @contextmanager
    def again() -> Iterator[None]:
        web = node.settings.web.model_copy(update={"port": served.port})
        server = WebServer(replace(node, settings=node.settings.model_copy(update={"web": web})))
        server.start()
        try:
            yield
        finally:
            server.stop()

    return again


@pytest.fixture(scope="session", autouse=True)
def kept_password() -> Iterator[str]:
    """The password of everybody here, by argon2 with the least memory and time: it is tried some hundred times."""
    cheap = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(passwords, "_HASHER", cheap)
        patch.setattr(passwords, "_NOBODY", cheap.hash("nobody"))
        yield passwords.hash_password(PASSWORD)


@pytest.fixture
def people(node: Node, kept_password: str) -> Node:
    """An account of each role, named after it."""
    with node.worklist.write() as tx:
        if accounts.any_account(tx):
            return node
        for role in ("reader", "radiologist", "administrator"):
            accounts.add(tx, node.now(), role, role, kept_password)
    return node


@pytest.fixture
def challenger(people: Node, tiny_bundle: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Digest of a candidate that the gate let through, beside the active model."""
    monkeypatch.setattr(register, "default_bundle_path", lambda: tiny_bundle.folder)
    settle_active(people)
    bundle, _ = take_in(people, write_tiny_bundle(tmp_path / "other", seed=8).folder, IMPORT)
    judgement = {"passed": True, "against": tiny_bundle.digest, "checks": []}
    with people.worklist.write() as tx:
        models.record_judgement(tx, people.now(), bundle.digest, judgement)
    return bundle.digest


@pytest.fixture
def stranger(served: WebServer) -> Iterator[Callable[[], Visit]]:
    """``stranger()`` → a browser that has not signed in."""
    opened: list[Visit] = []

    def come() -> Visit:
        opened.append(Visit(base_url=served.address, headers={"Accept": "text/html"}, timeout=PATIENCE_S))
        return opened[-1]

    yield come
    for visit in opened:
        visit.close()


@pytest.fixture
def visitor(people: Node, stranger: Callable[[], Visit]) -> Callable[[str], Visit]:
    """``visitor("radiologist")`` → one who has signed in."""

    def come(role: str) -> Visit:
        visit = stranger()
        assert visit.sign_in(role).status_code == 303
        return visit

    return come


@pytest.fixture
def program(node: Node, served: WebServer) -> Iterator[Callable[..., httpx2.Client]]:
    """``program("worklist.read")`` → a client with a token of these scopes."""
    opened: list[httpx2.Client] = []

    def come(*scopes: str, **times: Any) -> httpx2.Client:
        secret = f"ichnode_{len(opened)}" + "x" * 30
        with node.worklist.write() as tx:
            tokens.add(tx, node.now(), f"program {len(opened)}", secret, scopes, times.get("expires_at"))
        opened.append(
            httpx2.Client(base_url=served.address, headers={"Authorization": f"Bearer {secret}"}, timeout=PATIENCE_S)
        )
        return opened[-1]

    yield come
    for client in opened:
        client.close()


@pytest.fixture(scope="package")  # playwright takes one at a time
def browser(component: Callable[[str, str], str]) -> Iterator[Browser]:
    with opened(component("chromium", "chromium")) as chromium:
        yield chromium


@pytest.fixture
def new_page(browser: Browser) -> Iterator[Callable[..., Page]]:
    """``new_page(1280, 800, color_scheme="light")`` → an empty page with cookies of its own."""
    contexts = []

    def open_one(width: int, height: int, **more: Any) -> Page:
        contexts.append(browser.new_context(viewport={"width": width, "height": height}, **more))
        return contexts[-1].new_page()

    yield open_one
    for context in contexts:
        context.close()

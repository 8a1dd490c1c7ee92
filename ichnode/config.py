"""The settings of the node: their sources, and `config.toml` at the project's root, which is generated from here.

Sources, strongest first: command line, environment (``ICHNODE_NODE__PORT=11112``), TOML file, defaults. A key that is
not known is an error that names the key and the nearest right one; nothing is ever ignored silently.
"""

from __future__ import annotations

import difflib
import json
import os
import socket
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Self, get_args, get_origin
from urllib.parse import quote

import tomli_w
from pydantic import ValidationError, field_validator, model_validator

from ichnode.audit_section import AuditSection
from ichnode.channel_section import ChannelSection, check_escalations
from ichnode.engine_section import EngineSection
from ichnode.errors import ConfigError
from ichnode.peer_section import PeerSection
from ichnode.pool_section import PoolSection, check_pool
from ichnode.retention_section import RetentionSection
from ichnode.retrain_section import RetrainSection
from ichnode.sections import (
    CompletenessSection,
    DatabaseSection,
    DeliverySection,
    DestinationSection,
    LogSection,
    NodeSection,
    ReceiveSection,
    ReportSection,
    Section,
    SelectionSection,
)
from ichnode.source_section import MOST_BACK_DAYS, SourceSection
from ichnode.tls_section import TlsSection
from ichnode.web_section import WebSection
from ichnode.workitems_section import WorkitemsSection

# Not settings: where the configuration is, and what the tests take.
_NOT_SETTINGS = ("ICHNODE_CONFIG", "ICHNODE_TEST_", "ICHNODE_REQUIRE_COMPONENTS")


class Settings(Section):
    """All settings. Immutable once loaded."""

    node: NodeSection = NodeSection()
    tls: TlsSection = TlsSection()
    receive: ReceiveSection = ReceiveSection()
    peers: tuple[PeerSection, ...] = ()
    completeness: CompletenessSection = CompletenessSection()
    source: SourceSection = SourceSection()
    workitems: WorkitemsSection = WorkitemsSection()
    selection: SelectionSection = SelectionSection()
    engine: EngineSection = EngineSection()
    pool: PoolSection = PoolSection()
    report: ReportSection = ReportSection()
    retrain: RetrainSection = RetrainSection()
    retention: RetentionSection = RetentionSection()
    destinations: tuple[DestinationSection, ...] = ()
    channels: tuple[ChannelSection, ...] = ()
    delivery: DeliverySection = DeliverySection()
    database: DatabaseSection = DatabaseSection()
    web: WebSection = WebSection()
    audit: AuditSection = AuditSection()
    log: LogSection = LogSection()

    @field_validator("destinations")
    @classmethod
    def _names_differ(cls, given: tuple[DestinationSection, ...]) -> tuple[DestinationSection, ...]:
        names = [d.name for d in given]
        if len(set(names)) != len(names):
            raise ValueError("two destinations have the same name")
        return given

    @field_validator("channels")
    @classmethod
    def _channels_fit(cls, given: tuple[ChannelSection, ...]) -> tuple[ChannelSection, ...]:
        if len({channel.name for channel in given}) != len(given):
            raise ValueError("two channels have the same name")
        check_escalations(given)
        return given

    @model_validator(mode="after")
    def _one_outbox(self) -> Self:
        if shared := {d.name for d in self.destinations} & {c.name for c in self.channels}:
            raise ValueError(f"channels: {min(shared)} is the name of a destination, too: give it another one")
        return self

    @model_validator(mode="after")
    def _what_is_forgotten_is_not_fetched_again(self) -> Self:
        if self.source.retrieve and 0 < self.retention.records_days < MOST_BACK_DAYS + 1:
            raise ValueError(
                f"retention.records_days has to be 0, or {MOST_BACK_DAYS + 1} at least, where source.retrieve is set: "
                "a look goes back as far, and would fetch, analyse and tell anew what was forgotten"
            )
        return self

    @model_validator(mode="after")
    def _what_is_asked_for_can_be_done(self) -> Self:
        check_pool(self.engine, self.pool)
        if self.workitems.url and not (self.source.retrieve and self.destinations):
            raise ValueError("workitems.url needs source.retrieve for the input, and [[destinations]] for the output")
        return self

    @model_validator(mode="after")
    def _ports_differ(self) -> Self:
        if self.tls.certificate and self.tls.plain_port and self.tls.port == self.node.port != 0:
            raise ValueError("tls.port is node.port: give one of them another port, or set tls.plain_port = false")
        asking = [f"peers.{i}" for i, peer in enumerate(self.peers) if peer.tls or peer.certificates]
        if asking and not self.tls.certificate:
            raise ValueError(f"{asking[0]} asks for TLS, which tls.certificate switches on: give it")
        return self

    @property
    def place(self) -> str:
        """Where this node runs, one at a time in each; on SQLite there is one node, and one place without a name."""
        return (self.node.name or socket.gethostname())[:64] if self.database.url.startswith("postgresql") else ""

    @property
    def database_url(self) -> str:
        """SQLAlchemy URL of the worklist."""
        file = self.node.data.resolve() / "worklist.sqlite"
        return self.database.url or f"sqlite:///{quote(str(file))}"


def load(
    path: Path | None = None, overrides: Mapping[str, Any] | None = None, environ: Mapping[str, str] | None = None
) -> Settings:
    """Read the settings.

    Parameters
    ----------
    path : Path, optional
        TOML file. None: ``$ICHNODE_CONFIG`` if set, else defaults.
    overrides : mapping of "section.key" to value, optional
        Command line values; None values are left out.
    environ : mapping, optional
        Environment; default `os.environ`.

    Raises
    ------
    ConfigError
        Unreadable file, unknown or mistyped key, unknown ``ICHNODE_…`` variable.
    """
    environ = os.environ if environ is None else environ
    if path is None and environ.get("ICHNODE_CONFIG"):
        path = Path(environ["ICHNODE_CONFIG"])
    values: dict[str, Any] = {}
    if path is not None:
        try:
            values = tomllib.loads(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise ConfigError(
                f"Cannot read the configuration {path}: {error.strerror}. Check the path given to --config."
            ) from error
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise ConfigError(f"{path} is not valid TOML: {error}.") from error
    for dotted, value in [*_from_environment(environ), *(overrides or {}).items()]:
        if value is not None:
            section, _, key = dotted.partition(".")
            table = values.setdefault(section, {})
            if isinstance(table, dict):
                table[key] = value
    try:
        return Settings(**values)
    except ValidationError as error:
        raise ConfigError("\n".join(_sentence(e) for e in error.errors())) from None


def changed_sections(before: Settings, after: Settings) -> list[str]:
    """Return the names of the tables that differ."""
    return [name for name in Settings.model_fields if getattr(before, name) != getattr(after, name)]


def check_reload(before: Settings, after: Settings) -> None:
    """Refuse what a running node cannot take up.

    Raises
    ------
    ConfigError
        Data folder or database are others.
    """

    def fixed(settings: Settings) -> tuple[Path, str, str]:
        return settings.node.data.resolve(), settings.database_url, settings.place

    if fixed(before) != fixed(after):
        raise ConfigError(
            "node.data, node.name and database.url cannot change while the node runs: restart it.", "RESTART_NEEDED"
        )


def _from_environment(environ: Mapping[str, str]) -> list[tuple[str, str]]:
    known = {f"ICHNODE_{s}__{k}".upper(): f"{s}.{k}" for s, k in _keys()}
    found = []
    for name, value in environ.items():
        if not name.startswith("ICHNODE_") or name.startswith(_NOT_SETTINGS):
            continue
        if name not in known:
            raise ConfigError(
                f"The environment variable {name} is not a setting{_nearest(name, {k: k for k in known})}"
            )
        found.append((known[name], value))
    return found


def _keys() -> Iterable[tuple[str, str]]:
    for section, field in Settings.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, Section):
            for key in field.annotation.model_fields:
                yield section, key


def _nearest(wrong: str, right: Mapping[str, str]) -> str:
    """Return the end of a sentence: the value of the key of `right` that resembles `wrong` most."""
    match = difflib.get_close_matches(wrong, list(right), n=1, cutoff=0.5)
    return f"; did you mean {right[match[0]]}?" if match else "; `ichnode config show` lists all."


def _is_repeated(section: str) -> bool:
    return get_origin(Settings.model_fields[section].annotation) is tuple


def _heading(section: str) -> str:
    return f"[[{section}]]" if _is_repeated(section) else f"[{section}]"


def _section_model(name: str) -> type[Section] | None:
    annotation = Settings.model_fields[name].annotation if name in Settings.model_fields else None
    if get_origin(annotation) is tuple:
        annotation = get_args(annotation)[0]
    return annotation if isinstance(annotation, type) and issubclass(annotation, Section) else None


def _sentence(error: Any) -> str:
    where = [str(part) for part in error["loc"]]
    dotted = ".".join(where)
    if error["type"] == "extra_forbidden":
        return _unknown(where, isinstance(error["input"], dict | list))
    if error["type"] == "missing":
        return f"{dotted} is required."
    if error["type"] in ("model_type", "model_attributes_type"):
        return f"{dotted} has to be a table: write it as {_heading(where[0])}."
    if error["type"] == "tuple_type" and len(where) == 1:
        return f"{dotted} has to be a list of tables: write each as {_heading(where[0])}."
    if error["type"] == "value_error":
        return ": ".join(filter(None, (dotted, f"{error['ctx']['error']}.")))
    return f"{dotted}: {error['msg']} (got {error['input']!r})."


def _unknown(where: list[str], is_table: bool) -> str:
    *path, wrong = where
    if path:
        model = _section_model(path[0])
        right = {key: ".".join([*path, key]) for key in (model.model_fields if model else ())}
        return f"{'.'.join(where)} is not a setting{_nearest(wrong, right)}"
    sections = {section: _heading(section) for section in Settings.model_fields}
    if is_table:
        return f"[{wrong}] is not a section of the configuration{_nearest(wrong, sections)}"
    keys = {key: f"{section}.{key}" for section, key in reversed(list(_keys()))}
    return f"{wrong} is not a section of the configuration{_nearest(wrong, keys)}"


def render_toml() -> str:
    """Return the commented `config.toml` that states every setting with its unit and default."""
    lines = [
        "# ichnode configuration. Every setting is here with its default; delete what you do not change.",
        "# Generated from ichnode/config.py by `ichnode config show --defaults`; research use only.",
    ]
    for name in Settings.model_fields:
        model = _section_model(name)
        assert model is not None
        lines += ["", f"# {(model.__doc__ or '').splitlines()[0]}"]
        prefix = "# " if _is_repeated(name) else ""
        lines.append(prefix + _heading(name))
        for key, option in model.model_fields.items():
            lines.append(f"# {option.description}")
            default = option.examples[0] if option.examples else option.get_default()
            lines.append(prefix + _assignment(key, _plain(default)))
    return "\n".join(lines) + "\n"


def _assignment(key: str, value: Any) -> str:
    if isinstance(value, list):  # tomli_w would break it into lines; an array of strings is the same in JSON
        return f"{key} = {json.dumps(value)}"
    return tomli_w.dumps({key: value}).strip()


def _plain(value: Any) -> Any:
    if isinstance(value, Path):
        return str(value)
    return list(value) if isinstance(value, tuple) else value

"""Settings: nothing is ignored silently, and every error names the key and the nearest right one."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from pydantic import ValidationError

from ichnode.config import Settings, load, render_toml
from ichnode.errors import ConfigError


@pytest.fixture
def refusal(tmp_path):
    """What `load` says about a configuration that it does not take."""

    def said(text="", environ=None, **overrides):
        file = tmp_path / "config.toml"
        file.write_text(text)
        with pytest.raises(ConfigError) as caught:
            load(file, {key.replace("__", "."): value for key, value in overrides.items()}, environ or {})
        return caught.value.sentence

    return said


@pytest.fixture
def loaded(tmp_path):
    def settings(text="", environ=None, **overrides):
        file = tmp_path / "config.toml"
        file.write_text(text)
        return load(file, {key.replace("__", "."): value for key, value in overrides.items()}, environ or {})

    return settings


@pytest.mark.parametrize(
    ("text", "key", "nearest"),
    [
        ("[node]\nprot = 104", "node.prot", "node.port"),
        ("[nod]\nport = 104", "[nod]", "[node]"),
        ("[completness]\nquiet_s = 3", "[completness]", "[completeness]"),
        ("[completeness]\nquit_s = 3", "completeness.quit_s", "completeness.quiet_s"),
        ("port = 104", "port", "node.port"),
        ("quiet_s = 3", "quiet_s", "completeness.quiet_s"),
        ("[destination]\nname = 'a'", "[destination]", "[[destinations]]"),
        ("[peer]\naet = 'a'", "[peer]", "[[peers]]"),
        ("[[destinations]]\nname='a'\naet='A'\nhots='h'", "destinations.0.hots", "destinations.0.host"),
        ("[[peers]]\naet='A'\nnetwork=[]", "peers.0.network", "peers.0.networks"),
    ],
)
def test_unknown_key_is_named_with_the_nearest_right_one(refusal, text, key, nearest):
    line = next(line for line in refusal(text).splitlines() if line.startswith(key + " "))
    assert line.endswith(f"did you mean {nearest}?"), line


def test_key_that_resembles_nothing_points_to_the_list(refusal):
    assert refusal("[node]\nxyzzyplugh = 1") == "node.xyzzyplugh is not a setting; `ichnode config show` lists all."


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("node = 5", "node has to be a table: write it as [node]."),
        ("[[node]]\nport = 1", "node has to be a table: write it as [node]."),
        ("[peers]\naet = 'X'", "peers has to be a list of tables: write each as [[peers]]."),
        ("destinations = 5", "destinations has to be a list of tables: write each as [[destinations]]."),
        ("destinations = [5]", "destinations.0 has to be a table: write it as [[destinations]]."),
        ("[[destinations]]\naet = 'A'\nhost = 'h'", "destinations.0.name is required."),
    ],
)
def test_mistyped_section_says_how_to_write_it(refusal, text, sentence):
    assert refusal(text) == sentence


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("[node]\nport = 'x'", "node.port"),
        ("[node]\nport = 70000", "node.port"),
        ("[node]\naet = 'SEVENTEEN_LETTERS'", "node.aet"),
        ("[node]\naet = 'BACK\\\\SLASH'", "node.aet"),
        ("[node]\naet = ' LEADING'", "node.aet"),
        ("[completeness]\nquiet_s = 0", "completeness.quiet_s"),
        ("[completeness]\nquiet_s = nan", "completeness.quiet_s"),
        ("[completeness]\nquiet_s = inf", "completeness.quiet_s"),
        ("[log]\nlevel = 'loud'", "log.level"),
        ("[report]\nnot_analysed = 'sometimes'", "report.not_analysed"),
        ("[engine]\ndevice = 'gpu'", "engine.device"),
        ("[[peers]]\nnetworks = ['10.0.0.0/33']", "peers.0.networks"),
        ("[[peers]]\nnetworks = ['scanner.example']", "peers.0.networks"),
    ],
)
def test_wrong_value_names_its_key(refusal, text, key):
    assert refusal(text).startswith(f"{key}: ")


def test_every_mistake_is_told_at_once(refusal):
    assert len(refusal("[node]\nprot = 1\naet = ''\n[log]\nlevel = 'x'").splitlines()) == 3


def test_two_destinations_of_one_name_are_refused_without_repeating_them(refusal):
    one = "[[destinations]]\nname = 'a'\naet = 'B'\nhost = 'h'\n"
    assert refusal(one + one) == "destinations: two destinations have the same name."


@pytest.mark.parametrize(
    ("lines", "sentence"),
    [
        ("", "give aet and host (C-STORE), or url (STOW-RS)"),
        ("host = 'h'", "give aet and host (C-STORE), or url (STOW-RS)"),
        ("aet = 'A'", "give aet and host (C-STORE), or url (STOW-RS)"),
        ("aet = 'A'\nurl = 'https://p'", "keep either aet and host (C-STORE) or url (STOW-RS), and delete the other"),
        ("aet = 'A'\nhost = 'h'\nca_file = 'f'", "ca_file is for TLS: set tls = true, or delete it"),
        ("url = 'pacs.example'", "url is none; write it as https://pacs.example/dicom-web"),
        ("url = 'https://pacs example'", "url is none; write it as https://pacs.example/dicom-web"),
        ("url = 'https://p:70000'", "url is none; write it as https://pacs.example/dicom-web"),
        ("url = 'ftp://p'", "url is none; write it as https://pacs.example/dicom-web"),
        ("url = 'https://u:SECRET@p'", "url holds a user, a query or a fragment: give the root of the service alone"),
        ("url = 'https://p?t=SECRET'", "url holds a user, a query or a fragment: give the root of the service alone"),
        ("url = 'http://p'", "results would travel unencrypted: use https, or set allow_plain_http = true"),
        (
            "url = 'http://p'\nallow_plain_http = true\ntoken_file = 't'",
            "a token or password never travels unencrypted: use https",
        ),
        ("url = 'http://localhost'\nca_file = 'f'", "ca_file is for https: correct the url, or delete it"),
        ("url = 'https://p'\nuser = 'u'", "user and password_file go together: give both"),
        ("url = 'https://p'\npassword_file = 'f'", "user and password_file go together: give both"),
        ("url = 'https://p'\nuser = 'a:b'\npassword_file = 'f'",
         "user holds a colon, which HTTP Basic authentication cannot carry"),
        ("url = 'https://p'\nuser = 'u'\npassword_file = 'f'\ntoken_file = 't'",
         "keep either token_file or user and password_file, and delete the other"),
        ("url = 'https://p'\ncommitment = true",
         "commitment is for a destination with aet and host: delete it, or the url"),
        ("url = 'https://p'\nclient_key = 'k'", "client_key needs client_certificate: give its file"),
    ],
)  # fmt: skip
def test_a_destination_is_one_kind_and_safe(refusal, lines, sentence):
    assert refusal(f"[[destinations]]\nname = 'a'\n{lines}") == f"destinations.0: {sentence}."


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("n" * 64, "is no name that a certificate can hold"),
        (".pacs.example", "is no name that a certificate can hold"),
        ("pacs..example", "is no name that a certificate can hold"),
        ("ab" * 32, "this is a fingerprint: write it into fingerprint"),
        (":".join(["AB"] * 32), "this is a fingerprint: write it into fingerprint"),
    ],
)
@pytest.mark.parametrize("table", ["[[destinations]]\nname = 'a'\naet = 'A'\nhost = 'h'", "[source]\naet = 'A'"])
def test_a_certificate_name_is_one(refusal, table, name, said):
    assert said in refusal(f"{table}\ntls = true\ncertificate_name = '{name}'")


@pytest.mark.parametrize(
    "lines",
    [
        "url = 'https://p/dicom-web'",
        "url = 'https://p'\ntoken_file = 't'\nca_file = 'c'\nclient_certificate = 'x'",
        "url = 'http://127.0.0.1:8042/dicom-web'\nuser = 'u'\npassword_file = 'f'",
        "url = 'http://[::1]:8042/dicom-web'",
        "url = 'http://p'\nallow_plain_http = true",
    ],
)
def test_a_destination_on_the_web_travels_as_json(loaded, lines):
    settings = loaded(f"[[destinations]]\nname = 'a'\n{lines}")
    assert Settings.model_validate(settings.model_dump(mode="json")) == settings


@pytest.mark.parametrize(
    ("variable", "nearest"),
    [
        ("ICHNODE_NODE__PROT", "ICHNODE_NODE__PORT"),
        ("ICHNODE_NODE_PORT", "ICHNODE_NODE__PORT"),
        ("ICHNODE_COMPLETENESS__QUIET", "ICHNODE_COMPLETENESS__QUIET_S"),
    ],
)
def test_unknown_environment_variable_is_an_error(refusal, variable, nearest):
    assert refusal(environ={variable: "1"}) == (
        f"The environment variable {variable} is not a setting; did you mean {nearest}?"
    )


def test_other_programs_variables_are_none_of_ours(loaded):
    assert loaded(environ={"HOME": "/", "ICHNODES": "1", "PATH": ""}) == Settings()


def test_file_then_environment_then_command_line(loaded):
    text, environ = "[node]\nport = 1\naet = 'FILE'\nhost = '127.0.0.2'", {"ICHNODE_NODE__PORT": "2"}
    assert loaded(text).node.port == 1
    assert loaded(text, environ).node.port == 2
    settings = loaded(text, {**environ, "ICHNODE_NODE__AET": "ENV"}, node__port=3, node__aet=None)
    assert (settings.node.port, settings.node.aet, settings.node.host) == (3, "ENV", "127.0.0.2")


def test_environment_names_the_file(tmp_path):
    file = tmp_path / "site.toml"
    file.write_text("[node]\nport = 4")
    assert load(environ={"ICHNODE_CONFIG": str(file)}).node.port == 4
    other = tmp_path / "other.toml"
    other.write_text("[node]\nport = 5")
    assert load(other, environ={"ICHNODE_CONFIG": str(file)}).node.port == 5


@pytest.mark.parametrize("content", [None, b"[node", b"\xff\xfe"])
def test_unreadable_file_is_named(tmp_path, content):
    file = tmp_path / "config.toml"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(ConfigError, match=r"config\.toml"):
        load(file, environ={})


def test_rendered_file_holds_every_setting_and_is_the_default(tmp_path):
    text = render_toml()
    file = tmp_path / "config.toml"
    file.write_text(text)
    assert load(file, environ={}) == Settings()
    tables = tomllib.loads(text)
    for section, field in Settings.model_fields.items():
        if isinstance(field.default, tuple):
            assert f"# [[{section}]]" in text
        else:
            assert set(tables[section]) == set(type(field.default).model_fields), section
    every = [line for line in text.splitlines() if line and not line.startswith(("#", "["))]
    above = [text.splitlines()[text.splitlines().index(line) - 1] for line in every]
    assert all(line.startswith("# ") and line.endswith(".") for line in above), "each setting has its sentence"


def test_commented_examples_can_be_used(loaded):
    lines = render_toml().splitlines()
    examples = []
    for start in ("# [[peers]]", "# [[destinations]]"):
        block = lines[lines.index(start) :]
        block = block[: block.index("")]
        examples += [line.removeprefix("# ") for line in block if line.startswith("# [[") or " = " in line]
    settings = loaded("\n".join(examples))
    assert len(settings.peers) == len(settings.destinations) == 1


def test_settings_do_not_change_and_travel_as_json():
    settings = Settings.model_validate(
        {"destinations": [{"name": "a", "aet": "A", "host": "h"}], "peers": [{"networks": ["10.0.0.0/8"]}]}
    )
    with pytest.raises(ValidationError, match="frozen"):
        settings.node.port = 3  # type: ignore[misc]
    assert Settings.model_validate(settings.model_dump(mode="json")) == settings


def test_worklist_lies_in_the_data_folder_unless_told_otherwise(tmp_path, loaded):
    assert loaded(node__data=str(tmp_path)).database_url == f"sqlite:///{tmp_path}/worklist.sqlite"
    assert loaded("[database]\nurl = 'sqlite:////x.db'").database_url == "sqlite:////x.db"
    assert Path(Settings().database_url.removeprefix("sqlite:///")).is_absolute()


@pytest.mark.parametrize(
    ("lines", "sentence"),
    [
        ('host = "0.0.0.0"', "passwords and patients would travel unencrypted"),
        ('certificate_key = "k.pem"', "certificate_key needs certificate"),
        ('viewer_url = "https://ohif.example/{patient_name}"', "only {study_instance_uid} and {series_instance_uid}"),
        ('pacs_url = "javascript:alert(1)"', "is no link"),
        ('proxy_user_header = "X User"', "proxy_user_header"),
    ],
)
def test_pages_are_not_opened_to_the_network_by_mistake(tmp_path, lines, sentence):
    file = tmp_path / "config.toml"
    file.write_text(f"[web]\n{lines}\n")
    with pytest.raises(ConfigError, match=re.escape(sentence)):
        load(file, environ={})


POOL = '[engine]\nkind = "ray"\n[pool]\ntoken_file = "/t"\n'


@pytest.mark.parametrize(
    ("lines", "sentence"),
    [
        ('[engine]\nkind = "ray"\n', "pool.address is needed"),
        ('[engine]\nkind = "ray"\n[pool]\naddress = "head:6379"\n', "pool.token_file is needed"),
        (POOL + 'address = "ray://head"\n', "pool.address"),
        (POOL + 'address = "head:6379"\ncpu_workers = 0\n', "pool.least_workers is more"),
        (POOL + 'address = "head:6379"\ncpu_workers = 0\nleast_workers = 0\n', "nothing would be analysed"),
    ],
)
def test_a_pool_is_named_and_has_room(refusal, lines, sentence):
    assert sentence in refusal(lines)


def test_a_pool_needs_no_more_than_its_address_and_token(loaded):
    settings = loaded(POOL + 'address = "head:6379"\n')
    assert (settings.engine.kind, settings.pool.cpu_workers) == ("ray", 1)


@pytest.mark.parametrize(("days", "is_fetched_again"), [(14.5, True), (1, True), (0, False), (15, False)])
def test_what_is_forgotten_sooner_than_a_look_reaches_back_is_refused(loaded, refusal, days, is_fetched_again):
    source = "[source]\naet = 'PACS'\nretrieve = 'c-get'\n"
    retention = f"[retention]\nimages_days = {min(days, 1)}\nleast_days = 0\nrecords_days = {days}\n"
    loaded(retention)
    if is_fetched_again:
        assert "retention.records_days has to be 0, or 15 at least" in refusal(source + retention)
    else:
        loaded(source + retention)


WORKITEMS = "[workitems]\nurl = 'https://pacs.example/rs'\n"
FETCHED = "[source]\naet = 'PACS'\nretrieve = 'c-get'\n"
DELIVERED = "[[destinations]]\nname = 'a'\naet = 'A'\nhost = 'h'\n"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (WORKITEMS + FETCHED + DELIVERED, "url needs codes or station"),
        (WORKITEMS + "codes = ['ICH']\n" + FETCHED + DELIVERED, "workitems.codes.0"),
        (WORKITEMS + "codes = ['ICH^L']\n" + DELIVERED, "needs source.retrieve for the input"),
        (WORKITEMS + "station = 'ICH^L'\n" + FETCHED, "[[destinations]] for the output"),
        ("[workitems]\nstation = 'ICH^L'\n", "station belongs to a service with a url"),
        (WORKITEMS.replace("https", "http") + "codes = ['ICH^L']\n", "work items would travel unencrypted"),
    ],
)
def test_work_items_that_could_not_be_performed_are_refused(text, said, refusal):
    assert said in refusal(text)


def test_work_items_are_off_until_a_service_is_named(loaded):
    assert not loaded("").workitems.url
    settings = loaded(WORKITEMS + "codes = ['ICH^99 L']\n" + FETCHED + DELIVERED)
    assert settings.workitems.codes == ("ICH^99 L",)

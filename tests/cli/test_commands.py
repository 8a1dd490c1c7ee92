"""Every command: its help, its exit codes, its sentences; a person never sees a traceback."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
import tomllib

import click
import pytest

from ichnode.cli.ichnode import group
from ichnode.core.urgency import PEER, Said
from ichnode.dicom.access import AllowedPeer
from ichnode.steps import examine
from ichnode.worklist import schema, standings
from ichnode.worklist.urgency import hasten
from tests.archive import Archive
from tests.dicom.wire import Receiver
from tests.peers import free_port

CONTEXT = click.Context(group)
COMMANDS = group.list_commands(CONTEXT)


def leaves(command, name):
    """A command and its sub-commands, by what one types."""
    yield name, command
    if isinstance(command, click.Group):
        for sub in command.list_commands(click.Context(command)):
            yield from leaves(command.get_command(click.Context(command), sub), f"{name} {sub}".strip())


EVERY = dict(leaves(group, ""))


def test_help_imports_nothing_heavy():
    code = (
        "import sys; sys.argv = ['ichnode', '--help']\n"
        "from ichnode.__main__ import main\n"
        "try: main()\n"
        "except SystemExit as end: assert not end.code\n"
        "print(sorted({m.partition('.')[0] for m in sys.modules}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(re.findall(r"'(\w+)'", done.stdout.splitlines()[-1]))
    assert "click" in loaded
    heavy = {
        "torch",
        "numpy",
        "pydicom",
        "pynetdicom",
        "sqlalchemy",
        "alembic",
        "highdicom",
        "pydantic",
        "rich",
        "structlog",
    }
    assert not loaded & heavy


@pytest.mark.parametrize("name", EVERY)
def test_help_is_a_sentence_and_an_example_that_can_be_typed(ichnode, name):
    said = ichnode(*name.split(), "--help")
    assert said.code == 0
    text = EVERY[name].help
    assert re.match(r"[A-Z][^\n]+[.:;,]?\n|[A-Z].*\.$", text), text
    example = re.search(r"Example: (ichnode .+)", said.out)
    assert example, "an example"
    typed = example[1].split(">")[0].split()[1:]
    command = group
    context = CONTEXT
    while isinstance(command, click.Group):
        command, rest = command.get_command(context, typed[0]), typed[1:]
        assert command is not None
        context, typed = click.Context(command, parent=context), rest
    options = {option for parameter in command.params for option in parameter.opts}
    assert {word for word in typed if word.startswith("--")} <= options


@pytest.mark.parametrize("name", COMMANDS)
def test_the_list_says_what_the_command_says(ichnode, name):
    assert re.search(rf"^  {name} +\S.*", ichnode("--help").out, re.MULTILINE)


def test_every_option_is_explained():
    for name, command in EVERY.items():
        for parameter in command.params:
            if isinstance(parameter, click.Option):
                assert parameter.help, f"{name} {parameter.opts}"
                assert parameter.help.endswith("."), f"{name} {parameter.opts}"


def test_version(ichnode):
    said = ichnode("--version")
    assert (said.code, bool(re.search(r"\d+\.\d+\.\d+", said.out))) == (0, True)


@pytest.mark.parametrize(
    "typed",
    [
        [],
        ["frobnicate"],
        ["worklist", "--nope"],
        ["show"],
        ["worklist", "--limit", "0"],
        ["explain", "/nonexistent"],
        ["retry"],
        ["retract", "1"],
        ["retract", "1", "--because", "regret"],
    ],
)
def test_wrong_use_is_2(ichnode, typed):
    said = ichnode(*typed)
    assert said.code == 2
    assert said.err.startswith("Usage: ")
    assert "Traceback" not in said.err


@pytest.mark.parametrize(
    "typed",
    [
        ["worklist"],
        ["show", "1"],
        ["retry", "--all"],
        ["retract", "1", "--because", "wrong-result"],
        ["doctor"],
        ["serve"],
        ["config", "check"],
    ],
)
def test_a_wrong_configuration_is_2_and_names_the_key(ichnode, tmp_path, typed):
    file = tmp_path / "config.toml"
    file.write_text("[node]\nprot = 104\n")
    said = ichnode(*typed, "--config", file)
    assert (said.code, said.out) == (2, "")
    assert said.err == "node.prot is not a setting; did you mean node.port?\n"


@pytest.mark.parametrize(
    "typed", [["worklist"], ["show", "1"], ["retry", "--all"], ["retract", "1", "--because", "wrong-result"]]
)
def test_a_folder_without_worklist_is_told_in_a_sentence_and_left_as_it_was(ichnode, tmp_path, typed):
    said = ichnode(*typed, "--data", tmp_path)
    assert (said.code, said.out) == (2, "")
    assert said.err == (
        f"There is no worklist in {tmp_path}. Give --config or --data of the node, or start it: ichnode serve.\n"
    )
    assert list(tmp_path.iterdir()) == []


def test_a_worklist_that_is_none(ichnode, data):
    data.mkdir()
    (data / "worklist.sqlite").write_bytes(b"something else entirely, but long enough" * 50)
    said = ichnode("worklist", "--data", data)
    assert said.code == 1
    assert said.err.startswith("The worklist cannot be opened: ")
    assert len(said.err.splitlines()) == 1


def test_what_nobody_expected_is_one_sentence(ichnode, filled, data, monkeypatch):
    from ichnode.worklist import triage_list

    def broken(*_):
        raise ZeroDivisionError("secret")

    monkeypatch.setattr(triage_list, "page", broken)
    said = ichnode("worklist", "--data", data)
    assert said.code == 1
    assert said.err.startswith("Something unexpected happened (ZeroDivisionError).")
    assert "secret" not in said.err
    assert "Traceback" not in said.err
    assert "Traceback" in ichnode("--traceback", "worklist", "--data", data).err


def test_a_reader_that_goes_away_is_no_error():
    command = f"{sys.executable} -m ichnode config show --defaults | true; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=True)
    assert done.stderr == ""


class TestWorklist:
    def test_table(self, ichnode, filled, data):
        said = ichnode("worklist", "--data", data)
        assert said.code == 0
        lines = said.out.splitlines()
        assert lines[0].startswith("Worklist: research use only, not for diagnosis")
        verdicts = re.findall(r"^ \d+  (positive|negative|not analysed) ", said.out, re.MULTILINE)
        assert verdicts == ["positive", "not analysed", "not analysed", "negative"]
        assert "0.93" in said.out
        assert "1 failed" in said.out

    def test_json_holds_the_same_order(self, ichnode, filled, data):
        said = ichnode("worklist", "--data", data, "--json")
        studies = json.loads(said.out)
        assert [s["accession_number"] for s in studies][:2] == ["A-positive", "A-failed"]
        assert studies[0]["deliveries"] == {"failed": 1}
        assert len(json.loads(ichnode("worklist", "--data", data, "--json", "--limit", 1).out)) == 1

    def test_an_empty_one_says_what_to_do(self, ichnode, node, data):
        assert "ichnode send" in ichnode("worklist", "--data", data).out
        assert ichnode("worklist", "--data", data, "--json").out == "[]\n"

    def test_text_from_the_network_is_not_markup(self, ichnode, filled, data):
        assert "[/]" in ichnode("worklist", "--data", data).out

    def test_the_environment_names_the_folder(self, ichnode, filled, data, monkeypatch):
        monkeypatch.setenv("ICHNODE_NODE__DATA", str(data))
        assert ichnode("worklist", "--json").code == 0


class TestShow:
    def test_everything_of_one_study(self, ichnode, filled, data):
        said = ichnode("show", "A-positive", "--data", data)
        assert said.code == 0
        for text in (
            "positive, revision 1", "0.930 (threshold 0.500) PRESENT", "<- read for this study",
            "pacs: failed, 1 attempt(s): pacs refused the object with status 0xA900.", "delivery.refused",
            "Journal (UTC)",
        ):  # fmt: skip
            assert text in said.out, text

    def test_what_a_destination_says_of_keeping_it(self, ichnode, filled, node, data):
        with node.worklist.write() as tx:
            tx.execute(schema.deliveries.update().values(state="awaiting", error=None))
            standings.refresh(tx, range(1, 5))
        assert "pacs: awaiting commitment, 1 attempt(s)" in ichnode("show", "A-positive", "--data", data).out
        assert "1 awaiting commitment" in ichnode("worklist", "--data", data).out

    def test_a_failed_analysis_says_why(self, ichnode, filled, data):
        said = ichnode("show", "A-failed", "--data", data)
        assert "job analyse failed: slice 3 cannot be decoded" in said.out

    def test_a_rejection_says_why_and_shows_its_report(self, ichnode, filled, data):
        (line,) = [s for s in json.loads(ichnode("worklist", "--json", "--data", data).out) if s["slices"] == 1]
        said = ichnode("show", line["study_instance_uid"], "--report", "--data", data)
        assert "not analysed: TOO_FEW_SLICES: The series has too few slices." in said.out
        assert "TOO_FEW_SLICES" in said.out.split("Journal")[1], "the text of the report"
        assert "research use only" in said.out.lower()

    def test_an_urgent_study_says_why(self, ichnode, filled, data):
        (study,) = json.loads(ichnode("show", "A-negative", "--json", "--data", data).out)
        with filled.worklist.write() as tx:
            hasten(tx, filled.now(), study["id"], Said(PEER, "ED_CT"))
        said = ichnode("show", "A-negative", "--data", data).out
        assert "urgent: its sender is marked urgent in [[peers]]" in said
        assert "study.urgent         because=peer said=ED_CT" in said
        assert "(urgent)" in ichnode("worklist", "--data", data).out

    def test_json(self, ichnode, filled, data):
        (study,) = json.loads(ichnode("show", "A-negative", "--json", "--data", data).out)
        assert study["series"][0]["results"][0]["verdict"] == "negative"

    @pytest.mark.parametrize("name", ["99", "1.2.3", ""])
    def test_nothing_found_is_1(self, ichnode, filled, data, name):
        said = ichnode("show", name, "--data", data)
        assert (said.code, said.out) == (1, "")
        assert said.err == "No such study in the worklist; `ichnode worklist` lists what there is.\n"


class TestRetry:
    def test_one_study(self, ichnode, filled, data):
        said = ichnode("retry", "A-failed", "--data", data)
        assert (said.code, said.out) == (0, "1 analysis job(s) and 0 deliver(y/ies) are due again.\n")
        assert claim_kinds(filled) == ["analyse"]

    def test_everything(self, ichnode, filled, data):
        said = ichnode("retry", "--all", "--data", data)
        assert said.out == "1 analysis job(s) and 2 deliver(y/ies) are due again.\n"
        assert ichnode("retry", "--all", "--data", data).out.startswith("0 analysis job(s)")

    def test_unknown_study_is_1(self, ichnode, filled, data):
        assert ichnode("retry", "nobody", "--data", data).code == 1

    def test_study_and_all_is_wrong_use(self, ichnode, filled, data):
        assert ichnode("retry", "--all", "1", "--data", data).code == 2


def claim_kinds(node):
    from ichnode.worklist import schema
    from tests.made import rows

    return [row["kind"] for row in rows(node.worklist, schema.jobs, state="queued")]


class TestConfig:
    def test_check_says_which_file_is_good(self, ichnode, tmp_path, monkeypatch):
        file = tmp_path / "site.toml"
        file.write_text("[node]\nport = 104\n")
        sentence = f"{file}: every setting is known and well typed.\n"
        assert ichnode("config", "check", "--config", file).out == sentence
        monkeypatch.setenv("ICHNODE_CONFIG", str(file))
        assert ichnode("config", "check").out == sentence
        monkeypatch.delenv("ICHNODE_CONFIG")
        assert ichnode("config", "check").out.startswith("The defaults: ")

    def test_check_of_an_absent_file(self, ichnode, tmp_path):
        said = ichnode("config", "check", "--config", tmp_path / "absent.toml")
        assert said.code == 2
        assert "absent.toml: No such file or directory" in said.err

    def test_show_is_what_is_in_force(self, ichnode, tmp_path, monkeypatch):
        file = tmp_path / "site.toml"
        file.write_text("[node]\nport = 104\n[[destinations]]\nname = 'pacs'\naet = 'PACS'\nhost = 'h'\n")
        monkeypatch.setenv("ICHNODE_NODE__AET", "FROMENV")
        shown = tomllib.loads(ichnode("config", "show", "--config", file, "--data", "elsewhere").out)
        assert (shown["node"]["port"], shown["node"]["aet"], shown["node"]["data"]) == (104, "FROMENV", "elsewhere")
        assert shown["destinations"][0]["name"] == "pacs"

    def test_defaults_are_a_file_that_passes_the_check(self, ichnode, tmp_path):
        file = tmp_path / "config.toml"
        file.write_text(ichnode("config", "show", "--defaults").out)
        assert ichnode("config", "check", "--config", file).code == 0


class TestPeers:
    def test_echo_of_nobody_is_1_and_says_what_to_do(self, ichnode):
        said = ichnode("echo", "--to", f"NOBODY@127.0.0.1:{free_port()}")
        assert said.code == 1
        assert "no connection. Check host and port" in said.err

    @pytest.mark.parametrize("target", ["nonsense", "A@b", "A@b:c", "SEVENTEEN_LETTERS@h:1", "@h:1"])
    def test_a_target_of_another_form_is_wrong_use(self, ichnode, target):
        said = ichnode("echo", "--to", target)
        assert said.code == 2
        assert "AET@HOST:PORT" in said.err

    def test_unknown_destination_names_the_known_ones(self, ichnode, tmp_path):
        file = tmp_path / "c.toml"
        file.write_text("[[destinations]]\nname = 'pacs'\naet = 'PACS'\nhost = 'h'\n")
        assert "(pacs)" in ichnode("echo", "archive", "--config", file).err
        assert "none is configured" in ichnode("echo").err

    @pytest.mark.interop
    def test_echo_and_send_to_storescp(self, ichnode, storescp, head_ct):
        target = f"{storescp.aet}@127.0.0.1:{storescp.port}"
        assert ichnode("echo", "--to", target).out.endswith("answers\n")
        said = ichnode("send", "--to", target, head_ct)
        assert (said.code, said.out) == (0, f"{target}: 32 of 32 files stored, 0 not DICOM\n")
        assert len(list(storescp.received.iterdir())) == 32

    @pytest.mark.interop
    def test_echo_and_send_over_the_web(self, ichnode, start_orthanc, head_ct, tmp_path):
        orthanc = start_orthanc(plugins=True)
        url, file = f"http://127.0.0.1:{orthanc.http_port}/dicom-web", tmp_path / "c.toml"
        file.write_text(f"[[destinations]]\nname = 'web'\nurl = '{url}'\n")
        assert ichnode("echo", "web", "--config", file).out == f"web: {url} answers\n"
        said = ichnode("send", "--destination", "web", "--config", file, head_ct)
        assert (said.code, said.out) == (0, "web: 32 of 32 files stored, 0 not DICOM\n")
        assert len(orthanc.find("Instance")) == 32
        checks = json.loads(ichnode("doctor", "--config", file, "--data", tmp_path / "data", "--json").out)
        assert {"name": "destination web", "found": f"{url} answers", "remedy": ""} in checks

    def test_echo_of_a_service_that_is_down(self, ichnode, tmp_path):
        file = tmp_path / "c.toml"
        file.write_text(f"[[destinations]]\nname = 'web'\nurl = 'http://127.0.0.1:{free_port()}'\n")
        said = ichnode("echo", "--config", file)
        assert said.code == 1
        assert "no connection. Check url" in said.err

    def test_nothing_to_send_is_1(self, ichnode, tmp_path):
        (tmp_path / "notes.txt").write_text("not DICOM")
        said = ichnode("send", "--to", "A@127.0.0.1:1", tmp_path)
        assert (said.code, said.err) == (1, "No DICOM file was found.\n")


class TestDoctor:
    def test_each_trouble_has_a_remedy(self, ichnode, filled, data, tmp_path):
        file = tmp_path / "c.toml"
        file.write_text(
            f"[node]\ndata = '{data}'\nport = {free_port()}\nhost = '0.0.0.0'\n"
            f"[[destinations]]\nname = 'pacs'\naet = 'PACS'\nhost = '127.0.0.1'\nport = {free_port()}\n"
            "[receive]\nlow_disk_bytes = 9000000000000000\n[engine]\nbundle = '/nonexistent'\n"
        )
        said = ichnode("doctor", "--config", file, "--json")
        assert said.code == 1
        checks = {check["name"]: check for check in json.loads(said.out)}
        for name in ("peers", "disk", "worklist", "model", "destination pacs"):
            assert checks[name]["remedy"].endswith("."), name
        for name in ("port", "decoders", "clock"):
            assert checks[name]["remedy"] == "", name
        text = ichnode("doctor", "--config", file).out
        assert text.count("LOOK  ") == sum(bool(check["remedy"]) for check in checks.values())

    def test_a_port_on_which_nobody_answers_may_be_that_of_a_busy_node(self, ichnode, data, tmp_path, monkeypatch):
        monkeypatch.setattr(examine, "OWN_ANSWER_S", 0.2)
        file = tmp_path / "c.toml"
        with socket.create_server(("127.0.0.1", 0)) as silent:
            file.write_text(f"[node]\nport = {silent.getsockname()[1]}\n")
            (check, *_) = json.loads(ichnode("doctor", "--config", file, "--data", data, "--json").out)
        assert check["found"].endswith("is taken, and no DICOM node answered there within 0.2 s")
        assert check["remedy"].startswith("The node hangs or is very busy")
        file.write_text("[node]\nhost = '192.0.2.99'\n[[peers]]\naet = '*'\nnetworks = ['192.0.2.1']\n")
        (check, *_) = json.loads(ichnode("doctor", "--config", file, "--data", data, "--json").out)
        assert check["found"] == "192.0.2.99:11112 cannot be used (Cannot assign requested address)"

    @pytest.mark.parametrize("commits", [True, False])
    def test_whether_a_destination_commits_itself(self, ichnode, data, tmp_path, commits):
        file = tmp_path / "c.toml"
        with Archive(commits=commits).listening() as archive:
            file.write_text(
                f"[node]\nport = {free_port()}\n[[destinations]]\nname = 'pacs'\naet = 'ARCHIVE'\n"
                f"host = '127.0.0.1'\nport = {archive.port}\ncommitment = true\n"
            )
            said = ichnode("doctor", "--config", file, "--data", data, "--json")
        (check,) = [check for check in json.loads(said.out) if check["name"] == "destination pacs"]
        if commits:
            assert check["found"].endswith(" answers, and takes requests for storage commitment")
        else:
            assert check["found"] == "does not commit itself to keep results"
            assert "Storage Commitment Push Model" in check["remedy"]

    @pytest.mark.parametrize("who", ["*", "CT1"])
    def test_a_node_that_runs_and_whose_peers_do_not_include_itself(self, ichnode, data, tmp_path, who):
        file = tmp_path / "c.toml"
        with Receiver(allowed=(AllowedPeer(who),)) as node:
            file.write_text(f"[node]\nport = {node.port}\n")
            said = ichnode("doctor", "--config", file, "--data", data, "--json").out
        checks = json.loads(said[said.index("[\n") :])  # behind what the node has logged
        assert checks[0]["remedy"] == ""
        assert checks[0]["found"].endswith("answers" if who == "*" else "answers, this machine is no peer")


@pytest.mark.parametrize("typed", [["explain"], ["explain", "--json"]])
def test_explain_says_what_the_node_would_do(ichnode, head_ct, tmp_path, typed):
    said = ichnode(*typed, head_ct)
    assert said.code == 0
    assert "would be analysed" in said.out or json.loads(said.out)["series"][0]["would"] == "analyse"
    (tmp_path / "notes.txt").write_text("not DICOM")
    said = ichnode(*typed, tmp_path)
    assert said.code == 1
    assert "NOT_DICOM" in said.out


def test_no_patient_data_in_what_is_logged(filled, data):
    """What the receiver and the report logged while the worklist was filled."""
    logged = (data / "node.log").read_text()
    assert "result.made" in logged
    for word in ("DOE", "JANE", "MARKUP", "PHANTOM"):
        assert word not in logged


def test_the_program_runs_as_a_module():
    environ = {**os.environ, "ICHNODE_NODE__PROT": "1"}
    done = subprocess.run(
        [sys.executable, "-m", "ichnode", "config", "check"], env=environ, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "ICHNODE_NODE__PORT?" in done.stderr

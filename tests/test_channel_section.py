"""Every wrong [[channels]] is a sentence that says what to do."""

from __future__ import annotations

from datetime import time

import pytest

from ichnode.channel_section import ChannelSection
from ichnode.config import load
from ichnode.errors import ConfigError

WEBHOOK = 'kind = "webhook"\nurl = "https://a.example/x?t=1"\nsecret_file = "s"'
MAIL = 'kind = "mail"\nhost = "smtp.example"\nsender = "n@a.example"\nrecipients = ["b@a.example"]'
HL7 = 'kind = "hl7"\nhost = "127.0.0.1"'
FHIR = 'kind = "fhir"\nurl = "https://fhir.example/r4"'


def channels(tmp_path, *texts):
    file = tmp_path / "config.toml"
    file.write_text(
        "\n".join(text if "[[" in text else f'[[channels]]\nname = "c{n}"\n{text}' for n, text in enumerate(texts))
    )
    return load(file, environ={}).channels


@pytest.mark.parametrize("text", [WEBHOOK, MAIL, HL7, FHIR])
def test_the_least_that_a_channel_needs(tmp_path, text):
    (channel,) = channels(tmp_path, text)
    assert ChannelSection.model_validate(channel.model_dump(mode="json")) == channel, "as the worker is given it"
    assert channel.patient_data is False
    assert channel.rule.calls == ("positive",)
    assert channel.ladder.steps == ()


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ('kind = "fax"', "webhook"),
        ('kind = "webhook"\nurl = "https://a.example"', "a channel of kind webhook needs secret_file"),
        ('kind = "mail"\nhost = "smtp.example"\nsender = "n@a.example"', "needs recipients"),
        ('kind = "hl7"', "needs host"),
        (f'{HL7}\nurl = "https://a.example"', "url is for kind webhook or fhir: delete it"),
        (f'{WEBHOOK}\nsender = "n@a.example"', "sender is for kind mail: delete it"),
        (f'{HL7}\ntls = "starttls"', "hl7 knows tls or none"),
        ('kind = "hl7"\nhost = "192.0.2.1"', "messages would travel unencrypted: use TLS, or set allow_plain = true"),
        (WEBHOOK.replace("https", "http"), "messages would travel unencrypted"),
        (f'{MAIL}\ntls = "none"\nallow_plain = true\nuser = "u"\npassword_file = "p"', "never travels unencrypted"),
        (f'{HL7}\nca_file = "x.pem"', "ca_file is for TLS"),
        (f'{MAIL}\nuser = "u"', "user and password_file go together"),
        (f'{FHIR}\nuser = "u:v"\npassword_file = "p"', "a colon"),
        (f'{FHIR}\nuser = "u"\npassword_file = "p"\ntoken_file = "t"', "keep either token_file or user"),
        (f'{FHIR}\nclient_key = "k"', "client_key needs client_certificate"),
        (FHIR.replace("/r4", "/r4?x=1"), "url holds a user, a query or a fragment"),
        (FHIR.replace("https://", ""), "url is none"),
        (MAIL.replace("n@a.example", "n@a.example>\\r\\nBcc: x@y"), "is not a mail address"),
        (f'{HL7}\nhours = "18-7"', 'write it as "18:00-07:00"'),
        (f'{HL7}\nhours = "18:00-18:00"', 'write it as "18:00-07:00"'),
        (f'{HL7}\nweekdays = ["monday"]', "mon"),
        (f"{HL7}\nescalate_after_min = [10, 5]", "has to rise"),
        (f'{HL7}\nescalate_to = ["c0"]', "escalate_to needs escalate_after_min"),
        (f'{HL7}\nescalate_after_min = [5]\nescalate_to = ["gone"]', "c0 escalates to gone, which is not a channel"),
        (f'{HL7}\nescalate_after_min = [5]\nverdicts = ["failed"]', "add positive to verdicts"),
        (f"{FHIR}\nescalate_after_min = [5]", "keeps records and calls nobody"),
        (f"{HL7}\npatiant_data = true", "did you mean channels.0.patient_data?"),
        (f'{HL7}\nsending_application = "A\\nB"', "sending_application"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said(tmp_path, text, sentence):
    with pytest.raises(ConfigError) as wrong:
        channels(tmp_path, text)
    assert sentence in wrong.value.sentence


def test_names_are_one_outbox(tmp_path):
    with pytest.raises(ConfigError, match="two channels have the same name"):
        channels(tmp_path, f'[[channels]]\nname = "a"\n{HL7}\n[[channels]]\nname = "a"\n{HL7}')
    destination = '[[destinations]]\nname = "c0"\naet = "PACS"\nhost = "192.0.2.10"'
    with pytest.raises(ConfigError, match="channels: c0 is the name of a destination, too"):
        channels(tmp_path, HL7, destination)


def test_steps_go_to_this_channel_to_one_or_to_one_each(tmp_path):
    steps = "escalate_after_min = [5, 15]"
    first, second, third = channels(
        tmp_path,
        f"{HL7}\n{steps}",
        f'{HL7}\n{steps}\nescalate_to = ["c0"]',
        f'{HL7}\n{steps}\nescalate_to = ["c1", "c0"]',
    )
    assert first.ladder.steps == ((5, "c0"), (15, "c0"))
    assert second.ladder.steps == ((5, "c0"), (15, "c0"))
    assert third.ladder.steps == ((5, "c1"), (15, "c0"))


def test_hours_over_midnight(tmp_path):
    (channel,) = channels(tmp_path, f'{HL7}\nhours = "18:00-07:30"\nweekdays = ["fri", "sat"]')
    assert channel.rule.hours == (time(18), time(7, 30))

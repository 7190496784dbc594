"""`todoservice doctor`: each of its findings, by its words, where the condition is planted; and a clean bill."""

import json
import re
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psycopg2
import pytest
import trustme
from compute import OWNER, Compute, free_port
from databases import PASSWORD, administer, ask
from endpoint import ASLEEP, DISABLED, DOMAIN, NAME, TOO_MANY, Endpoint
from pooler import pooler
from psycopg2 import sql
from sqlalchemy import make_url

from todoservice import doctor
from todoservice.cli import main
from todoservice.database import failures
from todoservice.doctor import Code, Finding, Report, Severity, visits
from todoservice.doctor.questions import version_findings
from todoservice.doctor.stages import STAGES, UNREACHABLE, stage_of

Look = Callable[..., Report]


@pytest.fixture
def look(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> Look:
    """Return what sets variables, in lower case here, and looks, and sees that no password or traceback is told."""
    monkeypatch.setenv("HOME", str(tmp_path))  # which has no ~/.postgresql

    def look(clock: Callable[[], float] = time.time, **variables: str) -> Report:
        for name, value in variables.items():
            monkeypatch.setenv(name.upper(), value)
        report = doctor.look(clock)
        for told in (str(report), json.dumps(report.as_json())):
            for secret in (PASSWORD, quote(PASSWORD), "open-sesame", "open%2Dsesame"):
                assert secret not in told
        assert [record for record in caplog.records if record.exc_info] == []
        return report

    return look


@pytest.fixture
def url(endpoint: Endpoint, login: str) -> str:
    """Return the service's URL, as it should be."""
    return endpoint.address(login, PASSWORD)


def changed(url: str, **query: str) -> str:
    """Return a URL with other parameters; those that are "" are taken out."""
    made = make_url(url).difference_update_query([name for name, value in query.items() if not value])
    made = made.update_query_dict({name: value for name, value in query.items() if value})
    return made.render_as_string(hide_password=False)


def found(report: Report, code: Code) -> Finding:
    """Return the one finding of a code."""
    (finding,) = [finding for finding in report.findings if finding.code is code]
    return finding


def codes(report: Report) -> list[Code]:
    """Return what was found, but for what a busy machine's clock finds."""
    return [finding.code for finding in report.findings if finding.code not in {Code.LATENCY, Code.COLD_START}]


# A clean bill


def test_an_endpoint_as_it_should_be(look: Look, endpoint: Endpoint, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """There is nothing to change, and what was seen is told."""
    monkeypatch.setattr(visits, "FAR", 1.0)  # a busy machine is as slow as a region that is far away
    monkeypatch.setattr(visits, "COLD", 10.0)
    owner = endpoint.address(OWNER, PASSWORD, pooled=False)
    report = look(neon_database_url=url, neon_migration_database_url=owner)
    assert codes(report) == []
    assert report.ok
    lines = str(report).splitlines()
    assert lines[0] == "NEON_DATABASE_URL"
    assert lines[1].startswith(
        f"  leads to     {NAME}-pooler.{DOMAIN}:{endpoint.port}, database neondb, as neondb_login"
    )
    assert lines[1].endswith(" (pooled)")
    assert lines[2] == "  TLS          TLSv1.3, verified: certificate, host"
    assert lines[3].startswith("  server       PostgreSQL ")
    assert re.fullmatch(r"  connecting   [\d.]+ ms at first, [\d.]+ ms then, login included", lines[4])
    assert re.fullmatch(r"  round trip   [\d.]+ ms \(median\)", lines[5])
    assert re.fullmatch(r"  clock        0\.\d+ s (behind|ahead of) this machine's", lines[6])
    assert lines[7] == "  connections  max_connections is 104: 9 processes can have all of their pool at work"
    assert "NEON_MIGRATION_DATABASE_URL" in lines
    assert lines[-1] == "nothing to change"


def test_the_command(
    endpoint: Endpoint, url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It exits with 0 where the service can serve, warned of or not, and with 1 where it cannot; both as JSON too."""
    monkeypatch.setenv("NEON_DATABASE_URL", url)
    assert main(["doctor"]) == 0
    assert capsys.readouterr().out.endswith("\nnothing to change\n")
    monkeypatch.setenv("NEON_DATABASE_URL", endpoint.address(OWNER, PASSWORD))
    assert main(["doctor", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert list(told) == ["ok", "service", "migrations", "findings"]
    assert told["ok"] is True
    assert told["migrations"] is None
    assert list(told["service"]) == [
        "host", "database", "user", "pooled", "tls", "verified", "server_version", "first_connect", "connect",
        "round_trip", "clock_ahead", "max_connections", "processes",
    ]  # fmt: skip
    (finding,) = told["findings"]
    assert list(finding) == ["code", "severity", "about", "what", "mend"]
    assert (finding["code"], finding["severity"], finding["about"]) == ("owner", "warning", "NEON_DATABASE_URL")
    endpoint.refusal = DISABLED
    assert main(["doctor", "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["ok"] is False
    assert main(["doctor"]) == 1
    assert capsys.readouterr().out.splitlines()[-5:] == [
        "error    endpoint-disabled  NEON_DATABASE_URL",
        f"         the endpoint is disabled: ERROR: {DISABLED}",
        "         -> enable it in Neon's console, or by its API",
        "",
        "1 error",
    ]


def test_nothing_is_changed(look: Look, node: Compute, url: str) -> None:
    """The server hears of nothing but looks."""
    before = len(node.heard())
    look(neon_database_url=url)
    statements = [line.partition("statement: ")[2] for line in node.heard()[before:] if "statement: " in line]
    statements = [text for text in statements if text]  # ours begin with WITH in their second line
    assert statements
    assert [text for text in statements if not text.startswith(("SELECT", "WITH"))] == []


# What the environment says


def test_times_that_do_not_nest(look: Look, url: str) -> None:
    """Each is told with the one that it has to leave room for."""
    times = {"todoservice_request_budget": "10", "todoservice_shutdown_timeout": "9.5"}
    first, second = (finding for finding in look(neon_database_url=url, **times).findings if finding.code is Code.TIMES)
    assert (first.about, first.severity) == ("TODOSERVICE_REQUEST_BUDGET", Severity.WARNING)
    assert first.what == "it is 10 s, and one try to connect may take 10 s"
    assert first.mend == "a request has no second try: make it longer than TODOSERVICE_CONNECT_TIMEOUT"
    assert second.about == "TODOSERVICE_SHUTDOWN_TIMEOUT"
    assert second.what == "it is 9.5 s, and one statement may take 10 s"


def test_a_setting_that_cannot_be_used(look: Look) -> None:
    """Each is told, and nothing is connected to."""
    report = look(todoservice_pool_size="many", neon_database_url="mysql://me:open-sesame@here/db")
    assert "valid integer" in found(report, Code.SETTINGS).what
    assert found(report, Code.SETTINGS).about == "TODOSERVICE_POOL_SIZE"
    finding = found(report, Code.URL)
    assert finding.what == "names the driver 'mysql', and the service speaks psycopg2 only"
    assert finding.mend == "write postgresql://USER:PASSWORD@HOST/DATABASE?sslmode=require"
    assert report.seen == {}


@pytest.mark.parametrize(
    "text",
    [
        "postgresql://me:open-sesame@ss@127.0.0.1:1/db", "postgresql://m/e:open-sesame@127.0.0.1:1/db",
        "postgresql://me:open%2Dsesame@127.0.0.1:1/db", "psql 'postgresql://me:open-sesame@127.0.0.1:1/db'",
        "postgresql://me@127.0.0.1:1/db?password=open-sesame", "me:open-sesame@127.0.0.1/db",
        "postgresql://me:open-sesame@127.0.0.1:1/open-sesame",
        "postgresql://me:open-sesame@127.0.0.1:1/open-sesame?application_name=a@b", "postgresql://me:open-sesame@127.0.0.1:x/db",
        "postgresql://me:open-sesame@127.0.0.1:1/db?sslmod=x&password=open-sesame",
    ],
)  # fmt: skip
def test_no_password_is_told(look: Look, text: str) -> None:
    """Whether or not the URL is one, and in whichever place it has the password."""
    report = look(neon_database_url=text)
    assert not report.ok


def test_a_variable_that_sets_nothing(look: Look, url: str) -> None:
    """A name that is nearly one of ours is told."""
    finding = found(look(neon_database_url=url, neon_databse_url="x"), Code.VARIABLE)
    assert (finding.what, finding.mend) == ("NEON_DATABSE_URL sets nothing", "did you mean NEON_DATABASE_URL?")


def test_no_url(look: Look, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """What the service would do is told, and not done."""
    finding = found(look(todoservice_data_dir=str(tmp_path / "data")), Code.UNSET)
    assert finding.severity is Severity.NOTE
    assert finding.what.endswith(f"uses an embedded PostgreSQL on this machine, its data in {tmp_path / 'data'}")
    assert not (tmp_path / "data").exists()
    monkeypatch.setattr("todoservice.database.embedded.installed", lambda: False)
    finding = found(look(), Code.UNSET)
    assert finding.severity is Severity.ERROR
    assert finding.what == "NEON_DATABASE_URL is not set, and the service refuses to start"
    assert finding.mend.startswith("set it to the connection string of a database, or install")


@pytest.mark.parametrize(
    ("spell", "words"),
    [
        (lambda url: f" {url}\n", "white space around it"), (lambda url: f"psql '{url}'", "begins with psql, it is in"),
        (lambda url: f'"{url}"', "in quotes"), (lambda url: url.replace("postgresql:", "postgres:"), "postgres://"),
    ],
)  # fmt: skip
def test_spelling(look: Look, url: str, spell: Callable[[str], str], words: str) -> None:
    """What only the service reads is told, though it reads it."""
    report = look(neon_database_url=spell(url))
    assert codes(report) == [Code.SPELLING]
    assert words in found(report, Code.SPELLING).what
    assert report.ok


def test_the_direct_endpoint_for_the_service(look: Look, endpoint: Endpoint, login: str) -> None:
    """It serves, over fewer processes."""
    finding = found(look(neon_database_url=endpoint.address(login, PASSWORD, pooled=False)), Code.DIRECT)
    assert finding.severity is Severity.NOTE
    assert finding.mend == f"to run many processes, write {NAME}-pooler for {NAME}"


def test_the_pooled_endpoint_for_migrations(look: Look, endpoint: Endpoint, url: str) -> None:
    """It is not what migrations take."""
    report = look(neon_database_url=url, neon_migration_database_url=endpoint.address(OWNER, PASSWORD))
    assert codes(report) == [Code.POOLED]
    assert found(report, Code.POOLED).what.endswith("`todoservice db` connects to the direct one instead")
    assert report.seen["NEON_MIGRATION_DATABASE_URL"].server_version is not None
    assert f"{NAME}.{DOMAIN}" in endpoint.names


@pytest.mark.parametrize("where", ["the URL", "the environment"])
def test_parameters_at_the_start(look: Look, url: str, where: str) -> None:
    """A pooler refuses them, and says so; the endpoint's name is none of them."""
    options = "endpoint=ep-cool-darkness-123456-pooler"
    assert codes(look(neon_database_url=changed(url, options=options))) == []
    if where == "the URL":
        report = look(neon_database_url=changed(url, options=f"{options} -csearch_path=x"))
    else:
        report = look(neon_database_url=url, pgoptions="-csearch_path=x")
    first, second = (finding for finding in report.findings if finding.code is Code.OPTIONS)
    assert "which a pooler refuses" in first.what
    assert first.mend.endswith("set them for the role: ALTER ROLE neondb_login SET ... = ...")
    assert "unsupported startup parameter in options: search_path" in second.what


TLS: list[tuple[dict[str, str], Code, Severity, str]] = [
    ({"sslmode": "disable", "sslrootcert": ""}, Code.TLS_OFF, Severity.ERROR, "nothing is encrypted"),
    ({"sslmode": "prefer", "sslrootcert": ""}, Code.TLS_OFF, Severity.WARNING, "can turn TLS off"),
    ({"sslmode": "", "sslrootcert": ""}, Code.TLS_UNVERIFIED, Severity.WARNING, "encrypts and verifies nothing"),
    ({"sslmode": "require"}, Code.TLS_HOST, Severity.WARNING, "and not that it is this host's"),
    ({"sslmode": "verify-ca"}, Code.TLS_HOST, Severity.WARNING, "with sslmode=verify-ca the certificate is verified"),
    ({"sslmode": "require", "sslrootcert": "system"}, Code.TLS_ROOT, Severity.ERROR, "libpq takes no sslmode=require"),
    ({"sslrootcert": ""}, Code.TLS_ROOT, Severity.ERROR, "there is no ~/.postgresql/root.crt"),
    ({"sslrootcert": "/nowhere/ca.pem"}, Code.TLS_ROOT, Severity.ERROR, "and there is no /nowhere/ca.pem"),
    ({"sslmode": "require", "sslrootcert": "/nowhere/ca.pem"}, Code.TLS_UNVERIFIED, Severity.WARNING, "nothing:"),
]  # fmt: skip


@pytest.mark.parametrize(("query", "code", "severity", "words"), TLS, ids=[str(case[0]) for case in TLS])
def test_tls(look: Look, url: str, query: dict[str, str], code: Code, severity: Severity, words: str) -> None:
    """What is not verified is told, with what verifies all."""
    finding = found(look(neon_database_url=changed(url, **query)), code)
    assert finding.severity is severity
    assert words in finding.what
    assert finding.mend.startswith("write sslmode=verify-full&sslrootcert=")


def test_the_machines_own_authorities(look: Look, url: str) -> None:
    """They are a way to verify all; of the tests' certificate they know nothing."""
    report = look(neon_database_url=changed(url, sslmode="", sslrootcert="system"))
    assert codes(report) == [Code.TLS]
    assert report.seen["NEON_DATABASE_URL"].verified == "certificate, host"


def test_two_urls_of_two_databases(look: Look, endpoint: Endpoint, node: Compute, url: str) -> None:
    """What is migrated is to be what is served."""
    other = make_url(endpoint.address(OWNER, PASSWORD)).set(database="postgres").render_as_string(hide_password=False)
    finding = found(look(neon_database_url=url, neon_migration_database_url=other), Code.ELSEWHERE)
    assert finding.what == (
        f"it leads to the database postgres of {NAME}.{DOMAIN}, and NEON_DATABASE_URL to neondb of {NAME}.{DOMAIN}: "
        "what is migrated is not what is served"
    )


# Where the way to the database ends


@pytest.mark.parametrize(
    ("message", "code", "words"),
    [
        (DISABLED, Code.ENDPOINT_DISABLED, "enable it in Neon's console"),
        ("The endpoint has been disabled. Enable it using Neon API and retry.", Code.ENDPOINT_DISABLED, "enable it"),
        ("endpoint cannot be found", Code.ENDPOINT_UNKNOWN, "may be deleted"),
        ("The requested endpoint could not be found, or you don't have access to it.", Code.ENDPOINT_UNKNOWN, "copy"),
        ("Your project has exceeded the data transfer quota. Upgrade your plan to increase limits.", Code.QUOTA, "see"),
        ("endpoint is temporarily unavailable. Check your quotas and/or contact our support.", Code.QUOTA, "usage"),
        ('permission denied for database "other"', Code.NO_DATABASE, "the role that was made for it"),
        ("This IP address 1.2.3.4 is not allowed to connect to this endpoint.", Code.ADDRESS, "IP allow list"),
        (TOO_MANY, Code.SATURATED, "docs/scaling.md"),
        ("remaining connection slots are reserved for roles with the SUPERUSER attribute", Code.SATURATED, "fewer"),
        (ASLEEP, Code.COMPUTE, "run this again in a minute"),
        ("Something that nobody has thought of", Code.UNREACHABLE, "run this again"),
    ],
)
def test_what_the_proxy_refuses(look: Look, endpoint: Endpoint, url: str, message: str, code: Code, words: str) -> None:
    """Each is told in its own words, with what mends it."""
    endpoint.refusal = message
    report = look(neon_database_url=url)
    assert codes(report) == [code]
    finding = found(report, code)
    assert finding.severity is Severity.ERROR
    assert message in finding.what
    assert words in finding.mend


def test_a_name_that_is_unknown(look: Look, url: str) -> None:
    """It is the name that is told, and where to get it from."""
    report = look(neon_database_url=changed(url, hostaddr=""))
    assert codes(report) == [Code.NAME]
    assert f'could not translate host name "{NAME}-pooler.{DOMAIN}"' in found(report, Code.NAME).what


def test_a_port_that_is_shut(look: Look, endpoint: Endpoint, url: str) -> None:
    """Nothing takes connections there."""
    endpoint.shut()
    report = look(neon_database_url=url)
    assert codes(report) == [Code.TCP]
    assert "Connection refused" in found(report, Code.TCP).what


def test_a_port_that_says_nothing(look: Look, endpoint: Endpoint, url: str) -> None:
    """It is told from a port that is shut, within the time limit."""
    endpoint.silent = True
    began = time.monotonic()
    report = look(neon_database_url=url, todoservice_connect_timeout="0.5")
    assert time.monotonic() - began < 5
    assert codes(report) == [Code.SILENT]
    assert "the port takes connections, and no answer comes" in found(report, Code.SILENT).what


def test_a_certificate_of_another(look: Look, url: str, tmp_path: Path) -> None:
    """TLS is not agreed upon with whom the authority does not know."""
    trustme.CA().cert_pem.write_to_path(tmp_path / "other.pem")
    report = look(neon_database_url=changed(url, sslrootcert=str(tmp_path / "other.pem")))
    assert codes(report) == [Code.TLS]
    assert "certificate verify failed" in found(report, Code.TLS).what


def test_channel_binding_that_is_not_offered(look: Look, url: str) -> None:
    """As by a pooler that TLS does not reach, without Neon's proxy before it."""
    report = look(neon_database_url=changed(url, channel_binding="require", sslmode="require", sslrootcert=""))
    assert codes(report) == [Code.CHANNEL_BINDING]
    assert "take channel_binding=require out" in found(report, Code.CHANNEL_BINDING).mend


@pytest.mark.parametrize("user", ["neondb_login", "nobody_knows"])
def test_a_password_that_is_wrong(look: Look, endpoint: Endpoint, pooled: bool, user: str) -> None:
    """Nor is a role that does not exist let in, and neither password is told."""
    report = look(neon_database_url=endpoint.address(user, "open-sesame", pooled=pooled))
    finding = found(report, Code.AUTHENTICATION)
    assert "the role or its password is refused" in finding.what
    assert "db provision --rotate" in finding.mend


def test_a_database_that_is_not_there(look: Look, endpoint: Endpoint, login: str) -> None:
    """It is told, as the server does."""
    url = make_url(endpoint.address(login, PASSWORD, pooled=False)).set(database="nowhere")
    report = look(neon_database_url=url.render_as_string(hide_password=False))
    assert 'database "nowhere" does not exist' in found(report, Code.NO_DATABASE).what


def test_a_server_that_stops_answering(
    look: Look, endpoint: Endpoint, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The visit ends within its limit."""
    monkeypatch.setattr("todoservice.doctor.visits.QUESTIONS", 1.0)
    endpoint.stalled = False
    monkeypatch.setattr("todoservice.doctor.visits._ask", stalling(endpoint))
    began = time.monotonic()
    report = look(neon_database_url=url)
    assert time.monotonic() - began < 10
    assert found(report, Code.UNANSWERED).what == "no answer came within 1 s"


def stalling(endpoint: Endpoint) -> Callable[..., Any]:
    """Return what asks as the doctor does, once the endpoint passes nothing on any more."""
    from todoservice.doctor import visits

    original = visits._ask

    def ask_later(*arguments: Any) -> Any:
        endpoint.stalled = True
        return original(*arguments)

    return ask_later


def test_every_refusal_has_a_stage() -> None:
    """What the service takes for permanent, the doctor can place."""
    assert [words for words in failures._PERMANENT if stage_of(words) is UNREACHABLE] == []


def test_what_someone_has_to_mend_is_not_tried_again() -> None:
    """What the doctor can place so, the service takes for permanent."""
    mended = {
        Code.CHANNEL_BINDING, Code.ADDRESS, Code.OPTIONS, Code.ENDPOINT_DISABLED, Code.ENDPOINT_UNKNOWN, Code.QUOTA,
        Code.NO_DATABASE,
    }  # fmt: skip
    said = [words for stage in STAGES if stage.code in mended for words in stage.words]
    assert len(said) > len(mended)
    assert [words for words in said if not any(known in words for known in failures._PERMANENT)] == []


# What the database says


def test_an_old_server() -> None:
    """Those before the first that the tests run on."""
    (finding,) = version_findings("14.12")
    assert finding.code is Code.VERSION
    assert finding.what == "it runs PostgreSQL 14.12, and the service is tested with 15 and later"
    assert list(version_findings("15.0")) == []


def test_a_read_replica(look: Look, endpoint: Endpoint, login: str) -> None:
    """It takes no changes."""
    url = endpoint.address(login, PASSWORD, pooled=False, options="-cdefault_transaction_read_only=on")
    finding = found(look(neon_database_url=url), Code.READ_ONLY)
    assert finding.severity is Severity.ERROR
    assert "it is a read replica, or default_transaction_read_only is set" in finding.what


def test_the_owners_url(look: Look, endpoint: Endpoint) -> None:
    """It serves with isolation degraded, and where isolation is required it does not."""
    url = endpoint.address(OWNER, PASSWORD)
    report = look(neon_database_url=url)
    assert codes(report) == [Code.OWNER]
    finding = found(report, Code.OWNER)
    assert finding.severity is Severity.WARNING
    assert "the role neondb_owner" in finding.what
    assert "row-level security" in finding.what
    assert finding.mend.startswith("set NEON_MIGRATION_DATABASE_URL to this URL, run `todoservice db provision`")
    report = look(neon_database_url=url, todoservice_require_isolation="true")
    assert found(report, Code.OWNER).severity is Severity.ERROR


@pytest.fixture
def empty(node: Compute) -> Iterator[str]:
    """Return the name of a database of the owner's with nothing in it."""
    administer(node.url(), sql.SQL("CREATE DATABASE empty_one"))
    yield "empty_one"
    administer(node.url(), sql.SQL("DROP DATABASE empty_one WITH (FORCE)"))


def test_a_new_project(look: Look, endpoint: Endpoint, empty: str) -> None:
    """Its console's URL is the pooled one, of the owner: what is to be run is told, in the order of running."""
    url = make_url(endpoint.address(OWNER, PASSWORD, pooled=False)).set(database=empty)
    report = look(neon_database_url=url.render_as_string(hide_password=False))
    assert codes(report) == [Code.SCHEMA, Code.OWNER, Code.DIRECT]
    finding = found(report, Code.SCHEMA)
    assert "todoservice is at no revision and needs 0001_users; todos is at no revision" in finding.what
    assert finding.mend == "run `todoservice db upgrade`"


def test_a_schema_that_somebody_opened(look: Look, node: Compute, url: str) -> None:
    """How is `todoservice check`'s to say."""
    ask(node.url(), "GRANT SELECT ON todoservice.todos TO PUBLIC")
    try:
        finding = found(look(neon_database_url=url), Code.ISOLATION)
    finally:
        ask(node.url(), "REVOKE ALL ON todoservice.todos FROM PUBLIC")
    assert finding.what == "isolation is degraded: 1 thing in the database's schema"
    assert finding.mend == "run `todoservice check`, which tells each and its mend"


def test_a_role_that_cannot_migrate(look: Look, url: str) -> None:
    """The service's own is none for migrations."""
    report = look(neon_database_url=url, neon_migration_database_url=url)
    finding = found(report, Code.MIGRATION_ROLE)
    assert finding.severity is Severity.ERROR
    assert finding.what == "the role neondb_login may not change the tables"


def test_a_plugin_at_fault(look: Look, url: str) -> None:
    """Which is `todoservice plugins`' to say."""
    finding = found(look(neon_database_url=url, todoservice_only="nothing-of-the-kind"), Code.PLUGINS)
    assert finding.mend == "run `todoservice plugins`, which tells each and its mend"


def test_another_region(look: Look, endpoint: Endpoint, url: str) -> None:
    """The number is told, more than twice the way."""
    endpoint.delay = 0.03
    report = look(neon_database_url=url)
    finding = found(report, Code.LATENCY)
    (number,) = re.findall(r"a round trip takes (\d+) ms", finding.what)
    assert 60 <= int(number) == round((report.seen["NEON_DATABASE_URL"].round_trip or 0) * 1000)
    assert finding.mend == "run the service in the region of the database"


def test_a_cold_start(look: Look, endpoint: Endpoint, url: str) -> None:
    """It is worth knowing, and a warning where the time limit has to be raised for it."""
    endpoint.suspend(cold=1)
    finding = found(look(neon_database_url=url), Code.COLD_START)
    assert finding.severity is Severity.NOTE
    assert re.match(r"it was asleep: the first connection took 1\.\d s, the second 0\.\d+ s, of the 10 s", finding.what)
    endpoint.suspend(cold=1)
    finding = found(look(neon_database_url=url, todoservice_connect_timeout="1.9"), Code.COLD_START)
    assert finding.severity is Severity.WARNING
    assert finding.mend == "raise TODOSERVICE_CONNECT_TIMEOUT, and TODOSERVICE_REQUEST_BUDGET above it"


@pytest.mark.parametrize(("seconds", "words"), [(90, "90 s behind"), (-90, "90 s ahead of")])
def test_a_clock_that_is_wrong(look: Look, url: str, seconds: float, words: str) -> None:
    """Ids and times are this machine's, and what is newest goes by them."""
    finding = found(look(lambda: time.time() + seconds, neon_database_url=url), Code.CLOCK)
    assert finding.what.startswith(f"its clock is {words} this machine's")


@pytest.mark.parametrize(("size", "most"), [("94", 93), ("93", None)])
def test_a_pool_larger_than_the_poolers(look: Look, url: str, size: str, most: int | None) -> None:
    """A process cannot have more at work than the pooler has."""
    report = look(neon_database_url=url, todoservice_pool_size=size)
    assert codes(report) == ([] if most is None else [Code.CONNECTIONS])
    if most is not None:
        finding = found(report, Code.CONNECTIONS)
        assert finding.what == "the pooler has 93 connections, and TODOSERVICE_POOL_SIZE is 94"
        assert finding.mend == "set TODOSERVICE_POOL_SIZE to 93 at most, or choose a larger compute"


def test_a_pool_that_leaves_no_room(look: Look, endpoint: Endpoint, login: str) -> None:
    """Of a direct endpoint two processes are to have room, for one takes over from the other."""
    url = endpoint.address(login, PASSWORD, pooled=False)
    assert Code.CONNECTIONS not in codes(look(neon_database_url=url, todoservice_pool_size="48"))
    finding = found(look(neon_database_url=url, todoservice_pool_size="49"), Code.CONNECTIONS)
    assert "two with TODOSERVICE_POOL_SIZE 49 need 98" in finding.what
    assert finding.mend.startswith("set TODOSERVICE_POOL_SIZE to 48 at most")


def test_a_pooler_that_is_taken(look: Look, node: Compute, authority: trustme.CA, login: str, tmp_path: Path) -> None:
    """A real one, with one connection that someone holds: who waits in vain is told why."""
    settings = {"default_pool_size": 1, "query_wait_timeout": 1}
    with (
        pooler(node.url(), {login: PASSWORD}, free_port(), **settings) as made,
        Endpoint(node.url(), made.url(node.url()), authority, tmp_path) as narrow,
        closing(psycopg2.connect(narrow.address(login, PASSWORD))) as holder,
    ):
        holder.cursor().execute("SELECT 1")
        report = look(neon_database_url=narrow.address(login, PASSWORD))
    assert codes(report) == [Code.SATURATED]
    assert "query_wait_timeout" in found(report, Code.SATURATED).what


def test_every_code_is_tested() -> None:
    """Here, by its name."""
    text = Path(__file__).read_text()
    assert [code for code in Code if f"Code.{code.name}" not in text] == []

"""`todoservice doctor`: whether the service can be run with the URLs as they are set, and what to change.

`addresses` says what a URL tells by itself, `visits` pays its database a visit, `stages` says how far a failed one
came, and `questions` what a reached one is asked. Isolation is `todoservice check`'s, in detail.
"""

import os
import time
from collections.abc import Callable, Iterator

from todoservice.database import embedded
from todoservice.database.source import Source
from todoservice.database.url import unpooled
from todoservice.doctor.addresses import Address, compared, redacted, secrets
from todoservice.doctor.questions import ServiceQuestions, migration_questions
from todoservice.doctor.report import MIGRATIONS, SERVICE, Code, Facts, Finding, Report, Severity
from todoservice.doctor.visits import Questions, Visit
from todoservice.plugins.host import Host
from todoservice.settings import InvalidSettings, Settings, StartupError, unknown_variables, variable

__all__ = ["Code", "Facts", "Finding", "Report", "Severity", "look"]


def look(clock: Callable[[], float] = time.time) -> Report:
    """Look at the environment and at the databases that it leads to, and change nothing. Takes three minutes at most.

    `clock` is this machine's, in seconds since 1970. No text of the report holds a password.
    """
    report = Report()
    report.findings += _variables()
    try:
        settings = Settings.load()
    except InvalidSettings as error:
        report.findings += _faults(str(error))
    else:
        _look(report, settings, clock)
    hidden = secrets(text for name, text in os.environ.items() if name.upper() in {SERVICE, MIGRATIONS})
    return report.changed(lambda text: redacted(text, hidden))


def _look(report: Report, settings: Settings, clock: Callable[[], float]) -> None:
    report.findings += _times(settings)
    host = Host.load(settings, serving=False)
    if host.faults:
        what = (
            f"{len(host.faults)} fault{'s' * (len(host.faults) > 1)} of plugins, which keep the service from starting"
        )
        finding = Finding(
            Code.PLUGINS, Severity.ERROR, "", what, "run `todoservice plugins`, which tells each and its mend"
        )
        report.findings.append(finding)
    addresses = _addresses(settings)
    if SERVICE not in addresses:
        report.findings.append(_unset(settings))
    elif MIGRATIONS in addresses:
        report.findings += compared(addresses[SERVICE], addresses[MIGRATIONS])
    asking: dict[str, Questions] = {
        SERVICE: ServiceQuestions(settings, host.plugins, clock),
        MIGRATIONS: migration_questions,
    }
    for name, address in addresses.items():
        facts = report.seen[name] = address.facts()
        report.findings += address.findings()
        url = unpooled(address.url) if name == MIGRATIONS else address.url
        report.findings += Visit(address, url, settings.connect_timeout).pay(facts, asking[name])


def _addresses(settings: Settings) -> dict[str, Address]:
    texts = {SERVICE: settings.neon_database_url, MIGRATIONS: settings.neon_migration_database_url}
    urls = {SERVICE: settings.database_url, MIGRATIONS: settings.migration_url}
    return {
        name: Address(name, text.get_secret_value(), url)
        for name, text in texts.items()
        if text is not None and (url := urls[name]) is not None
    }


def _unset(settings: Settings) -> Finding:
    """Return what happens where the service has no URL."""
    try:
        Source(settings)
    except StartupError as error:
        what, _, mend = str(error).partition(": ")
        return Finding(Code.UNSET, Severity.ERROR, SERVICE, f"{what}, and the service refuses to start", mend)
    folder = settings.data_dir or embedded.default_data_dir()
    what = f"it is not set: the service uses an embedded PostgreSQL on this machine, its data in {folder}"
    return Finding(Code.UNSET, Severity.NOTE, SERVICE, what, "for anything but development, set it to a database's URL")


def _times(settings: Settings) -> Iterator[Finding]:
    """Yield the time limits that leave no room for those within them."""
    if settings.request_budget <= settings.connect_timeout:
        what = f"it is {settings.request_budget:g} s, and one try to connect may take {settings.connect_timeout:g} s"
        mend = f"a request has no second try: make it longer than {variable('connect_timeout')}"
        yield Finding(Code.TIMES, Severity.WARNING, variable("request_budget"), what, mend)
    if settings.shutdown_timeout < settings.statement_timeout:
        what = f"it is {settings.shutdown_timeout:g} s, and one statement may take {settings.statement_timeout:g} s"
        mend = f"shutting down may cut it off: make it at least {variable('statement_timeout')}"
        yield Finding(Code.TIMES, Severity.WARNING, variable("shutdown_timeout"), what, mend)


def _variables() -> Iterator[Finding]:
    for message, hint in unknown_variables(os.environ):
        yield Finding(Code.VARIABLE, Severity.WARNING, "", message, hint)


def _faults(lines: str) -> Iterator[Finding]:
    for line in lines.splitlines():
        name, separated, message = line.partition(": ")
        what, _, mend = (message if separated else line).partition(": ")
        code = Code.URL if name in {SERVICE, MIGRATIONS} else Code.SETTINGS
        yield Finding(code, Severity.ERROR, name if separated else "", what, mend)

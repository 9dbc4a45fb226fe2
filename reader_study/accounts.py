"""Passwords: Argon2 hashes, signing in, and the sign-in that runs out (RS-A3). Keeps nothing itself."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from reader_study.domain.study import Reader, Study
from reader_study.errors import SignInRefused, StudyError
from reader_study.permissions import Account, Role
from reader_study.ports import Clock

_REFUSED = "Sign in: the reader or the password is not right; try again or ask the coordinator."
LEAST_CHARACTERS = 8  # NIST SP 800-63B, 5.1.1.1: the least of a password that a person chooses
# Checked when the reader does not exist, so that the answer takes equally long either way.
_NOBODY = "$argon2id$v=19$m=65536,t=3,p=4$c29tZXNhbHRzb21lc2FsdA$xTqxaWmrSx8SOYGvJAkDBhEIb3bnEw2G3FMJyyIGGmw"


def password_mark(password_hash: str | None) -> str | None:
    """Return what the audit keeps of a password: the beginning of its salted hash's SHA-256; None = there is none.

    It leads back to nothing, and shows when a hash was put in the account by hand.
    """
    if not password_hash:
        return None
    return hashlib.sha256(password_hash.encode("utf-8")).hexdigest()[:16]


def hash_password(text: str) -> str:
    """Return a salted Argon2id hash of a new password; StudyError when it is shorter than ``LEAST_CHARACTERS``.

    What was set before that rule still signs in: it is asked of new passwords only.
    """
    if len(text) < LEAST_CHARACTERS:
        raise StudyError(
            f"Password: expected at least {LEAST_CHARACTERS} characters, found {len(text)}; choose a longer one."
        )
    return PasswordHasher().hash(text)


def sign_in(study: Study, reader_id: str, password: str) -> Reader:
    """Return the reader; SignInRefused without saying whether the name or the password is wrong (RS-A3)."""
    reader = next((one for one in study.readers if one.reader_id == reader_id), None)
    _verify(reader.password_hash if reader is not None else None, password)
    assert reader is not None, "nobody has a password without being there"
    return reader


def sign_in_account(accounts: Iterable[Account], account_id: str, password: str) -> Account:
    """Return the account of any role; SignInRefused as ``sign_in``."""
    account = next((one for one in accounts if one.account_id == account_id), None)
    _verify(account.password_hash if account is not None else None, password)
    assert account is not None, "nobody has a password without being there"
    return account


def account_of(reader: Reader) -> Account:
    """Return a reader's account."""
    return Account(
        account_id=reader.reader_id, name=reader.name, role=Role.READER, password_hash=reader.password_hash
    )


def fits(password_hash: str | None, password: str) -> bool:
    """True when the password is the one of the hash."""
    try:
        _verify(password_hash, password)
    except SignInRefused:
        return False
    return True


def _verify(stored: str | None, password: str) -> None:
    try:
        PasswordHasher().verify(stored or _NOBODY, password)
    except (VerificationError, InvalidHashError) as error:
        raise SignInRefused(_REFUSED) from error
    if stored is None:
        raise SignInRefused(_REFUSED)


class SignedIn:
    """A person at the screen, until too long without input: then every call is refused."""

    def __init__(self, account: Account, clock: Clock, timeout_min: float | None = None) -> None:
        self.account = account
        self._clock = clock
        self._timeout_min = timeout_min
        self._last_ns = clock.monotonic_ns()

    @property
    def has_run_out(self) -> bool:
        """True once the time without input is over; it stays so."""
        if self._timeout_min is None:
            return False
        return (self._clock.monotonic_ns() - self._last_ns) / 60e9 >= self._timeout_min

    def touch(self) -> None:
        """There was input; the time begins anew, unless it is over."""
        self.check()
        self._last_ns = self._clock.monotonic_ns()

    def check(self, password: str | None = None) -> None:
        """Raise SignInRefused when the time is over or, where one is given, the password is not this person's."""
        if self.has_run_out:
            raise SignInRefused(
                f"Account {self.account.account_id}: signed out after {self._timeout_min:g} minutes without input;"
                " sign in again."
            )
        if password is not None:
            _verify(self.account.password_hash, password)

"""Passwords of readers: Argon2 hashes, and signing in. Keeps nothing itself."""

from __future__ import annotations

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from reader_study.domain.study import Reader, Study
from reader_study.errors import SignInRefused

_REFUSED = "Sign in: the reader or the password is not right; try again or ask the coordinator."
# Checked when the reader does not exist, so that the answer takes equally long either way.
_NOBODY = "$argon2id$v=19$m=65536,t=3,p=4$c29tZXNhbHRzb21lc2FsdA$xTqxaWmrSx8SOYGvJAkDBhEIb3bnEw2G3FMJyyIGGmw"


def hash_password(text: str) -> str:
    """Return a salted Argon2id hash of a password of at least one character."""
    if not text:
        raise ValueError("password: expected at least one character, found none")
    return PasswordHasher().hash(text)


def sign_in(study: Study, reader_id: str, password: str) -> Reader:
    """Return the reader; SignInRefused without saying whether the name or the password is wrong (RS-A3)."""
    reader = next((one for one in study.readers if one.reader_id == reader_id), None)
    stored = reader.password_hash if reader is not None else None
    try:
        PasswordHasher().verify(stored or _NOBODY, password)
    except (VerificationError, InvalidHashError) as error:
        raise SignInRefused(_REFUSED) from error
    if reader is None or stored is None:
        raise SignInRefused(_REFUSED)
    return reader

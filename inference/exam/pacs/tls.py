"""TLS for both protocols: contexts from certificate files, and what a failed handshake means in one sentence."""

from __future__ import annotations

import socket
import ssl
from pathlib import Path

from inference.exam.pacs.connections import ListenerSettings
from inference.exam.pacs.model import Connection, PacsError
from resources.translation import translate


def _tr(text: str) -> str:
    return translate("pacs", text)


def client_context(connection: Connection) -> ssl.SSLContext:
    """Return the context for calling a peer: TLS 1.2 or newer, its certificate always checked.

    Raises
    ------
    PacsError
        A certificate file is missing or does not hold what it should.
    """
    context = ssl.create_default_context(ssl.Purpose.SERVER_AUTH)
    if connection.ca_file:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # this authority and no other
        _load_authority(context, connection.ca_file)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.check_hostname = connection.check_host
    context.verify_mode = ssl.CERT_REQUIRED
    if connection.cert_file:
        _load_own(context, connection.cert_file, connection.key_file)
    return context


def server_context(settings: ListenerSettings) -> ssl.SSLContext | None:
    """Return the context of our own storage service; None = no TLS. A given authority makes certificates a must."""
    if not settings.cert_file:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    _load_own(context, settings.cert_file, settings.key_file)
    if settings.ca_file:
        _load_authority(context, settings.ca_file)
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def _load_authority(context: ssl.SSLContext, file: str) -> None:
    try:
        context.load_verify_locations(cafile=file)
    except (OSError, ssl.SSLError) as error:
        words = _tr("{0}: expected certificates of authorities (PEM), found none ({1}); choose another file.")
        raise PacsError(words.format(Path(file).name, error.strerror or error)) from error


def _no_password() -> str:
    raise PacsError(_tr("The key file asks for a password; give a key without one and keep it mode 0600."))


def _load_own(context: ssl.SSLContext, cert: str, key: str) -> None:
    try:
        context.load_cert_chain(cert, key or None, password=_no_password)
    except (OSError, ssl.SSLError) as error:
        words = _tr(
            "{0}: expected our certificate and its key (PEM), found none that fit ({1}); check both files."
        )
        raise PacsError(words.format(Path(cert).name, error.strerror or error)) from error


def handshake_sentence(error: BaseException, name: str) -> str:
    """Say why a TLS handshake with a connection failed, in one sentence."""
    text = str(error)
    if isinstance(error, ssl.SSLCertVerificationError) or "CERTIFICATE_VERIFY_FAILED" in text:
        if "ostname mismatch" in text or "IP address mismatch" in text or "doesn't match" in text:
            words = _tr(
                "{0}: the certificate bears another host name; use the name it was made for, or switch the check of "
                "host names off for this connection."
            )
        elif "expired" in text:
            words = _tr("{0}: the certificate has expired; its administrator must renew it.")
        else:
            words = _tr(
                "{0}: the certificate was not signed by a trusted authority; give the authority's certificate (PEM) "
                "in the connection, or check that this is the right server."
            )
        return words.format(name)
    if "alert" in text.lower() and ("certificate" in text.lower() or "unknown ca" in text.lower()):
        words = _tr("{0}: the server refused our certificate; give one that it trusts, with its key.")
        return words.format(name)
    if (
        isinstance(error, ConnectionResetError)
        or "WRONG_VERSION_NUMBER" in text
        or "record layer" in text
        or "UNEXPECTED_EOF" in text
        or "EOF" in text
    ):
        words = _tr(
            "{0}: expected an encrypted (TLS) answer, found another; check the port and whether it uses TLS."
        )
        return words.format(name)
    return _tr("{0}: the encrypted connection failed ({1}); check the certificates.").format(
        name, getattr(error, "reason", None) or type(error).__name__
    )


def diagnose(connection: Connection) -> str:
    """Find out why no association came about: address, port, TLS or the peer itself; return one sentence."""
    name, where = connection.name, f"{connection.host}:{connection.port}"
    limit = min(connection.timeout_s, 5.0)
    try:
        with socket.create_connection((connection.host, connection.port), timeout=limit) as plain:
            if not connection.tls:
                words = _tr(
                    "{0}: {1} was reached and closed the connection without an answer; check the port, and whether it "
                    "wants TLS."
                )
                return words.format(name, where)
            return _diagnose_tls(connection, plain, where)
    except TimeoutError:
        return _tr("{0}: no answer from {1} within {2:g} s; check address and network.").format(
            name, where, limit
        )
    except socket.gaierror:
        words = _tr("{0}: the host {1} is not known; check its name in the connection.")
        return words.format(name, connection.host)
    except ConnectionRefusedError:
        words = _tr("{0}: nothing listens at {1}; check address and port, and that the PACS runs.")
        return words.format(name, where)
    except OSError as error:
        return _tr("{0}: {1} cannot be reached ({2}); check the network.").format(
            name, where, error.strerror or error
        )


def _diagnose_tls(connection: Connection, plain: socket.socket, where: str) -> str:
    try:
        with client_context(connection).wrap_socket(plain, server_hostname=connection.host) as secure:
            secure.settimeout(1.0)
            secure.recv(1)  # with TLS 1.3 a refused client certificate shows here
    except TimeoutError:
        pass
    except (ssl.SSLError, ConnectionResetError) as error:
        return handshake_sentence(error, connection.name)
    words = _tr(
        "{0}: {1} ended the encrypted connection without an answer; check the certificates on both sides."
    )
    return words.format(connection.name, where)

"""What a DICOMweb server's refusal or silence means, in one sentence for the user."""

from __future__ import annotations

from http import HTTPStatus

import requests

from inference.exam.pacs.model import Connection, PacsError, PacsUnreachable
from inference.exam.pacs.tls import handshake_sentence
from resources.translation import translate


def _tr(text: str) -> str:
    return translate("pacs", text)


def told(error: Exception, connection: Connection) -> PacsError:
    """Turn what the HTTP library raised into a sentence; PacsUnreachable where trying again may help."""
    name, root = connection.name, connection.url
    if isinstance(error, requests.HTTPError) and error.response is not None:
        return _status_told(error.response.status_code, name)
    if isinstance(error, requests.exceptions.SSLError):
        return PacsError(handshake_sentence(error, name))
    if isinstance(error, requests.ConnectTimeout):
        return PacsUnreachable(
            _tr("{0}: no connection to {1} in time; check address and network.").format(name, root)
        )
    if isinstance(error, requests.Timeout) or "Read timed out" in str(error):
        words = _tr("{0}: no answer within {1:g} s; try again or allow more time in the connection.")
        return PacsUnreachable(words.format(name, connection.timeout_s))
    if isinstance(error, requests.exceptions.ChunkedEncodingError) or "IncompleteRead" in str(error):
        return PacsUnreachable(_tr("{0}: the connection was cut; resume to fetch the rest.").format(name))
    if isinstance(error, requests.ConnectionError):
        return _connection_told(str(error), connection)
    if isinstance(error, requests.exceptions.InvalidURL | requests.exceptions.MissingSchema):
        return PacsError(
            _tr("{0}: {1} is no address of a server; correct it in the connection.").format(name, root)
        )
    words = _tr(
        "{0}: expected a DICOMweb answer from {1}, found something else; check the path of the address."
    )
    return PacsError(words.format(name, root))


def _connection_told(text: str, connection: Connection) -> PacsError:
    name, root = connection.name, connection.url
    if "NameResolutionError" in text or "getaddrinfo" in text:
        return PacsUnreachable(_tr("{0}: the host of {1} is not known; check its name.").format(name, root))
    if "refused" in text:
        words = _tr("{0}: nothing listens at {1}; check address and port, and that the PACS runs.")
        return PacsUnreachable(words.format(name, root))
    if "certificate" in text.lower():
        return PacsError(handshake_sentence(Exception(text), name))
    words = _tr(
        "{0}: the connection to {1} was cut; try again, and check whether the address must begin with https."
    )
    return PacsUnreachable(words.format(name, root))


def _status_told(status: int, name: str) -> PacsError:
    if status in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}:
        words = _tr("{0}: the server refused user or password (HTTP {1}); correct them in the connection.")
    elif status == HTTPStatus.NOT_FOUND:
        words = _tr("{0}: not found (HTTP {1}); check the path of the address, or search again.")
    elif status in {HTTPStatus.NOT_ACCEPTABLE, HTTPStatus.UNSUPPORTED_MEDIA_TYPE}:
        words = _tr("{0}: the server cannot hand the images over as they are stored (HTTP {1}).")
    elif status == HTTPStatus.TOO_MANY_REQUESTS or status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        words = _tr("{0}: the server is in trouble (HTTP {1}); try again later or ask its administrator.")
        return PacsUnreachable(words.format(name, status))
    else:
        words = _tr("{0}: the server refused the request (HTTP {1}); ask its administrator.")
    return PacsError(words.format(name, status))


def store_failure(response: requests.Response) -> str:
    """Say why a store failed by the answer's failed sequence (PS3.18 I.2), '' when it did not."""
    if response.status_code not in {
        HTTPStatus.OK,
        HTTPStatus.ACCEPTED,
        HTTPStatus.CONFLICT,
        HTTPStatus.BAD_REQUEST,
    }:
        return ""
    try:
        told = response.json()
    except ValueError:
        told = {}
    failed = told.get("00081198", {}).get("Value", []) if isinstance(told, dict) else []
    if failed:
        reason = failed[0].get("00081197", {}).get("Value", [0])[0]
        return f"0x{int(reason):04X}"
    return f"HTTP {response.status_code}" if response.status_code >= HTTPStatus.BAD_REQUEST else ""

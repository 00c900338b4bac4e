"""How FCM refuses: Google's error model in JSON, with the FCM error code among the details.

Sources: Firebase, "REST Resource: projects.messages", "ErrorCode"; Google Cloud APIs, "Errors" (google.rpc.Status).
"""

from __future__ import annotations

from typing import Any

from connectors.simulators.exchange import json_response
from connectors.simulators.provider import RefusedError

FCM_ERROR = "type.googleapis.com/google.firebase.fcm.v1.FcmError"
BAD_REQUEST = "type.googleapis.com/google.rpc.BadRequest"
ERROR_INFO = "type.googleapis.com/google.rpc.ErrorInfo"

Headers = tuple[tuple[bytes, bytes], ...]


def refuse(
    code: int, status: str, message: str, *details: dict[str, Any], reason: str = "", headers: Headers = ()
) -> RefusedError:
    """A google.rpc.Status with `details`. `reason` is what is counted, by default `status`."""
    error: dict[str, Any] = {"code": code, "message": message, "status": status}
    if details:
        error["details"] = list(details)
    return RefusedError(reason or status, json_response(code, {"error": error}, *headers))


def fcm_error(code: int, status: str, message: str, error_code: str, headers: Headers = ()) -> RefusedError:
    """A refusal by FCM itself; `error_code` is one of its ErrorCode values."""
    return refuse(
        code, status, message, {"@type": FCM_ERROR, "errorCode": error_code}, reason=error_code, headers=headers
    )


def invalid_argument(field: str, description: str) -> RefusedError:
    """The message is well-formed, but FCM does not take the value of `field`."""
    return refuse(
        400,
        "INVALID_ARGUMENT",
        description,
        {"@type": FCM_ERROR, "errorCode": "INVALID_ARGUMENT"},
        {"@type": BAD_REQUEST, "fieldViolations": [{"field": field, "description": description}]},
    )


def invalid_json(violations: list[tuple[str, str]]) -> RefusedError:
    """The body does not fit the published format: the pairs are field and description, as Google's front end gives
    them before FCM sees anything."""
    return refuse(
        400,
        "INVALID_ARGUMENT",
        "\n".join(description for _, description in violations),
        {
            "@type": BAD_REQUEST,
            "fieldViolations": [
                {"field": field, "description": description} if field else {"description": description}
                for field, description in violations
            ],
        },
    )


def unauthenticated(*, missing: bool) -> RefusedError:
    """No access token, or one that is not valid (any more)."""
    expected = (
        "Expected OAuth 2 access token, login cookie or other valid authentication credential. "
        "See https://developers.google.com/identity/sign-in/web/devconsole-project."
    )
    if missing:
        message = "Request is missing required authentication credential. " + expected
        reason, challenge = "CREDENTIALS_MISSING", b'Bearer realm="https://accounts.google.com/"'
    else:
        message = "Request had invalid authentication credentials. " + expected
        reason = "ACCESS_TOKEN_EXPIRED"
        challenge = b'Bearer realm="https://accounts.google.com/", error="invalid_token"'
    info = {
        "@type": ERROR_INFO,
        "reason": reason,
        "domain": "googleapis.com",
        "metadata": {
            "service": "fcm.googleapis.com",
            "method": "google.firebase.fcm.v1.FcmService.SendMessage",
        },
    }
    return refuse(401, "UNAUTHENTICATED", message, info, headers=((b"www-authenticate", challenge),))


def permission_denied(project: str) -> RefusedError:
    """The access token is good, but not for this project."""
    message = (
        "Permission 'cloudmessaging.messages.create' denied on resource "
        f"'//cloudresourcemanager.googleapis.com/projects/{project}' (or it may not exist)."
    )
    info = {
        "@type": ERROR_INFO,
        "reason": "IAM_PERMISSION_DENIED",
        "domain": "cloudresourcemanager.googleapis.com",
        "metadata": {
            "permission": "cloudmessaging.messages.create",
            "resource": f"projects/{project}",
        },
    }
    return refuse(403, "PERMISSION_DENIED", message, info)

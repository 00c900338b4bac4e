"""The FCM simulator takes what Google takes, and refuses what Google refuses, in Google's error model."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from connectors.outcome import ProviderName
from tests.unit.simulator_bench import Bench, Call, fcm_message

Message = dict[str, Any]
FCM_ERROR = "type.googleapis.com/google.firebase.fcm.v1.FcmError"
BAD_REQUEST = "type.googleapis.com/google.rpc.BadRequest"


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    """One set of simulators for the module; no test depends on what another left."""
    with Bench(tmp_path_factory.mktemp("fcm")) as started:
        yield started


def send_message(bench: Bench, spoil: Callable[[Message], object]) -> tuple[int, Any]:
    """Send a right message, changed in place; status and JSON body."""
    message = fcm_message(bench.sims.fcm.new_device())
    spoil(message)
    response = bench.send_one(bench.fcm_call().with_json({"message": message}))
    return response.status_code, response.json()


@pytest.mark.parametrize("http2", [True, False])
def test_accepts_a_right_request(bench: Bench, http2: bool) -> None:
    """A right request is answered with the name of the message, over both versions of HTTP."""
    response = bench.send_one(bench.fcm_call(), http2=http2)
    assert response.status_code == 200
    assert list(response.json()) == ["name"]
    assert response.json()["name"].startswith(f"projects/{bench.sims.fcm.project_id}/messages/0:")


def test_records_what_the_device_shows(bench: Bench) -> None:
    """An accepted push is on record with the fields of its data, and with the tag that collapses it."""
    device = bench.sims.fcm.new_device()
    bench.send_one(bench.fcm_call(device, "n-recorded"))
    shown = bench.sims.log.entries[-1]
    assert (shown.provider, shown.address, shown.notification_id) == (ProviderName.FCM, device, "n-recorded")
    assert (shown.type, shown.user, shown.push_id, shown.collapse_id) == ("greeting", "u-1", "p-1", "slot-1")
    assert shown.expires_at_ms == bench.clock.now_ms + 3_600_000


def test_validate_only_shows_nothing(bench: Bench) -> None:
    """A message that is only to be validated is answered, but not on record."""
    recorded = len(bench.sims.log.entries)
    message = fcm_message(bench.sims.fcm.new_device())
    call = bench.fcm_call().with_json({"message": message, "validate_only": True})
    response = bench.send_one(call)
    assert response.json() == {"name": f"projects/{bench.sims.fcm.project_id}/messages/fake_message_id"}
    assert len(bench.sims.log.entries) == recorded


def test_accepts_both_spellings_of_a_field(bench: Bench) -> None:
    """lowerCamelCase and snake_case are one name, as the protobuf JSON mapping demands."""
    message = fcm_message(bench.sims.fcm.new_device())
    message["android"]["collapseKey"] = message["android"].pop("collapse_key")
    message["fcmOptions"] = {"analyticsLabel": "greeting"}
    call = bench.fcm_call().with_json({"message": message, "validateOnly": False})
    assert bench.send_one(call).status_code == 200


@pytest.mark.parametrize("ttl", ["0s", "3.5s", "2419200s", None])
def test_accepts_every_legal_ttl(bench: Bench, ttl: str | None) -> None:
    """From none at all to four weeks."""
    assert send_message(bench, lambda message: message["android"].update(ttl=ttl))[0] == 200


def test_accepts_a_payload_of_4096_bytes(bench: Bench) -> None:
    """The largest payload that FCM takes is taken."""
    assert send_message(bench, lambda message: fill(message, 4096))[0] == 200


def fill(message: Message, size: int) -> None:
    """Make the payload exactly that large: keys and values of data and notification."""
    message["notification"] = {"title": "t"}
    del message["android"]
    message["data"] = {"k": "v" * (size - 2)}


# What is spoilt in the message → the field and the start of the description of the violation.
BAD_FORMAT: dict[str, tuple[Callable[[Message], object], str, str]] = {
    "unknown field": (
        lambda message: message.update(to="x"),
        "message",
        "Invalid JSON payload received. Unknown name \"to\" at 'message': Cannot find field.",
    ),
    "unknown field below": (
        lambda message: message["android"]["notification"].update(channel="x"),
        "message.android.notification",
        "Invalid JSON payload received. Unknown name \"channel\" at 'message.android.notification'",
    ),
    "data value not a string": (
        lambda message: message["data"].update({"notification_id": 12}),
        "message.data[0].value",
        "Invalid value at 'message.data[0].value' (TYPE_STRING), 12",
    ),
    "data not a map": (lambda message: message.update(data=["a"]), "message.data", "Invalid value"),
    "ttl without unit": (lambda message: message["android"].update(ttl="3600"), "message.android.ttl", "Invalid value"),
    "ttl a number": (lambda message: message["android"].update(ttl=3600), "message.android.ttl", "Invalid value"),
    "priority": (
        lambda message: message["android"].update(priority="urgent"),
        "message.android.priority",
        "Invalid value at 'message.android.priority' (TYPE_ENUM)",
    ),
    "title not a string": (
        lambda message: message["notification"].update(title=1),
        "message.notification.title",
        "Invalid value",
    ),
    "flag not a flag": (
        lambda message: message["android"].update(direct_boot_ok="yes"),
        "message.android.direct_boot_ok",
        "Invalid value at 'message.android.direct_boot_ok' (TYPE_BOOL)",
    ),
    "list not a list": (
        lambda message: message["android"]["notification"].update(body_loc_args="x"),
        "message.android.notification.body_loc_args",
        "Invalid value",
    ),
    "object not an object": (lambda message: message.update(android="x"), "message.android", "Invalid value"),
    "two targets": (lambda message: message.update(topic="news"), "message.topic", "oneof field 'target'"),
}


@pytest.mark.parametrize("name", BAD_FORMAT)
def test_refuses_what_does_not_fit_the_format(bench: Bench, name: str) -> None:
    """Google's front end names the field and what is wrong with it; FCM has not seen the message."""
    spoil, field, description = BAD_FORMAT[name]
    status, body = send_message(bench, spoil)
    assert (status, body["error"]["code"], body["error"]["status"]) == (400, 400, "INVALID_ARGUMENT")
    [detail] = body["error"]["details"]
    assert detail["@type"] == BAD_REQUEST
    [violation] = detail["fieldViolations"]
    assert violation["field"] == field
    assert violation["description"].startswith(description)


# What is spoilt → the field that FCM itself complains about.
BAD_ARGUMENT: dict[str, tuple[Callable[[Message], object], str]] = {
    "no target": (lambda message: message.pop("token"), "message"),
    "empty target": (lambda message: message.update(token=""), "message"),
    "ttl too long": (lambda message: message["android"].update(ttl="2419201s"), "message.android.ttl"),
    "ttl negative": (lambda message: message["android"].update(ttl="-1s"), "message.android.ttl"),
    "reserved key from": (lambda message: message["data"].update({"from": "x"}), "message.data"),
    "reserved key message_type": (lambda message: message["data"].update(message_type="x"), "message.data"),
    "reserved key gcm": (lambda message: message["data"].update(gcm="x"), "message.data"),
    "reserved key google.": (lambda message: message["data"].update({"google.ttl": "x"}), "message.data"),
    "reserved key of Android": (lambda message: message["android"].update(data={"gcm.x": "x"}), "message.data"),
    "too large": (lambda message: fill(message, 4097), "message"),
}


@pytest.mark.parametrize("name", BAD_ARGUMENT)
def test_refuses_what_fcm_does_not_take(bench: Bench, name: str) -> None:
    """FCM answers INVALID_ARGUMENT with its own detail and the field."""
    spoil, field = BAD_ARGUMENT[name]
    recorded = len(bench.sims.log.entries)
    status, body = send_message(bench, spoil)
    assert (status, body["error"]["status"]) == (400, "INVALID_ARGUMENT")
    ours, violations = body["error"]["details"]
    assert ours == {"@type": FCM_ERROR, "errorCode": "INVALID_ARGUMENT"}
    assert violations["fieldViolations"][0]["field"] == field
    assert len(bench.sims.log.entries) == recorded


BAD_REQUESTS: dict[str, Callable[[Bench, Call], Call]] = {
    "not JSON": lambda _, call: replace(call, body=b"{"),
    "not an object": lambda _, call: call.with_json([]),
    "no message": lambda _, call: call.with_json({}),
    "unknown field": lambda _, call: call.with_json({"message": {}, "registration_ids": []}),
    "content type": lambda _, call: call.with_header("content-type", "text/plain"),
}


@pytest.mark.parametrize("name", BAD_REQUESTS)
def test_refuses_a_bad_request(bench: Bench, name: str) -> None:
    """A body that is no send request is an invalid argument."""
    response = bench.send_one(BAD_REQUESTS[name](bench, bench.fcm_call()))
    assert (response.status_code, response.json()["error"]["status"]) == (400, "INVALID_ARGUMENT")


def test_refuses_a_malformed_registration_token(bench: Bench) -> None:
    """A token that cannot be one is an invalid argument, not an unregistered device."""
    status, body = send_message(bench, lambda message: message.update(token="short"))
    assert status == 400
    assert body["error"]["details"] == [{"@type": FCM_ERROR, "errorCode": "INVALID_ARGUMENT"}]


def test_an_unregistered_device_is_not_found(bench: Bench) -> None:
    """A device that is gone is answered 404 UNREGISTERED."""
    device = bench.sims.fcm.new_device()
    bench.sims.fcm.unregister(device)
    status, body = send_message(bench, lambda message: message.update(token=device))
    assert (status, body["error"]["status"]) == (404, "NOT_FOUND")
    assert body["error"]["details"] == [{"@type": FCM_ERROR, "errorCode": "UNREGISTERED"}]


def test_an_unknown_device_is_unregistered(bench: Bench) -> None:
    """A token of the right form that was never given out is answered as one that is gone."""
    status, body = send_message(bench, lambda message: message.update(token="abcdefgh:APA91b" + "x" * 99))
    assert (status, body["error"]["details"][0]["errorCode"]) == (404, "UNREGISTERED")


def test_a_device_of_another_sender_is_refused(bench: Bench) -> None:
    """A device that registered for another project is answered 403 SENDER_ID_MISMATCH."""
    device = bench.sims.fcm.new_device("another-project")
    status, body = send_message(bench, lambda message: message.update(token=device))
    assert (status, body["error"]["status"]) == (403, "PERMISSION_DENIED")
    assert body["error"]["details"] == [{"@type": FCM_ERROR, "errorCode": "SENDER_ID_MISMATCH"}]


def test_another_project_is_denied(bench: Bench) -> None:
    """The access token of one project does not open another."""
    call = bench.fcm_call()
    response = bench.send_one(replace(call, url=call.url.replace(bench.sims.fcm.project_id, "another-project")))
    assert (response.status_code, response.json()["error"]["status"]) == (403, "PERMISSION_DENIED")


@pytest.mark.parametrize("change", [{"method": "GET", "body": b""}, {"path": "/fcm/send"}])
def test_another_path_or_method_is_not_found(bench: Bench, change: dict[str, Any]) -> None:
    """Only POST to messages:send is there."""
    call = bench.fcm_call()
    if path := change.pop("path", None):
        change = {"url": bench.sims.fcm.url + path}
    assert bench.send_one(replace(call, **change)).status_code == 404


@pytest.mark.parametrize("authorization", [None, "Bearer", "Bearer ya29.unknown", "Basic abc"])
def test_refuses_without_a_good_access_token(bench: Bench, authorization: str | None) -> None:
    """No access token, or one that we did not issue, is answered 401 with a challenge."""
    response = bench.send_one(bench.fcm_call().with_header("authorization", authorization))
    assert (response.status_code, response.json()["error"]["status"]) == (401, "UNAUTHENTICATED")
    assert response.headers["www-authenticate"].startswith("Bearer")


def test_an_access_token_runs_out(bench: Bench) -> None:
    """An access token is good for as long as its expires_in said, which can be set."""
    bench.sims.fcm.tokens.lifetime_seconds = 60
    token = bench.send_one(bench.token_call()).json()
    bench.sims.fcm.tokens.lifetime_seconds = 3599
    assert token["expires_in"] == 60
    call = bench.fcm_call().with_header("authorization", f"Bearer {token['access_token']}")
    bench.clock.now_ms += 59_999
    assert bench.send_one(call).status_code == 200
    bench.clock.now_ms += 1
    assert bench.send_one(call).status_code == 401


def test_an_installation_id_is_taken_as_fid_only_in_its_form(bench: Bench) -> None:
    """A known Firebase Installation ID is sent to, an unknown one is UNREGISTERED, and a token is not one."""
    simulator = bench.sims.fcm

    def send(**target: str) -> tuple[int, Any]:
        message = {name: item for name, item in fcm_message("-").items() if name != "token"}
        response = bench.send_one(bench.fcm_call().with_json({"message": {**message, **target}}))
        return response.status_code, response.json()

    known = simulator.new_installation()
    assert send(fid=known)[0] == 200
    assert send(token=known)[0] == 200
    status, said = send(fid="c" * 22)
    assert (status, said["error"]["details"][0]["errorCode"]) == (404, "UNREGISTERED")
    status, said = send(fid=simulator.new_device())
    assert (status, said["error"]["details"][1]["fieldViolations"][0]["field"]) == (400, "message.fid")
    assert send(fid=known, token=known)[0] == 400

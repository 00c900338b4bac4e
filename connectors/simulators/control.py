"""A small HTTP/1.1 control port on the loopback, for tests and chaos runs in another process.

`GET /ready` · `GET /counts` · `POST /devices {"count": 10}` · `POST /faults {"provider": "apns", "fault": "slow",
"share": 0.1, "seconds": 2}` or `{"provider": "apns", "clear": true}` · `POST /unregister {"provider": "apns",
"address": "...", "at_ms": 0}`. The provider `fcm_token` is the plan of FCM's token endpoint.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from connectors.simulators.exchange import Request, Response, json_response
from connectors.simulators.faults import Fault, Faults, Strike
from connectors.simulators.provider_simulators import ProviderSimulators

# The arguments of Faults.set() that may be given, with their types in JSON.
ARGUMENTS: dict[str, tuple[type, ...]] = {
    "share": (int, float),
    "seed": (int,),
    "count": (int, type(None)),
    "seconds": (int, float),
    "retry_after_seconds": (int, float, type(None)),
    "every": (int,),
}


class Control:
    """Answers what the control port is asked. It has no faults of its own."""

    def __init__(self, simulators: ProviderSimulators) -> None:
        self._simulators = simulators
        self._no_faults = Faults()
        self._plans = {
            "apns": simulators.apns.faults,
            "fcm": simulators.fcm.faults,
            "fcm_token": simulators.fcm.token_faults,
            "webpush": simulators.webpush.faults,
            "webhook": simulators.webhook.faults,
        }
        self._routes: dict[tuple[str, str], Callable[[dict[str, Any]], Any]] = {
            ("GET", "/ready"): lambda _: {"ready": True},
            ("GET", "/counts"): self._counts,
            ("POST", "/devices"): self._devices,
            ("POST", "/faults"): self._faults,
            ("POST", "/unregister"): self._unregister,
        }

    def faults_for(self, request: Request) -> Faults:
        """None."""
        return self._no_faults

    def fault_response(self, request: Request, strike: Strike) -> Response:
        """Never asked for."""
        return Response(500)

    def respond(self, request: Request) -> Response:
        """Do what is asked: 200 with the result, 400 with the reason, or 404."""
        route = self._routes.get((request.method, request.path))
        if route is None:
            return json_response(404, {"error": f"unknown: {request.method} {request.path}"})
        try:
            arguments = json.loads(request.body) if request.body else {}
            if not isinstance(arguments, dict):
                raise ValueError("the body must be a JSON object")
            return json_response(200, route(arguments))
        except (ValueError, KeyError, TypeError) as error:
            return json_response(400, {"error": f"{type(error).__name__}: {error}"})

    def _counts(self, _: dict[str, Any]) -> Any:
        struck = {name: dict(plan.struck) for name, plan in self._plans.items()}
        return {"counts": self._simulators.log.counts_as_json(), "struck": struck}

    def _devices(self, arguments: dict[str, Any]) -> Any:
        count = arguments["count"]
        if not isinstance(count, int) or not 0 <= count <= 1_000_000:
            raise ValueError("count must be between 0 and 1000000")
        return {
            "apns": [self._simulators.apns.new_device() for _ in range(count)],
            "fcm": [self._simulators.fcm.new_device() for _ in range(count)],
            "webpush": [asdict(self._simulators.webpush.new_subscription()) for _ in range(count)],
            "webhook": [self._simulators.webhook.new_endpoint() for _ in range(count)],
        }

    def _faults(self, arguments: dict[str, Any]) -> Any:
        plan = self._plans[arguments.pop("provider")]
        fault = Fault(arguments.pop("fault")) if "fault" in arguments else None
        if arguments.pop("clear", False) is True:
            plan.clear(fault)
        elif fault is None:
            raise ValueError("either fault or clear must be given")
        else:
            for name, value in arguments.items():
                if isinstance(value, bool) or not isinstance(value, ARGUMENTS[name]):
                    raise ValueError(f"{name} must not be {value!r}")
            plan.set(fault, **arguments)
        return {}

    def _unregister(self, arguments: dict[str, Any]) -> Any:
        provider = {
            "apns": self._simulators.apns,
            "fcm": self._simulators.fcm,
            "webpush": self._simulators.webpush,
            "webhook": self._simulators.webhook,
        }[arguments["provider"]]
        provider.unregister(arguments["address"], arguments.get("at_ms"))
        return {}

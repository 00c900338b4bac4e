"""Run a command with the settings that lead to the provider simulators: `with_simulators.py WHERE.json COMMAND …`.

WHERE.json is the line that `python -m connectors.simulators` prints. The simulators listen on the loopback interface
and make their credentials anew at each start, so that the command has to run beside them.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path


def main() -> None:
    where = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    apns, fcm, webpush, webhook = where["apns"], where["fcm"], where["webpush"], where["webhook"]
    settings = {
        "PROVIDER_CA_FILE": where["ca_file"],
        "APNS_BASE_URL": apns["url"],
        "APNS_KEY_FILE": apns["key_file"],
        "APNS_KEY_ID": apns["key_id"],
        "APNS_TEAM_ID": apns["team_id"],
        "APNS_TOPIC": apns["topic"],
        "FCM_BASE_URL": fcm["url"],
        "FCM_TOKEN_URL": fcm["token_url"],
        "FCM_SERVICE_ACCOUNT_FILE": fcm["service_account_file"],
        "WEBPUSH_VAPID_KEY_FILE": webpush["vapid_key_file"],
        "WEBPUSH_SUBJECT": webpush["vapid_subject"],
        "WEBPUSH_ALLOW_PRIVATE_ENDPOINTS": "true",
        "WEBHOOK_SECRET_FILE": webhook["secret_file"],
        "WEBHOOK_ALLOW_PRIVATE_ENDPOINTS": "true",
    }
    environment = {f"RINGONCE_{name}": value for name, value in settings.items()}
    os.execvpe(sys.argv[2], sys.argv[2:], {**os.environ, **environment})


if __name__ == "__main__":
    main()

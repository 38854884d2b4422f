"""Has Schemathesis ask the real server everything that its own description allows and forbids, and judge every answer."""

import argparse
import json
import os
import subprocess
import sys
import urllib.request
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "receivers"))

from driver.stage import Stage  # noqa: E402  (the path to it is set above)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--signet", required=True, help="path of the signet binary")
    parser.add_argument("--examples", type=int, default=200, help="how many for each operation")
    arguments, passed_on = parser.parse_known_args()
    os.environ["no_proxy"] = "127.0.0.1"

    with Stage(arguments.signet) as stage:
        # Noise: every refused webhook and failed delivery of thousands of requests.
        signet = stage.start_signet(SIGNET_LOG="warn")
        ended = subprocess.run(
            [
                Path(sys.executable).with_name("schemathesis"),
                f"--config-file={HERE / 'schemathesis.toml'}",
                "run",
                f"{signet.url}/openapi.json",
                "--header",
                f"Authorization: Bearer {signet.admin_key}",
                f"--max-examples={arguments.examples}",
                "--checks=all",
                "--no-color",
                *passed_on,
            ],
            env=os.environ
            | {
                "SCHEMATHESIS_HOOKS": "asking",
                "PYTHONPATH": str(HERE),
                "SIGNET_RECEIVER": stage.inbox.url,
                "SIGNET_URL": signet.url,
                "SIGNET_KEY": signet.admin_key,
                "SIGNET_TENANT": default_tenant(signet),
            },
            cwd=stage.new_folder("schemathesis"),
        )
        faults = [line for line in stage.log_of("signet").read_text().splitlines() if "ERROR" in line or "panicked" in line]
    for line in faults[:20]:
        print(line)
    print(f"openapi: {len(faults)} errors in the server's log")
    return 1 if ended.returncode or faults else 0


def default_tenant(signet):
    asked = urllib.request.Request(
        f"{signet.url}/v1/admin/tenants", headers={"Authorization": f"Bearer {signet.admin_key}"}
    )
    with urllib.request.urlopen(asked) as answer:
        tenants = json.load(answer)["data"]
    return next(tenant["id"] for tenant in tenants if tenant["default"])


if __name__ == "__main__":
    sys.exit(main())

"""What can be said about the compose files and the Dockerfile without a Docker engine. Needs PyYAML (.ci/run brings it): exit 1 and why.

PYTHONPATH=<folder with PyYAML> python docker/check.py
"""

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

HERE = Path(__file__).parent
PINNED = re.compile(r"[a-z/.]+:(\d+\.\d+[\w.-]*|\$\{WARDPOST_VERSION:.*\})")
ROLES = {"api", "intake", "worker", "relay", "clock"}


def wrong_in(text: str) -> Iterator[str]:
    compose: dict[str, Any] = yaml.safe_load(text)
    for name, service in compose["services"].items():
        if not PINNED.fullmatch(service["image"]):
            yield f"{name}: {service['image']} is not pinned to a version"
        if service.get("user", "0") in ("0", "root"):
            yield f"{name}: runs as root"
        if (
            service.get("cap_drop") != ["ALL"]
            or "no-new-privileges:true" not in service.get("security_opt", [])
            or service.get("privileged")
        ):
            yield f"{name}: has rights that it does not need"
        if not service.get("healthcheck", {}).get("test"):
            yield f"{name}: nobody can tell whether it is well"
        for key, value in service.get("environment", {}).items():
            if re.search(r"(PASSWORD|SECRET|TOKEN|DATABASE)$", key):
                yield f"{name}: {key} is a secret in the environment ({len(str(value))} characters)"
        for port in service.get("ports", []):
            if not port.startswith("127.0.0.1:"):
                yield f"{name}: port {port} is open to everybody"
        named = {
            "secrets": service.get("secrets", []),
            "networks": service.get("networks", []),
            "services": list(service.get("depends_on", [])),
        }
        named["volumes"] = [mount.split(":")[0] for mount in service.get("volumes", []) if not mount.startswith((".", "/"))]
        for kind, names in named.items():
            yield from (f"{name}: there is no {kind} {missing}" for missing in names if missing not in compose.get(kind, {}))
    for name, secret in compose.get("secrets", {}).items():
        if not str(secret.get("file", "")).startswith("${"):
            yield f"secret {name}: not given from outside"


def wrong_in_dockerfile(text: str) -> Iterator[str]:
    lines = [line.split() for line in text.splitlines() if line and not line.startswith("#")]
    bases = [line[1] for line in lines if line[0] == "FROM"]
    yield from (f"Dockerfile: {base} is not pinned" for base in bases if not PINNED.fullmatch(base))
    users = [line[1] for line in lines if line[0] == "USER"]
    if len(bases) < 2 or not users or users[-1] in ("0", "root"):
        yield "Dockerfile: not several stages, or it runs as root"
    if "--require-hashes" not in text or not any(line[0] == "HEALTHCHECK" for line in lines):
        yield "Dockerfile: installs what nobody checked, or nobody can tell whether it is well"


def main() -> int:
    wrong = list(wrong_in_dockerfile((HERE / "Dockerfile").read_text()))
    for file in ("compose.yaml", "compose.distributed.yaml"):
        wrong += [f"{file}: {words}" for words in wrong_in((HERE / file).read_text())]
    roles = {
        service["command"][-1]
        for service in yaml.safe_load((HERE / "compose.distributed.yaml").read_text())["services"].values()
        if "command" in service
    }
    wrong += [f"compose.distributed.yaml: roles {roles}"] * (roles != ROLES)
    # It must be able to see what it looks for.
    bad = (
        (HERE / "compose.distributed.yaml")
        .read_text()
        .replace("postgres:17.6-bookworm", "postgres:latest")
        .replace('user: "999"', 'user: "0"')
    )
    bad = bad.replace("/run/secrets/database_password", "/x").replace("POSTGRES_PASSWORD_FILE", "POSTGRES_PASSWORD")
    seen = " ".join(wrong_in(bad))
    wrong += ["docker/check.py is blind"] * (
        not all(words in seen for words in ("not pinned", "runs as root", "secret in the environment"))
    )
    print("\n".join(wrong) or "docker: checked, not built")
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main())

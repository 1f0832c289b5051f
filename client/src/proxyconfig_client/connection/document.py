"""Files that a person writes, as JSON or YAML."""

from __future__ import annotations

from pathlib import Path

import msgspec

from proxyconfig_client.connection.errors import ConfigurationError


def read(path: Path, name: str) -> object:
    """Return the content of a file, which is called `name` in errors. Raises ConfigurationError with a sentence.

    All JSON is YAML, but the YAML library takes 3 MiB and longer: it is loaded for what is not JSON alone.
    """
    try:
        text = path.read_bytes()
    except OSError as error:
        raise ConfigurationError(f"cannot read the {name} {path}: {error.strerror or error}") from error
    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError:
        return _yaml(text, f"{name} {path}")


def _yaml(text: bytes, place: str) -> object:
    import yaml  # noqa: PLC0415 - 3 MiB that a process in a pod does without

    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigurationError(f"the {place} is not YAML: {' '.join(str(error).split())}") from error

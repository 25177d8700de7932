"""`sendlens token-keys`: rotates the keys that sign pixels and links, without a link that a process does not know.

Two steps. `add` puts a new key last: it verifies and does not sign. Once every process runs with it, `sign` puts it
first. Each process reports the keys that it verifies among its figures (clickhouse/samples.py), and `sign` refuses a
key that one of those alive lacks.
"""

from __future__ import annotations

import secrets
from collections import defaultdict
from typing import Annotated

import typer

from commands.edge import explained, read_settings
from schemas.data_folder import read_secret, replace_secret
from schemas.errors import Misconfigured
from schemas.settings import Settings
from schemas.tokens import Keyring

app = typer.Typer(no_args_is_help=True, help="Keys that sign pixels and links: which are known where; rotate them.")

_FILE = "token_keys"
_MOST_IDS = 256
# A process that has reported nothing for so many samples is gone.
_MISSED = 4

KeyId = Annotated[str, typer.Argument(metavar="ID", help="The key's id, as `token-keys list` shows it.")]


@app.command("list")
def keys_list() -> None:
    """Every key: whether it signs or only verifies, its fingerprint, and how many of the running processes know it."""
    with explained():
        settings = read_settings()
        processes = _processes(settings)
        for place, (key_id, fingerprint) in enumerate(settings.keyring.fingerprints().items()):
            known = sum(f"{key_id}:{fingerprint}" in keys for keys in processes.values())
            does = "verifies" if place else "signs"
            print(f"{key_id:<4}{does:<10}{fingerprint}  known to {known} of {len(processes)} running processes")


@app.command("add")
def keys_add() -> None:
    """Step 1: make a new key that verifies and does not sign yet."""
    with explained():
        settings = read_settings()
        key_id = next(
            (number for number in range(1, _MOST_IDS) if number not in settings.keyring.keys), None
        )  # an id is for good
        if key_id is None:
            raise Misconfigured("all 255 ids of token keys are taken")
        pair = f"{key_id}:{secrets.token_hex(32)}"
        if _is_kept(settings):
            replace_secret(settings.data_dir, _FILE, f"{settings.token_keys},{pair}")
            print(f"key {key_id} is added to {settings.data_dir / _FILE}")
        else:
            print(f"append to SENDLENS_TOKEN_KEYS of every process, last:\n  ,{pair}")
        print(f"start all processes again; then `sendlens token-keys sign {key_id}`")


@app.command("sign")
def keys_sign(
    key_id: KeyId,
    unchecked: Annotated[
        bool, typer.Option("--unchecked", help="Do not ask which keys the running processes know.")
    ] = False,
) -> None:
    """Step 2: sign with this key from the next start on. Refused while a running process does not verify it."""
    with explained():
        settings = read_settings()
        fingerprint = settings.keyring.fingerprints().get(key_id)
        if fingerprint is None:
            raise Misconfigured(f"there is no key {key_id}: `sendlens token-keys list` shows those that there are")
        if not unchecked:
            processes = _processes(settings)
            if lacking := [name for name, keys in processes.items() if f"{key_id}:{fingerprint}" not in keys]:
                raise Misconfigured(
                    f"{', '.join(lacking)} would answer its links with 404: start it again with key {key_id} first"
                )
        pairs = {
            pair.partition(":")[0].strip(): pair.strip() for pair in settings.token_keys.split(",") if pair.strip()
        }
        order = [key_id, *(other for other in pairs if other != key_id)]
        if order == list(pairs):
            print(f"key {key_id} signs already")
            return
        if _is_kept(settings):
            text = ",".join(pairs[one] for one in order)
            Keyring.parse(text)
            replace_secret(settings.data_dir, _FILE, text)
            print(f"key {key_id} signs from the next start on")
        else:
            print(f"write the keys of SENDLENS_TOKEN_KEYS in this order: {', '.join(order)}; start all processes again")
        print("keep the other keys for as long as emails are opened that they signed: without a key its links are dead")


def _is_kept(settings: Settings) -> bool:
    """Whether the keys are those in the data folder, and not of the environment."""
    return settings.mode == "embedded" and read_secret(settings.data_dir, _FILE) == settings.token_keys


def _processes(settings: Settings) -> dict[str, set[str]]:
    """The processes that are alive, and the keys that each verifies, as id:fingerprint."""
    from clickhouse.ask import rows
    from clickhouse.store import connect
    from schemas.running import running_clickhouse

    if not settings.sample_seconds:
        raise Misconfigured("SENDLENS_SAMPLE_SECONDS is 0, so no process says which keys it knows: use --unchecked")
    if settings.mode == "embedded" and "clickhouse_url" not in settings.model_fields_set:
        if not (address := running_clickhouse(settings.data_dir)):
            return {}  # nothing of this machine runs
        settings = settings.model_copy(update={"clickhouse_url": address})
    seconds = int(_MISSED * settings.sample_seconds) + 1
    with connect(settings) as client:
        found: defaultdict[str, set[str]] = defaultdict(set)
        for role, instance, keys in rows(client, "token_keys_alive", seconds=seconds):
            found[f"{role} {instance}"] |= set(map(str, keys))
        return dict(found)

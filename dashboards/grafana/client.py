"""A client of Grafana's HTTP API, over the library grafana-api: it returns objects and raises everything else.

The library knows annotations, but neither datasources by uid, nor versions of a dashboard, nor alert rules, so most
paths are asked directly (`GrafanaFace.api`). It would follow redirects, and loses the status of some errors; therefore
`_check` sees every response first.
https://grafana.com/docs/grafana/latest/developer-resources/api-reference/http-api/
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal
from urllib.parse import quote, urlsplit

import requests
from grafana_api.grafana_api import GrafanaException
from grafana_api.grafana_face import GrafanaFace
from requests.adapters import HTTPAdapter

from schemas.certificates import tls_context, with_advice
from schemas.errors import Misconfigured, Reject, Retry
from schemas.settings import Settings

_AWAY = (502, 503, 504)


class _PrivateAuthorities(HTTPAdapter):
    """Verifies servers with the authorities of a file too. `requests` adds those that it knows itself."""

    def __init__(self, ca_file: str) -> None:
        self._context = tls_context(ca_file)
        super().__init__()

    def init_poolmanager(self, *arguments: Any, **options: Any) -> None:
        super().init_poolmanager(*arguments, **options, ssl_context=self._context)


class Grafana:
    """The Grafana of SENDLENS_GRAFANA_URL. `timeout` is in seconds, for each request. Not for two threads at once."""

    def __init__(self, settings: Settings, timeout: float) -> None:
        self._url = settings.grafana_url
        url = urlsplit(self._url)
        host = url.hostname or ""
        try:
            port = url.port
        except ValueError as error:
            raise Misconfigured(f"SENDLENS_GRAFANA_URL: {error}") from None
        prefix = url.path.strip("/")
        self._face = GrafanaFace(
            auth=settings.grafana_token,
            host=f"[{host}]" if ":" in host else host,
            port=port,
            url_path_prefix=prefix and f"{prefix}/",
            protocol=url.scheme,
            timeout=timeout,
        )
        self._face.api.s.hooks["response"].append(self._check)
        if settings.ca_file:
            self._face.api.s.mount("https://", _PrivateAuthorities(settings.ca_file))

    def __enter__(self) -> Grafana:
        return self

    def __exit__(self, *_: object) -> None:
        self._face.api.s.close()

    def get(self, path: str) -> dict[str, Any] | None:
        """The object at a path below /api, None for a 404. Raises Retry or Reject."""
        status, answer = self.probe(path)
        return None if status == 404 else self._accepted(f"GET {path}", status, answer)

    def send(self, method: Literal["POST", "PUT"], path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Grafana's answer to a change. Raises Retry while Grafana is away, Reject when it refuses."""
        status, answer = self._object(lambda: getattr(self._face.api, method)(path, json=body))
        return self._accepted(f"{method} {path}", status, answer)

    def probe(self, path: str) -> tuple[int, dict[str, Any]]:
        """Status and object, also of a refusal. The status of every acceptance is 200."""
        return self._object(lambda: self._face.api.GET(path))

    def has_annotation(self, tag: str) -> bool:
        """Whether an annotation carries this tag."""
        status, found = self._ask(lambda: self._face.annotations.get_annotation(tags=[quote(tag, safe="")], limit=1))
        if status != 200 or not isinstance(found, list):
            self._accepted("GET /annotations", status, found if isinstance(found, dict) else {})
            raise self._no_grafana()
        return bool(found)

    def annotate(self, at: int, text: str, tags: list[str]) -> None:
        """Put an annotation on every board; `at` is in milliseconds since 1970."""
        add = self._face.annotations.add_annotation
        status, answer = self._object(lambda: add(time_from=at, time_to=at, tags=tags, text=text))
        self._accepted("POST /annotations", status, answer)

    def _ask(self, request: Callable[[], Any]) -> tuple[int, Any]:
        """Status and JSON of a response; 200 stands for every acceptance."""
        try:
            return 200, request()
        except GrafanaException as refused:
            return refused.status_code, refused.response
        except requests.JSONDecodeError:
            raise self._no_grafana() from None
        except requests.RequestException as error:
            if isinstance(error, ValueError):  # the library's way with an address that is none
                raise Misconfigured(f"SENDLENS_GRAFANA_URL: {error}") from None
            said = with_advice(error) or type(error).__name__
            raise Retry(f"Grafana at SENDLENS_GRAFANA_URL ({self._url}): {said}") from error
        except TypeError:  # the library looks for a message in JSON that has no fields
            raise self._no_grafana() from None

    def _object(self, request: Callable[[], Any]) -> tuple[int, dict[str, Any]]:
        status, answer = self._ask(request)
        if status == 404 and not answer:
            answer = {}  # how Grafana answers for an alert rule that it does not have
        if not isinstance(answer, dict):
            raise self._no_grafana()
        return status, answer

    def _check(self, response: requests.Response, **_: object) -> None:
        """Raises for a response that the library would hide: a redirect, a gateway's error, an unknown token."""
        if response.is_redirect:
            raise self._no_grafana()
        if response.status_code in _AWAY:
            raise Retry(f"Grafana at SENDLENS_GRAFANA_URL ({self._url}): {response.status_code}")
        if response.status_code == 401:
            raise Reject(
                "grafana-refuses", f"SENDLENS_GRAFANA_TOKEN: Grafana at {self._url} does not know it, or no more"
            )

    def _accepted(self, what: str, status: int, answer: dict[str, Any]) -> dict[str, Any]:
        if status == 200:
            return answer
        why = str(answer.get("message") or "no reason given")[:300]
        if status == 403:
            why += ". The token's service account needs the role Admin: Editors may not change datasources"
        elif status in (409, 412):
            why += ". Somebody else changed it meanwhile, or has something of this name: look, then push again"
        raise Reject("grafana-refuses", f"{what}: {status}, {why}")

    def _no_grafana(self) -> Reject:
        return Reject("not-grafana", f"{self._url} does not answer as Grafana does: see SENDLENS_GRAFANA_URL")

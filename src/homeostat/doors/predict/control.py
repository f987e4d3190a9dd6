"""How the prediction server speaks to the server: plain HTTP, no credentials of the database.

Used by `follower` and `handover`.
"""

from __future__ import annotations

from typing import Any

import httpx
import msgspec

from homeostat.foundation import errors

PROJECT_HEADER = "x-homeostat-project"


class Problem(msgspec.Struct):
    """As much of a problem as is needed to raise the same error again."""

    detail: str = ""
    code: str = "error"
    hint: str = ""


class Control:
    """The server, from the side of a prediction server.

    Parameters
    ----------
    url
        Its address.
    project
        Namespace that is served.
    token
        Access key to show there; none when empty.
    """

    def __init__(self, url: str, *, project: str, token: str = "") -> None:
        self.url = url
        shown = {"authorization": f"Bearer {token}"} if token else {}
        self._http = httpx.AsyncClient(
            base_url=url,
            headers={PROJECT_HEADER: project, **shown},
            timeout=httpx.Timeout(30.0, connect=2.0, read=40.0),
            trust_env=False,
        )

    async def ask(self, method: str, path: str, **options: Any) -> bytes:
        """Make one request and return the body of its answer.

        Parameters
        ----------
        method, path
            As in the route table of the API.
        **options
            ``params``, ``content`` as httpx takes them.

        Raises
        ------
        UnavailableError
            When nobody answers there, or the server is not able to now.
        HomeostatError
            Any other error, of the class that the server raised.
        """
        try:
            answer = await self._http.request(method, path, **options)
        except httpx.HTTPError as error:
            why = str(error) or type(error).__name__
            raise errors.UnavailableError(f"no answer from {self.url}: {why}") from None
        if answer.is_success:
            return answer.content
        try:
            told = msgspec.json.decode(answer.content, type=Problem)
        except msgspec.MsgspecError:
            told = Problem(detail=f"{self.url} answered {answer.status_code}")
        kind = errors.by_code().get(told.code, errors.HomeostatError)
        raise kind(told.detail, hint=told.hint)

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

"""Who is not a person: crawlers, HTTP libraries, and browsers that fetch ahead of a visit."""

from __future__ import annotations

import re
from functools import lru_cache

from crawleruseragents import is_crawler

#: Characters of a user agent that are judged; the rest is ignored.
MAX_USER_AGENT = 512
#: User agents whose verdict is remembered.
VERDICTS = 4096

# HTTP libraries, load generators and health checks that the crawler list lacks. The test clients of web frameworks
# (Werkzeug, testclient) are left out on purpose: who counts in a test wants to see hits.
_TOOLS = re.compile(
    r"(?:ApacheBench|Bun|Dart|Deno|ELB-HealthChecker|Faraday|GoogleHC|GuzzleHttp|Jakarta Commons-HttpClient|Java"
    r"|PostmanRuntime|PycURL|Ruby|fasthttp|hey|insomnia|k6|kube-probe|lua-resty-http|node|reqwest|undici|vegeta)"
    r"(?:[/ ]v?[0-9].*)?",
    re.IGNORECASE | re.DOTALL,
)
# A word of its own: a parameter such as "no-prefetch" is none.
_AHEAD = re.compile(r"(?<![\w-])(?:prefetch|prerender|preview)(?![\w-])", re.IGNORECASE)


def is_bot(user_agent: str) -> bool:
    """Whether the user agent is a crawler, an HTTP library or empty; verdicts are remembered (bounded)."""
    return _verdict(user_agent[:MAX_USER_AGENT])


def is_prefetch(purpose_header_values: str) -> bool:
    """Whether a browser fetched the page before anyone asked for it (prefetch, prerender, preview).

    Takes the values of Sec-Purpose, Purpose, X-Moz and X-Purpose, joined by anything but letters.
    """
    return bool(purpose_header_values) and _AHEAD.search(purpose_header_values) is not None


@lru_cache(maxsize=VERDICTS)
def _verdict(user_agent: str) -> bool:
    agent = user_agent.strip()
    return not agent or _TOOLS.fullmatch(agent) is not None or bool(is_crawler(agent))

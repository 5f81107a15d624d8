"""What an object store says when it refuses, in words that tell what to do."""

from __future__ import annotations

import re

_REASONS = (
    (r"RequestTimeTooSkewed|RequestExpired", "this machine's clock is wrong: set it, and run the same again"),
    (
        r"169\.254\.169\.254",
        "there are no credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE",
    ),
    (r"NoSuchBucket", "there is no such bucket (any more)"),
    (
        r"ExpiredToken|TokenRefreshRequired",
        "the credentials have expired: set new ones in AWS_* or the profile and run the same again",
    ),
    (
        r"InvalidAccessKeyId|SignatureDoesNotMatch|InvalidToken|InvalidClientTokenId|401 Unauthorized",
        "the credentials are wrong: check those in AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, … or of AWS_PROFILE",
    ),
    (
        r"AccessDenied|403 Forbidden",
        "these credentials are not allowed to: check whose they are and the bucket's rights",
    ),
    (r"QuotaExceeded|507 Insufficient|InsufficientStorage", "the store is full: make room and run the same again"),
    (
        r"AuthorizationHeaderMalformed|PermanentRedirect|Received redirect",
        "the bucket lies in another region: set AWS_REGION to its own",
    ),
    (r"EntityTooLarge", "the file is too large for one request: choose a smaller segment"),
)


def reason(error: Exception | None) -> str:
    """Why, in words that say what to do, of the store's own."""
    text = str(error)
    for pattern, reason in _REASONS:
        if re.search(pattern, text):
            return reason
    status = re.search(r"status code: (\d{3} [A-Za-z ]+)", text)
    cause = re.search(r"HTTP error: ([^\n]+)", text)
    said = status[1].strip() if status else cause[1] if cause else text.split("\n", 1)[0][:200] or "no answer"
    return f"the object store does not answer as it should ({said}); everything committed is kept: run the same again"


# What passes: no connection, or one that broke; a server that is busy, or has an error of its own; and what one says
# to several that create the same file at this moment (409).
_PASSES = r"error sending request|body error|timed out|status code: (5\d\d|408|409|429)|SlowDown|RequestTimeout"


def transient(error: Exception) -> bool:
    """Whether the same request may succeed in a moment."""
    text = str(error)
    return re.search(_PASSES, text) is not None and not any(re.search(pattern, text) for pattern, _ in _REASONS)


def unconnected(error: Exception) -> bool:
    """Whether there was nobody to ask; a request whose reply is lost may have been carried out."""
    return "kind: Connect" in str(error)

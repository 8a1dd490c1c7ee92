"""How a receiver checks that a message comes from the node, whole and new; docs/messages.md prints it."""

import hashlib
import hmac


def is_from_the_node(secret: str, header: str, body: bytes, now_s: int) -> bool:
    """`header` is Ichnode-Signature, `body` the bytes as they came, `now_s` seconds since 1970."""
    parts = dict(part.split("=", 1) for part in header.split(","))
    signed = hmac.new(secret.encode(), parts["t"].encode() + b"." + body, hashlib.sha256).hexdigest()
    return hmac.compare_digest(signed, parts["v1"]) and abs(now_s - int(parts["t"])) <= 300

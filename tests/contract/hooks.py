"""What JSON Schema cannot say about a request, done to generated ones.

Everything here leaves an invalid request invalid; a valid one stays valid and
gets past a rule that depends on what is stored, or reaches nobody else.
"""

import base64
import hashlib
import hmac
import os
import re
import time
import uuid

import requests
import schemathesis

KEPT = os.environ["CONTRACT_KEEP"].split(",")
WORKER = os.environ["CONTRACT_WORKER"]
SENT = os.environ["CONTRACT_MESSAGE"]
WEBHOOK_KEY = base64.b64decode(os.environ["CONTRACT_WEBHOOK_SECRET"].removeprefix("whsec_"))
AGENTS = ("workspace", "merge-queue")
NAME = re.compile(r"(?!(system|user)\Z)[A-Za-z0-9][A-Za-z0-9_-]{0,63}\Z", re.IGNORECASE)
HOST = re.compile(r"(?i)^([a-z]+:[/\\]*)[^/\\?#]+")
TIME = re.compile(r"\d{4}(-\d\d-\d\d[Tt]\d\d:\d\d:\d\d)")
SECRET = re.compile(r"whsec_.+")
ID = re.compile(r"(spn|msg)_[0-9a-f]{32}(_[A-Za-z0-9_-]+)?\Z")
MESSAGE = re.compile(r"^(msg_[0-9a-f]{32}_)[A-Za-z0-9_-]+\Z")
KEY = re.compile(r"[!-~]{1,200}\Z")


def digest(text):
    return hashlib.sha256(str(text).encode("utf-8", "replace")).hexdigest()


def known(name):
    """Every other valid name becomes that of an agent that is there."""
    if not isinstance(name, str) or not NAME.match(name):
        return name
    number = int(digest(name), 16)
    return AGENTS[number // 2 % 2] if number % 2 else name


def endpoint(body, field):
    """No endpoint leads anywhere: nothing outside is called."""
    url = body.get(field)
    if isinstance(url, str) and "127.0.0.1" not in url:
        body[field] = HOST.sub(rf"\g<1>{digest(url)[:12]}.invalid", url)


def secret_has_endpoint(body):
    """A secret needs an endpoint, which the agent may have already or not."""
    secret = body.get("webhook_secret")
    if isinstance(secret, str) and SECRET.match(secret) and not body.get("endpoint"):
        body["endpoint"] = "https://hooks.invalid/"


def change_body(operation, body):
    for field in ("endpoint", "spawn_endpoint"):
        endpoint(body, field)
    if operation in ("registerAgent", "updateAgent"):
        secret_has_endpoint(body)
    if operation == "sendMessage":
        for field in ("from", "to"):
            body[field] = known(body[field]) if field in body else None
            if body[field] is None:
                del body[field]
    if operation == "createToken" and isinstance(body.get("expires_at"), str):
        # In the future, and a leap year.
        body["expires_at"] = TIME.sub(r"2996\1", body["expires_at"], count=1)


def sign(case):
    """Three of four callbacks are signed, and two of them are about their path."""
    body = case.body
    number = int(digest(body), 16) % 4
    if number == 3:
        return
    data = body.get("data") if isinstance(body, dict) else None
    if number and isinstance(data, dict) and ID.match(str(data.get("id"))):
        case.path_parameters["id"] = data["id"]
    prepared = requests.Request(**case.as_transport_kwargs(base_url="http://x")).prepare().body or b""
    text = prepared if isinstance(prepared, bytes) else str(prepared).encode()
    id, at = uuid.uuid4().hex, str(int(time.time()))
    mac = hmac.new(WEBHOOK_KEY, f"{id}.{at}.".encode() + text, hashlib.sha256).digest()
    case.headers["webhook-id"] = id
    case.headers["webhook-timestamp"] = at
    case.headers["webhook-signature"] = "v1," + base64.b64encode(mac).decode()


@schemathesis.hook
def before_call(context, case, **kwargs):
    operation = case.operation.definition.raw.get("operationId")
    if isinstance(case.body, dict):
        case.body = dict(case.body)
        change_body(operation, case.body)
    parameters = case.path_parameters or {}
    # Every other valid id becomes one that is there.
    for there, operations in ((WORKER, ("getWorker", "getWorkerLog", "updateWorker")), (SENT, ("getMessage", "reportMessage"))):
        id = parameters.get("id")
        if operation in operations and ID.match(str(id)) and int(digest(id), 16) % 2:
            parameters["id"] = there
    # Most changes of the configuration are meant for the one that stands.
    headers = case.headers or {}
    if operation == "putConfig" and "If-Match" in headers and int(digest(headers["If-Match"]), 16) % 4:
        headers["If-Match"] = "*"
    if operation == "reportWorker":
        sign(case)
    # The tokens in use stay.
    if operation == "revokeToken" and parameters.get("id") in KEPT:
        parameters["id"] = "tok_0193a1b2c3d47e5f8a9b0c1d2e3f4a5b"
    if operation in ("getAgent", "listMessages", "rotateSecret", "testEndpoint"):
        parameters["name"] = known(parameters.get("name"))
    # A page of an agent's messages goes on after one of them.
    query = case.query or {}
    if operation == "listMessages" and isinstance(query.get("after"), str):
        query["after"] = MESSAGE.sub(rf"\g<1>{parameters['name']}", query["after"])
    # Short keys repeat themselves; one key with two contents is refused.
    key = headers.get("Idempotency-Key")
    if isinstance(key, str) and KEY.match(key):
        headers["Idempotency-Key"] = f"{key}{uuid.uuid4().hex}"

"""POST to the webhook of a chat channel, whose address is the secret: the payload is the body, in the vendor's form.

Slack takes `{text, blocks}` (docs.slack.dev, "Sending messages using incoming webhooks"), Teams a message with an
Adaptive Card (learn.microsoft.com, "Create incoming webhooks with Workflows for Microsoft Teams"). Neither knows an id
to deduplicate on: a message whose answer was lost is there twice.
"""

from collections.abc import Mapping
from typing import Any

from kaireon.lib.canonical import canonical, exact
from kaireon.outbox import webhooks
from kaireon.outbox.sending import Outgoing


def send(given: Mapping[str, Any], secret: str, message: Outgoing) -> None:
    """Deliver; a 2xx answer is success. Raises Refused."""
    webhooks.post(secret, canonical(exact(dict(message.payload))), {})

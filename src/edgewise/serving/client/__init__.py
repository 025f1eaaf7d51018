"""`edgewise.Client` and `edgewise.AsyncClient`: asking a service, with the device at hand.

They speak the Open Inference Protocol, so any of its servers answers them. What an Edgewise service
adds (deadlines, the network's share of them, refusals) is used where it is there.
"""

from edgewise.serving.client.answer import Answer, NetworkTimes, Phases
from edgewise.serving.client.asynchronous import AsyncClient
from edgewise.serving.client.cascade import Rule
from edgewise.serving.client.errors import ClientError, Late, MalformedAnswer, Unreachable
from edgewise.serving.client.estimate import NetworkEstimate
from edgewise.serving.client.synchronous import Client

__all__ = [
    "Answer",
    "AsyncClient",
    "Client",
    "ClientError",
    "Late",
    "MalformedAnswer",
    "NetworkEstimate",
    "NetworkTimes",
    "Phases",
    "Rule",
    "Unreachable",
]

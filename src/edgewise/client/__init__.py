"""`edgewise.Client` and `edgewise.AsyncClient`: asking a service, with the device at hand.

They speak the Open Inference Protocol, so any of its servers answers them. What an Edgewise service
adds (deadlines, the network's share of them, refusals) is used where it is there.
"""

from edgewise.client.answer import Answer, NetworkTimes, Phases
from edgewise.client.asynchronous import AsyncClient
from edgewise.client.cascade import Rule
from edgewise.client.synchronous import Client
from edgewise.network.estimate import NetworkEstimate
from edgewise.protocol.errors import ClientError, Late, MalformedAnswer, Unreachable

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

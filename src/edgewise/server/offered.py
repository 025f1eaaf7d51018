"""What a service says of itself and of what it serves, without running anything."""

from __future__ import annotations

from edgewise.protocol.metadata import ModelMetadata
from edgewise.server.catalogue import Catalogue
from edgewise.server.running import Pools


class Offered:
    """The models of a service, and whether they can be asked now.

    Attributes:
        draining: whether callers should go elsewhere.
    """

    def __init__(self, catalogue: Catalogue, pools: Pools) -> None:
        self.catalogue, self.pools = catalogue, pools
        self.draining = False

    def live(self) -> bool:
        """Whether the process works at all."""
        return True

    def ready(self) -> bool:
        """Whether new requests are welcome."""
        return not self.draining and self.pools.ready()

    def server_metadata(self) -> dict[str, object]:
        """Name, version and extensions of the Open Inference Protocol."""
        from edgewise import __version__

        return {
            "name": "edgewise",
            "version": __version__,
            "extensions": ["binary_tensor_data", "model_repository"],
        }

    def model_names(self) -> list[str]:
        """All served names."""
        return self.catalogue.names

    def model_ready(self, name: str, version: str = "") -> bool:
        """Whether a model can answer now.

        Raises:
            UnknownModel: there is none of that name.
        """
        family, pinned = self.catalogue.find(name, version)
        wanted = [pinned] if pinned else list(family.variants.values())
        return self.ready() and any(self.pools.can_run(each.key) for each in wanted)

    def model_metadata(self, name: str, version: str = "") -> ModelMetadata:
        """What a model takes and gives.

        Raises:
            UnknownModel: there is none of that name.
        """
        return self.catalogue.metadata(name, version)

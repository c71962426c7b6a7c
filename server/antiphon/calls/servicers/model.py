"""ModelService."""

from __future__ import annotations

from typing import TYPE_CHECKING

from antiphon.api.model.v1 import model_service_pb2 as pb

if TYPE_CHECKING:
    from antiphon.models.catalog import ModelCatalog
    from antiphon.ports.call import CallContext


class ModelServicer:
    """ModelService on the wire."""

    def __init__(self, catalog: ModelCatalog) -> None:
        self._catalog = catalog

    async def list_models(self, request: pb.ListModelsRequest, call: CallContext) -> pb.ListModelsResponse:
        """Lists the models, by name."""
        del call
        models, next_page_token = await self._catalog.page(
            provider=request.provider, page_size=request.page_size, page_token=request.page_token
        )
        return pb.ListModelsResponse(models=models, next_page_token=next_page_token)

    async def get_model(self, request: pb.GetModelRequest, call: CallContext) -> pb.GetModelResponse:
        """Describes one model."""
        del call
        return pb.GetModelResponse(model=self._catalog.get(request.name))

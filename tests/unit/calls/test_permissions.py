"""Every method of the contract declares what its caller needs, and one that does not cannot be served."""

from __future__ import annotations

import pytest
from google.protobuf import descriptor_pb2, descriptor_pool

from antiphon.api.completion.v1 import completion_service_pb2
from antiphon.api.core.v1.permission_pb2 import Permission
from antiphon.calls.in_flight import InFlight
from antiphon.calls.interceptors import Steps
from antiphon.calls.methods import ContractMethods, permission_of
from antiphon.calls.slow_clients import SlowClients


def test_a_declared_permission_is_read() -> None:
    method = completion_service_pb2.DESCRIPTOR.services_by_name["CompletionService"].methods_by_name["Complete"]
    assert Permission.PERMISSION_COMPLETIONS_CREATE == permission_of(method)


def test_a_method_without_one_is_not_mounted() -> None:
    file = descriptor_pb2.FileDescriptorProto(name="bare.proto", package="bare", dependency=["google/protobuf/empty.proto"])
    method = file.service.add(name="Bare").method.add(name="Do")
    method.input_type = method.output_type = ".google.protobuf.Empty"
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(_empty())
    pool.Add(file)
    methods = ContractMethods(Steps([], []), InFlight(), SlowClients(30))
    with pytest.raises(ValueError, match=r"bare\.Bare\.Do declares no permission"):
        methods.mount(pool.FindServiceByName("bare.Bare"), object())


def _empty() -> bytes:
    from google.protobuf import empty_pb2

    return empty_pb2.DESCRIPTOR.serialized_pb

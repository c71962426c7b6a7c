from google.protobuf import descriptor_pb2 as _descriptor_pb2
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from typing import ClassVar as _ClassVar

DESCRIPTOR: _descriptor.FileDescriptor

class Permission(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    PERMISSION_UNSPECIFIED: _ClassVar[Permission]
    PERMISSION_COMPLETIONS_CREATE: _ClassVar[Permission]
    PERMISSION_MODELS_READ: _ClassVar[Permission]
    PERMISSION_HEALTH_READ: _ClassVar[Permission]
    PERMISSION_REFLECTION_READ: _ClassVar[Permission]
    PERMISSION_METRICS_READ: _ClassVar[Permission]
PERMISSION_UNSPECIFIED: Permission
PERMISSION_COMPLETIONS_CREATE: Permission
PERMISSION_MODELS_READ: Permission
PERMISSION_HEALTH_READ: Permission
PERMISSION_REFLECTION_READ: Permission
PERMISSION_METRICS_READ: Permission
PERMISSION_FIELD_NUMBER: _ClassVar[int]
permission: _descriptor.FieldDescriptor

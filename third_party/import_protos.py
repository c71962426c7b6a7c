"""Brings the imported protos into `third_party/imported`, from packages that the lock file pins."""

from __future__ import annotations

import importlib
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any, cast

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, text_format
from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    EnumDescriptorProto,
    FieldDescriptorProto,
    FileDescriptorProto,
    OneofDescriptorProto,
)
from google.protobuf.message import Message
from grpc_tools import protoc
from protovalidate._gen.buf.validate import validate_pb  # pyright: ignore[reportMissingTypeStubs]  # its only home

IMPORTED = Path(__file__).parent / "imported"

_LABELS = {
    FieldDescriptorProto.LABEL_OPTIONAL: "optional ",
    FieldDescriptorProto.LABEL_REQUIRED: "required ",
    FieldDescriptorProto.LABEL_REPEATED: "repeated ",
}


class ProtoPrinter:
    """Prints a proto2 file descriptor as source text, options and extensions included, comments excluded."""

    def __init__(self, file: FileDescriptorProto) -> None:
        self._file = file
        self._pool = descriptor_pool.DescriptorPool()
        for dependency in (descriptor_pb2.DESCRIPTOR.serialized_pb, *_well_known(file)):
            self._pool.AddSerializedFile(dependency)
        self._pool.AddSerializedFile(file.SerializeToString())
        self._lines: list[str] = []

    def source(self) -> str:
        """Returns the whole file."""
        syntax = self._file.syntax or "proto2"
        self._lines = [f'syntax = "{syntax}";', "", f"package {self._file.package};", ""]
        self._lines += [f'import "{name}";' for name in self._file.dependency]
        self._lines += self._options_as_statements(self._file.options, "")
        for extension in self._file.extension:
            self._lines += [f"extend {extension.extendee} {{", *self._field(extension, "  "), "}"]
        for message in self._file.message_type:
            self._message(message, "")
        for enum in self._file.enum_type:
            self._enum(enum, "")
        return "\n".join(self._lines) + "\n"

    def _message(self, message: DescriptorProto, indent: str) -> None:
        self._lines.append(f"{indent}message {message.name} {{")
        inner = indent + "  "
        self._lines += self._options_as_statements(message.options, inner)
        for nested in message.nested_type:
            self._message(nested, inner)
        for enum in message.enum_type:
            self._enum(enum, inner)
        for extended in message.extension:
            self._lines += [f"{inner}extend {extended.extendee} {{", *self._field(extended, inner + "  "), f"{inner}}}"]
        opened: int | None = None
        for field in message.field:
            oneof = field.oneof_index if field.HasField("oneof_index") else None
            if opened is not None and oneof != opened:
                self._lines.append(f"{inner}}}")
            if oneof is not None and oneof != opened:
                self._oneof(message.oneof_decl[oneof], inner)
            opened = oneof
            self._lines += self._field(field, inner + "  " if oneof is not None else inner, in_oneof=oneof is not None)
        if opened is not None:
            self._lines.append(f"{inner}}}")
        for span in message.extension_range:
            end = "max" if span.end > 536870911 else str(span.end - 1)
            self._lines.append(f"{inner}extensions {span.start} to {end};")
        for gap in message.reserved_range:
            self._lines.append(f"{inner}reserved {gap.start} to {gap.end - 1};")
        self._lines += [f'{inner}reserved "{name}";' for name in message.reserved_name]
        self._lines.append(f"{indent}}}")

    def _oneof(self, oneof: OneofDescriptorProto, indent: str) -> None:
        self._lines.append(f"{indent}oneof {oneof.name} {{")
        self._lines += self._options_as_statements(oneof.options, indent + "  ")

    def _enum(self, enum: EnumDescriptorProto, indent: str) -> None:
        self._lines.append(f"{indent}enum {enum.name} {{")
        self._lines += self._options_as_statements(enum.options, indent + "  ")
        self._lines += [f"{indent}  {value.name} = {value.number};" for value in enum.value]
        for gap in enum.reserved_range:
            self._lines.append(f"{indent}  reserved {gap.start} to {gap.end};")
        self._lines += [f'{indent}  reserved "{name}";' for name in enum.reserved_name]
        self._lines.append(f"{indent}}}")

    def _field(self, field: FieldDescriptorProto, indent: str, *, in_oneof: bool = False) -> list[str]:
        label = "" if in_oneof else _LABELS[field.label]
        kind = field.type_name or FieldDescriptorProto.Type.Name(field.type).removeprefix("TYPE_").lower()
        options = self._option_values(field.options)
        if field.HasField("default_value"):
            quoted = field.type == FieldDescriptorProto.TYPE_STRING
            options.insert(0, f"default = {_quoted(field.default_value) if quoted else field.default_value}")
        suffix = f" [{', '.join(options)}]" if options else ""
        return [f"{indent}{label}{kind} {field.name} = {field.number}{suffix};"]

    def _options_as_statements(self, options: Message, indent: str) -> list[str]:
        return [f"{indent}option {value};" for value in self._option_values(options)]

    def _option_values(self, options: Message) -> list[str]:
        """Renders options as `name = value`, reading extensions of this very file through its own pool."""
        name = options.DESCRIPTOR.full_name
        known = message_factory.GetMessageClass(self._pool.FindMessageTypeByName(name))()
        known.ParseFromString(options.SerializeToString())
        rendered: list[str] = []
        for field, value in known.ListFields():
            key = f"({field.full_name})" if field.is_extension else field.name
            for item in value if field.is_repeated else [value]:
                if isinstance(item, Message):
                    rendered.append(f"{key} = {{{text_format.MessageToString(item, as_one_line=True)}}}")
                elif field.enum_type is not None:
                    rendered.append(f"{key} = {field.enum_type.values_by_number[item].name}")
                elif isinstance(item, str):
                    rendered.append(f"{key} = {_quoted(item)}")
                else:
                    rendered.append(f"{key} = {str(item).lower()}")
        return rendered


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _well_known(file: FileDescriptorProto) -> list[bytes]:
    names = [name for name in file.dependency if name != "google/protobuf/descriptor.proto"]
    modules: list[Any] = [importlib.import_module(name.removesuffix(".proto").replace("/", ".") + "_pb2") for name in names]
    return [module.DESCRIPTOR.serialized_pb for module in modules]


def import_buf_validate(target: Path) -> None:
    """Prints `buf/validate/validate.proto` and proves the print by compiling it.

    Raises:
        ValueError: The print does not compile to the descriptor that it was made from.
    """
    original = FileDescriptorProto.FromString(validate_pb.desc().proto.to_binary())
    root = target / "protovalidate"
    path = root / original.name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(ProtoPrinter(original).source(), encoding="utf-8")
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "set.binpb"
        well_known = Path(protoc.__file__).parent / "_proto"
        status = cast("Any", protoc).main(["protoc", f"-I{root}", f"-I{well_known}", f"--descriptor_set_out={out}", original.name])
        if status != 0:
            raise ValueError(f"the printed {original.name!r} does not compile")
        compiled = descriptor_pb2.FileDescriptorSet.FromString(out.read_bytes()).file[0]
    if _comparable(compiled) != _comparable(original):
        raise ValueError(f"the printed {original.name!r} differs from the descriptor it was made from")


def _comparable(file: FileDescriptorProto) -> bytes:
    copy = FileDescriptorProto.FromString(file.SerializeToString())
    copy.ClearField("source_code_info")
    return copy.SerializeToString(deterministic=True)


def main() -> int:
    """Writes everything anew."""
    shutil.rmtree(IMPORTED, ignore_errors=True)
    import_buf_validate(IMPORTED)
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""The Python modules of our protos, made by Debian's protoc and its Python plugin alone."""

import importlib
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

from harness import SOURCE

COMMON_PROTOS = Path("/usr/share/java/proto-google-common-protos.jar")


def generate_stubs(folder: Path) -> dict[str, Any]:
    """Makes them below `folder`. Gives them by name: items, service, admin, stubs, admin_stubs, rpc_status, error_details, error_info."""
    common, ours, out = folder / "protos", SOURCE / "proto", folder / "python"
    with zipfile.ZipFile(COMMON_PROTOS) as jar:
        files = ["google/rpc/status.proto", "google/rpc/error_details.proto"]
        jar.extractall(common, files)
    # Debian's common protos are older than ErrorInfo, which ours has.
    files += sorted(path.relative_to(ours).as_posix() for part in ("heapsync", "google") for path in (ours / part).rglob("*.proto"))
    out.mkdir()
    subprocess.run([
        "protoc", f"--proto_path={ours}", f"--proto_path={common}", f"--python_out={out}", f"--grpc_python_out={out}",
        "--plugin=protoc-gen-grpc_python=/usr/bin/grpc_python_plugin", *files
    ], check=True)
    # `google` is a package of Debian's protobuf: ours joins it instead of hiding it.
    sys.path.insert(0, str(out))
    importlib.import_module("google").__path__.append(str(out / "google"))
    modules = {
        "items": "heapsync.v1.items_pb2",
        "service": "heapsync.v1.heap_sync_service_pb2",
        "stubs": "heapsync.v1.heap_sync_service_pb2_grpc",
        "admin": "heapsync.v1.heap_sync_admin_service_pb2",
        "admin_stubs": "heapsync.v1.heap_sync_admin_service_pb2_grpc",
        "rpc_status": "google.rpc.status_pb2",
        "error_details": "google.rpc.error_details_pb2",
        "error_info": "google.rpc.error_info_pb2",
    }
    return {name: importlib.import_module(module) for name, module in modules.items()}

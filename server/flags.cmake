# Configuration of the server: no gRPC, so that its tests run under every sanitizer. Included by server/ and by tests/config/.
if(NOT TARGET heapsync_server_flags)
  heapsync_library(heapsync_server_flags
    SOURCES "${CMAKE_CURRENT_LIST_DIR}/flags.cc" "${CMAKE_CURRENT_LIST_DIR}/server_config.cc"
      "${CMAKE_CURRENT_LIST_DIR}/tls_material.cc"
    DEPS heapsync_access heapsync_config heapsync_model OpenSSL::Crypto absl::flags absl::flags_config absl::flags_parse absl::flags_reflection
         absl::flags_usage absl::flat_hash_map absl::status absl::statusor absl::strings)
  target_compile_definitions(heapsync_server_flags PRIVATE HEAPSYNC_VERSION="${PROJECT_VERSION}")
endif()

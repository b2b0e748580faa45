#include "server/config/restart_settings.h"

namespace heapsync {
namespace {

template <typename Holder, typename Owner, typename Value>
bool Differ(const Holder& a, const Holder& b, Value Owner::*member) {
  return a.*member != b.*member;
}

}  // namespace

std::vector<std::string> SettingsThatNeedRestart(const ServerConfig& running,
                                                 const ServerConfig& wanted) {
  std::vector<std::string> changed;
  const auto check = [&](const char* name, auto member) {
    if (Differ(running, wanted, member)) changed.emplace_back(name);
  };
  const auto check_port = [&](const char* name, auto member) {
    if (Differ(running.port, wanted.port, member)) changed.emplace_back(name);
  };
  const auto check_way = [&](const char* name, auto member) {
    if (Differ(running.heap_way, wanted.heap_way, member)) {
      changed.emplace_back(name);
    }
  };
  check("listen", &ServerConfig::listen);
  check("http_listen", &ServerConfig::http_listen);
  check("data_dir", &ServerConfig::data_dir);
  check("heap_us_url", &ServerConfig::heap_us_url);
  check("heap_eu_url", &ServerConfig::heap_eu_url);
  check_way("heap_proxy", &HeapWay::proxy);
  check_way("heap_proxy_credentials_file", &HeapWay::proxy_user);
  if (running.heap_way.proxy_user == wanted.heap_way.proxy_user) {
    check_way("heap_proxy_credentials_file", &HeapWay::proxy_password);
  }
  check_way("heap_ca", &HeapWay::extra_roots);
  check("max_age", &ServerConfig::max_age);
  check("max_retry_after", &ServerConfig::max_retry_after);
  check("reload_interval", &ServerConfig::reload_interval);
  check("drain_timeout", &ServerConfig::drain_timeout);
  check("tls_client_certificates", &ServerConfig::client_certificates);
  check("allow_plaintext", &ServerConfig::allow_plaintext);
  check("allow_core_dumps", &ServerConfig::allow_core_dumps);
  check("min_free_disk_bytes", &ServerConfig::min_free_disk_bytes);
  check("log_level", &ServerConfig::log_level);
  check("metrics_destinations", &ServerConfig::metrics_destinations);
  check("send_traceparent", &ServerConfig::send_traceparent);
  check_port("max_message_bytes", &PortLimits::max_message_bytes);
  check_port("max_metadata_bytes", &PortLimits::max_metadata_bytes);
  check_port("max_memory_bytes", &PortLimits::max_memory_bytes);
  check_port("max_connections", &PortLimits::max_connections);
  check_port("max_streams_per_connection",
             &PortLimits::max_streams_per_connection);
  check_port("max_calls", &PortLimits::max_calls);
  check_port("max_streams", &PortLimits::max_streams);
  check_port("max_connection_age", &PortLimits::max_connection_age);
  check_port("max_connection_age_grace", &PortLimits::max_connection_age_grace);
  check_port("keepalive_time", &PortLimits::keepalive_time);
  // Their contents can change, but not whether there are any.
  if (running.tls.has_value() != wanted.tls.has_value()) {
    changed.emplace_back("tls_cert");
  }
  if (running.access.has_value() != wanted.access.has_value()) {
    changed.emplace_back("auth");
  }
  return changed;
}

}  // namespace heapsync

#ifndef HEAPSYNC_TESTS_ENGINE_MANY_DESTINATIONS_H_
#define HEAPSYNC_TESTS_ENGINE_MANY_DESTINATIONS_H_

#include <string>

#include "heap_adapter/config/config.h"

namespace heapsync {

// "app-0", the default one, "app-1" and so on.
inline DestinationConfig ManyDestinations(int count) {
  DestinationConfig config;
  for (int i = 0; i < count; ++i) {
    config.destinations.push_back(
        {.name = "app-" + std::to_string(i), .app_id = *AppId::Parse("1")});
  }
  config.default_destination = "app-0";
  return config;
}

}  // namespace heapsync

#endif  // HEAPSYNC_TESTS_ENGINE_MANY_DESTINATIONS_H_

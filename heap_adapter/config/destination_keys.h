#ifndef HEAPSYNC_HEAP_ADAPTER_CONFIG_DESTINATION_KEYS_H_
#define HEAPSYNC_HEAP_ADAPTER_CONFIG_DESTINATION_KEYS_H_

#include <functional>
#include <string>
#include <vector>

#include "base/json_faults.h"
#include "heap_adapter/model/destination.h"

namespace heapsync {

// One key of a destination in the configuration file. The parser reads the keys
// of this table, and the configuration page lists them.
struct DestinationKey {
  // The object inside the destination that holds the key ("limits", "batch");
  // empty: the destination itself.
  std::string object;
  std::string key;

  // For people: the values that are accepted, the default (empty: none), and
  // what the key means.
  std::string values;
  std::string default_value;
  std::string meaning;

  // Reads the key into the destination and adds a fault for a value that does
  // not fit. Null for "name" and "app_id", which need the other destinations,
  // and for "allowed_identities", which is read with "denied_identities".
  std::function<void(ObjectReader&, Destination&)> read;

  // "batch.max_items".
  std::string Path() const;
};

// All keys, those of one object behind each other, in the order in which they
// are read. Lives as long as the process.
const std::vector<DestinationKey>& DestinationKeys();

}  // namespace heapsync

#endif  // HEAPSYNC_HEAP_ADAPTER_CONFIG_DESTINATION_KEYS_H_

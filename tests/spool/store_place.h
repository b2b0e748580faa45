#ifndef HEAPSYNC_TESTS_SPOOL_STORE_PLACE_H_
#define HEAPSYNC_TESTS_SPOOL_STORE_PLACE_H_

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "heap_adapter/spool/store.h"

namespace heapsync {

// One place where a store can be opened again and again.
class StorePlace {
 public:
  virtual ~StorePlace() = default;
  virtual Store& Open() = 0;
  virtual void Close() = 0;
};

// An implementation of Store that StoreContractTest runs over.
struct StoreKind {
  std::string name;
  std::function<std::unique_ptr<StorePlace>()> make;
};

// Those of this test program, which defines it.
std::vector<StoreKind> StoreKinds();

}  // namespace heapsync

#endif  // HEAPSYNC_TESTS_SPOOL_STORE_PLACE_H_

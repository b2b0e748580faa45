#ifndef HEAPSYNC_CLIENT_CLI_INPUT_PROFILE_H_
#define HEAPSYNC_CLIENT_CLI_INPUT_PROFILE_H_

#include <google/protobuf/descriptor.h>
#include <google/protobuf/struct.pb.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/string_view.h"
#include "client/cli/mapped_row.h"

namespace heapsync {

// The shape of a value: letters become *, digits #, but the first character
// stays if there are at least three; cut off behind 24. "j***@*******.***".
std::string Masked(absl::string_view text);

// What the rows of an input become, without their values. Pure.
//
// Memory: a few names for each of at most 1,000 fields, and 24 bytes for each
// of at most 1,000,000 subjects (users or accounts); more of them are counted
// as one.
class InputProfile {
 public:
  struct Field {
    std::string name;  // of the item: "identity", "properties.plan"
    std::map<std::string, uint64_t> types;  // "text", "number", … and how often
    std::string example;                    // masked
  };

  explicit InputProfile(ObjectType type) : type_(type) {}

  // The next row that becomes an item. REQUIRES: all rows have one type.
  void Observe(const MappedRow& row);

  ObjectType type() const { return type_; }
  uint64_t rows() const { return rows_; }

  // In the order of their first appearance.
  const std::vector<Field>& fields() const { return fields_; }
  bool fields_are_complete() const { return fields_are_complete_; }

  // The number of users or accounts that the rows are about; a lower bound if
  // there are more than are compared.
  uint64_t subjects() const { return subjects_.size(); }
  bool subjects_are_complete() const { return subjects_are_complete_; }

  // Rows of users or accounts of which an earlier row was.
  uint64_t repeated_rows() const { return repeated_rows_; }

  // The most rows that are about one of them.
  uint64_t busiest() const { return busiest_; }

  // The least time that Heap's published limits leave the rows, if nothing else
  // is sent to the App ID: 15,000 events in 60 s, of them 1,000 of one
  // identity. Zero for a type without a limit for the whole App ID.
  std::chrono::seconds LeastDuration() const;

 private:
  void Count(const std::string& name, const char* type,
             absl::string_view example);
  void CountProperties(const google::protobuf::Struct& properties);

  const ObjectType type_;
  // Of the rows' items, in the order in which they are counted.
  std::vector<const google::protobuf::FieldDescriptor*> item_fields_;
  uint64_t rows_ = 0;
  std::vector<Field> fields_;
  absl::flat_hash_map<std::string, size_t> field_index_;
  bool fields_are_complete_ = true;
  absl::flat_hash_map<uint64_t, uint32_t> subjects_;  // rows by hash
  bool subjects_are_complete_ = true;
  uint64_t repeated_rows_ = 0;
  uint64_t busiest_ = 0;
};

}  // namespace heapsync

#endif  // HEAPSYNC_CLIENT_CLI_INPUT_PROFILE_H_

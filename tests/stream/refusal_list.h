#ifndef HEAPSYNC_TESTS_STREAM_REFUSAL_LIST_H_
#define HEAPSYNC_TESTS_STREAM_REFUSAL_LIST_H_

#include <google/protobuf/struct.pb.h>

#include <cstdint>
#include <string>
#include <vector>

#include "gtest/gtest.h"

namespace heapsync {

// Stands for an answer: a message with one repeated field, so that encoded
// messages that follow each other are one list. Each refusal is the index of
// its item, and `bytes` of text that make it longer.
inline google::protobuf::ListValue RefusalOf(uint64_t index, size_t bytes = 0) {
  google::protobuf::ListValue list;
  list.add_values()->set_string_value(std::to_string(index) + ":" +
                                      std::string(bytes, 'x'));
  return list;
}

// The indices in the encoded fields of an answer.
inline std::vector<uint64_t> IndicesIn(const std::string& fields) {
  google::protobuf::ListValue list;
  EXPECT_TRUE(list.ParseFromString(fields));
  std::vector<uint64_t> indices;
  for (const auto& value : list.values()) {
    indices.push_back(std::stoull(value.string_value()));
  }
  return indices;
}

}  // namespace heapsync

#endif  // HEAPSYNC_TESTS_STREAM_REFUSAL_LIST_H_

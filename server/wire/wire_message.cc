#include "server/wire/wire_message.h"

#include <google/protobuf/descriptor.h>
#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>
#include <google/protobuf/struct.pb.h>
#include <google/protobuf/unknown_field_set.h>
#include <google/protobuf/wire_format_lite.h>
#include <grpc/impl/codegen/grpc_types.h>
#include <grpcpp/support/proto_buffer_reader.h>

#include <algorithm>
#include <string>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "base/json_text.h"
#include "heap_adapter/encoding/findings.h"
#include "server/wire/inflate.h"

namespace heapsync {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::UnknownField;
using google::protobuf::UnknownFieldSet;

// Faults that are listed of a message, or of an item.
constexpr size_t kMaxWireFindings = 100;
// Faults of all items of a message; beyond these each item lists one.
constexpr size_t kMaxItemFindings = 1'000;
constexpr int kDeepest = 100;
// Fields besides the items. A request has five, which may come repeatedly.
constexpr size_t kMaxOtherFields = 10'000;

// Searches an encoded message for strings that are not UTF-8, using its
// descriptor.
class Utf8Search {
 public:
  explicit Utf8Search(size_t max_findings) : max_findings_(max_findings) {}

  void Search(const UnknownFieldSet& fields, const Descriptor& descriptor,
              const std::string& path, int depth) {
    if (depth > kDeepest) return;
    absl::flat_hash_map<int, int> repeats;
    for (int i = 0; i < fields.field_count() && !full(); ++i) {
      const UnknownField& field = fields.field(i);
      if (field.type() != UnknownField::TYPE_LENGTH_DELIMITED) continue;
      const FieldDescriptor* known =
          descriptor.FindFieldByNumber(field.number());
      if (known == nullptr) continue;
      SearchField(*known, field.length_delimited(), path,
                  repeats[field.number()]++, depth);
    }
  }

  std::vector<Finding> Take() { return std::move(findings_); }

 private:
  void SearchField(const FieldDescriptor& field, const std::string& bytes,
                   const std::string& path, int index, int depth) {
    if (field.type() == FieldDescriptor::TYPE_STRING) {
      if (!CountUtf16Units(bytes).has_value()) {
        Add(NameInJson(field) ? Join(path, field.name()) : path);
      }
      return;
    }
    if (field.type() != FieldDescriptor::TYPE_MESSAGE) return;
    UnknownFieldSet inner;
    if (!inner.ParseFromString(bytes)) return;
    if (field.is_map()) {
      SearchMapEntry(inner, *field.message_type(), path, depth);
      return;
    }
    std::string here = NameInJson(field) ? Join(path, field.name()) : path;
    if (field.is_repeated()) absl::StrAppend(&here, "[", index, "]");
    Search(inner, *field.message_type(), here, depth + 1);
  }

  void SearchMapEntry(const UnknownFieldSet& entry,
                      const Descriptor& descriptor, const std::string& path,
                      int depth) {
    std::string key;
    for (int i = 0; i < entry.field_count(); ++i) {
      const UnknownField& field = entry.field(i);
      if (field.number() == 1 &&
          field.type() == UnknownField::TYPE_LENGTH_DELIMITED) {
        key = field.length_delimited();
      }
    }
    const std::string here = Join(path, PrintableKey(key));
    if (!CountUtf16Units(key).has_value()) Add(here);
    for (int i = 0; i < entry.field_count(); ++i) {
      const UnknownField& field = entry.field(i);
      if (field.number() != 2 ||
          field.type() != UnknownField::TYPE_LENGTH_DELIMITED) {
        continue;
      }
      UnknownFieldSet value;
      if (!value.ParseFromString(field.length_delimited())) continue;
      Search(value, *descriptor.FindFieldByNumber(2)->message_type(), here,
             depth + 1);
    }
  }

  // Struct, Value and ListValue represent JSON: a caller does not know the
  // names of their fields, which are therefore not part of a path.
  static bool NameInJson(const FieldDescriptor& field) {
    return field.containing_type()->file() !=
           google::protobuf::Struct::descriptor()->file();
  }

  static std::string Join(const std::string& path, const std::string& name) {
    return path.empty() ? name : absl::StrCat(path, ".", name);
  }

  bool full() const { return findings_.size() >= max_findings_; }

  void Add(const std::string& path) {
    if (full()) return;
    findings_.push_back({.field = path,
                         .reason = std::string(reason::kInvalidUtf8),
                         .description = "must be valid UTF-8, and is not"});
  }

  const size_t max_findings_;
  std::vector<Finding> findings_;
};

std::vector<Finding> Diagnose(absl::string_view bytes,
                              const Descriptor& descriptor,
                              size_t max_findings) {
  UnknownFieldSet fields;
  Utf8Search search(max_findings);
  if (fields.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) {
    search.Search(fields, descriptor, "", 0);
  }
  std::vector<Finding> findings = search.Take();
  if (findings.empty()) {
    findings.push_back({.field = "",
                        .reason = "MALFORMED_MESSAGE",
                        .description = absl::StrCat("these bytes are not a ",
                                                    descriptor.full_name())});
  }
  return findings;
}

ReceivedMessage::FieldCounts CountIn(
    google::protobuf::io::ZeroCopyInputStream& bytes, size_t size, int number,
    size_t max) {
  // A tag, and a length or a value.
  constexpr size_t kMinFieldBytes = 2;
  google::protobuf::io::CodedInputStream input(&bytes);
  ReceivedMessage::FieldCounts counts;
  using google::protobuf::internal::WireFormatLite;
  while (true) {
    const size_t left = size - static_cast<size_t>(input.CurrentPosition());
    if (std::max(counts.of_number, counts.others) + left / kMinFieldBytes <=
        max) {
      break;
    }
    const uint32_t tag = input.ReadTag();
    if (tag == 0) break;
    const bool counted = WireFormatLite::GetTagFieldNumber(tag) == number &&
                         WireFormatLite::GetTagWireType(tag) ==
                             WireFormatLite::WIRETYPE_LENGTH_DELIMITED;
    ++(counted ? counts.of_number : counts.others);
    if (!WireFormatLite::SkipField(&input, tag)) break;
  }
  return counts;
}

Finding TooManyItems(absl::string_view field, size_t count) {
  return {
      .field = std::string(field),
      .reason = "TOO_MANY_ITEMS",
      .description = absl::StrCat("one message may carry ", kMaxItemsPerMessage,
                                  " items, and this one has ", count)};
}

Finding TooManyFields(size_t count) {
  return {.field = "",
          .reason = "TOO_MANY_FIELDS",
          .description = absl::StrCat(
              "one message may have ", kMaxOtherFields,
              " fields besides its items, and this one has ", count)};
}

// The compression of a message that gRPC handed over as it came. Its C++ API
// does not show it, but the reader's core does.
class MessageReader final : public grpc::ProtoBufferReader {
 public:
  // The reader takes a non-const pointer but only reads.
  explicit MessageReader(const grpc::ByteBuffer& bytes)
      : ProtoBufferReader(const_cast<grpc::ByteBuffer*>(&bytes)) {}

  grpc_compression_algorithm compression() {
    return status().ok() ? reader()->buffer_in->data.raw.compression
                         : GRPC_COMPRESS_NONE;
  }
};

CallError TooLarge(size_t max_bytes) {
  return {.code = grpc::StatusCode::RESOURCE_EXHAUSTED,
          .reason = "MESSAGE_TOO_LARGE",
          .message = absl::StrCat("the message is larger than the maximum of ",
                                  max_bytes, " bytes once it is inflated"),
          .violations = {}};
}

CallError NotInflated(const absl::Status& status, size_t max_bytes) {
  if (absl::IsResourceExhausted(status)) return TooLarge(max_bytes);
  return InvalidRequest({{.field = "",
                          .reason = "MALFORMED_MESSAGE",
                          .description = std::string(status.message())}});
}

}  // namespace

std::vector<Finding> DiagnoseWireMessage(absl::string_view bytes,
                                         const Descriptor& descriptor) {
  return Diagnose(bytes, descriptor, kMaxWireFindings);
}

std::variant<ReceivedMessage, CallError> ReceivedMessage::Open(
    const grpc::ByteBuffer& bytes, size_t max_bytes) {
  MessageReader reader(bytes);
  auto compression = Compression::kGzip;
  switch (reader.compression()) {
    case GRPC_COMPRESS_GZIP:
      break;
    case GRPC_COMPRESS_DEFLATE:
      compression = Compression::kDeflate;
      break;
    default:
      return ReceivedMessage(bytes);
  }
  auto inflated = Inflate(reader, compression, max_bytes);
  if (!inflated.ok()) return NotInflated(inflated.status(), max_bytes);
  return ReceivedMessage(*std::move(inflated));
}

size_t ReceivedMessage::size() const {
  return bytes_ == nullptr ? inflated_.size() : bytes_->Length();
}

bool ReceivedMessage::ParseTo(google::protobuf::Message* message) const {
  if (bytes_ == nullptr) return message->ParseFromString(inflated_);
  MessageReader reader(*bytes_);
  return reader.status().ok() && message->ParseFromZeroCopyStream(&reader);
}

ReceivedMessage::FieldCounts ReceivedMessage::CountFields(int number,
                                                          size_t max) const {
  if (bytes_ == nullptr) {
    google::protobuf::io::ArrayInputStream reader(
        inflated_.data(), static_cast<int>(inflated_.size()));
    return CountIn(reader, size(), number, max);
  }
  MessageReader reader(*bytes_);
  if (!reader.status().ok()) return {};
  return CountIn(reader, size(), number, max);
}

std::string ReceivedMessage::Flatten() const {
  if (bytes_ == nullptr) return inflated_;
  std::string flat;
  std::vector<grpc::Slice> slices;
  if (bytes_->Dump(&slices).ok()) {
    for (const grpc::Slice& slice : slices) {
      flat.append(reinterpret_cast<const char*>(slice.begin()), slice.size());
    }
  }
  return flat;
}

std::vector<Finding> ParseWireMessage(const ReceivedMessage& bytes,
                                      google::protobuf::Message* message) {
  if (bytes.ParseTo(message)) return {};
  return DiagnoseWireMessage(bytes.Flatten(), *message->GetDescriptor());
}

std::optional<CallError> ReadRequest(const grpc::ByteBuffer& bytes,
                                     size_t max_bytes,
                                     google::protobuf::Message* request) {
  auto message = ReceivedMessage::Open(bytes, max_bytes);
  if (auto* refusal = std::get_if<CallError>(&message)) {
    return std::move(*refusal);
  }
  std::vector<Finding> violations =
      ParseWireMessage(std::get<ReceivedMessage>(message), request);
  if (violations.empty()) return std::nullopt;
  return InvalidRequest(std::move(violations));
}

std::vector<Finding> ParseWireMessage(const ReceivedMessage& bytes,
                                      google::protobuf::Message* message,
                                      absl::string_view items,
                                      DamagedItems& damaged) {
  const Descriptor& descriptor = *message->GetDescriptor();
  const FieldDescriptor& field =
      *descriptor.FindFieldByName(std::string(items.data(), items.size()));
  const auto [count, others] = bytes.CountFields(
      field.number(), std::min(kMaxItemsPerMessage, kMaxOtherFields));
  if (count > kMaxItemsPerMessage) return {TooManyItems(items, count)};
  if (others > kMaxOtherFields) return {TooManyFields(others)};
  if (bytes.ParseTo(message)) return {};
  const std::string flat = bytes.Flatten();
  UnknownFieldSet fields;
  if (!fields.ParseFromString(flat)) {
    return DiagnoseWireMessage(flat, descriptor);
  }
  // The message without the items must be valid.
  UnknownFieldSet rest;
  std::vector<const std::string*> texts;
  for (int i = 0; i < fields.field_count(); ++i) {
    const UnknownField& each = fields.field(i);
    if (each.number() == field.number() &&
        each.type() == UnknownField::TYPE_LENGTH_DELIMITED) {
      texts.push_back(&each.length_delimited());
    } else {
      rest.AddField(each);
    }
  }
  std::string text;
  rest.SerializeToString(&text);
  if (!message->ParseFromString(text)) {
    return DiagnoseWireMessage(text, descriptor);
  }
  size_t found = 0;
  for (size_t i = 0; i < texts.size(); ++i) {
    google::protobuf::Message* item =
        message->GetReflection()->AddMessage(message, &field);
    if (item->ParseFromString(*texts[i])) continue;
    item->Clear();
    std::vector<Finding> findings =
        Diagnose(*texts[i], *field.message_type(),
                 found < kMaxItemFindings ? kMaxWireFindings : 1);
    found += findings.size();
    damaged.emplace(static_cast<int>(i), std::move(findings));
  }
  return {};
}

grpc::ByteBuffer ToByteBuffer(const google::protobuf::Message& message,
                              const std::string& more_fields) {
  std::string text;
  message.SerializeToString(&text);
  const grpc::Slice slices[] = {grpc::Slice(text), grpc::Slice(more_fields)};
  return grpc::ByteBuffer(slices, more_fields.empty() ? 1 : 2);
}

}  // namespace heapsync

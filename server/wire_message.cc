#include "server/wire_message.h"

#include <google/protobuf/descriptor.h>
#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/struct.pb.h>
#include <google/protobuf/unknown_field_set.h>
#include <google/protobuf/wire_format_lite.h>
#include <grpcpp/support/proto_buffer_reader.h>

#include <string>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/str_cat.h"
#include "heap_adapter/encoding/json_text.h"
#include "heap_adapter/encoding/reasons.h"

namespace heapsync {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::UnknownField;
using google::protobuf::UnknownFieldSet;

constexpr size_t kMostFindings = 100;
constexpr int kDeepest = 100;

// Goes through a message by its bytes and descriptor, looking for strings that
// are not UTF-8.
class Utf8Search {
 public:
  void Search(const UnknownFieldSet& fields, const Descriptor& descriptor,
              const std::string& path, int depth) {
    if (depth > kDeepest) return;
    absl::flat_hash_map<int, int> repeats;
    for (int i = 0; i < fields.field_count(); ++i) {
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

  // Struct, Value and ListValue are JSON: their own field names are not part of
  // a path that a caller would know.
  static bool NameInJson(const FieldDescriptor& field) {
    return field.containing_type()->file() !=
           google::protobuf::Struct::descriptor()->file();
  }

  static std::string Join(const std::string& path, const std::string& name) {
    return path.empty() ? name : absl::StrCat(path, ".", name);
  }

  void Add(const std::string& path) {
    if (findings_.size() >= kMostFindings) return;
    findings_.push_back({.field = path,
                         .reason = std::string(reason::kInvalidUtf8),
                         .description = "must be valid UTF-8, and is not"});
  }

  std::vector<Finding> findings_;
};

}  // namespace

std::vector<Finding> DiagnoseWireMessage(absl::string_view bytes,
                                         const Descriptor& descriptor) {
  UnknownFieldSet fields;
  Utf8Search search;
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

std::vector<Finding> ParseWireMessage(const grpc::ByteBuffer& bytes,
                                      google::protobuf::Message* message) {
  // The reader takes a pointer to what it only reads.
  auto* buffer = const_cast<grpc::ByteBuffer*>(&bytes);
  {
    grpc::ProtoBufferReader reader(buffer);
    if (reader.status().ok() && message->ParseFromZeroCopyStream(&reader)) {
      return {};
    }
  }
  std::string flat;
  std::vector<grpc::Slice> slices;
  if (buffer->Dump(&slices).ok()) {
    for (const grpc::Slice& slice : slices) {
      flat.append(reinterpret_cast<const char*>(slice.begin()), slice.size());
    }
  }
  return DiagnoseWireMessage(flat, *message->GetDescriptor());
}

grpc::ByteBuffer ToByteBuffer(const google::protobuf::Message& message) {
  std::string text;
  message.SerializeToString(&text);
  const grpc::Slice slice(text);
  return grpc::ByteBuffer(&slice, 1);
}

}  // namespace heapsync

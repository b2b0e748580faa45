#include "client/cli/mapped_row.h"

#include <algorithm>

#include "heap_adapter/encoding/chunk_encoder.h"

namespace heapsync {

using google::protobuf::Descriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::Message;

bool MappedRow::Has(const std::string& field) const {
  const FieldDescriptor* found = item->GetDescriptor()->FindFieldByName(field);
  return found != nullptr && item->GetReflection()->HasField(*item, found);
}

std::unique_ptr<Message> NewItem(ObjectType type) {
  return WithItem(type, [](auto item) -> std::unique_ptr<Message> {
    return std::make_unique<decltype(item)>();
  });
}

std::vector<const FieldDescriptor*> FieldsOf(const Descriptor& item) {
  std::vector<const FieldDescriptor*> fields;
  for (int i = 0; i < item.field_count(); ++i) fields.push_back(item.field(i));
  std::stable_partition(fields.begin(), fields.end(), [](const auto* field) {
    return field->name() != "properties";
  });
  return fields;
}

std::vector<std::string> MissingFields(
    ObjectType type, absl::FunctionRef<bool(const std::string&)> filled) {
  std::vector<std::string> missing;
  const std::string subject(PolicyOf(type).subject_field);
  const bool is_event = type == ObjectType::kTrackEvent;
  if (!filled(subject) && !(is_event && filled("user_id"))) {
    missing.push_back(subject);
  }
  if (is_event && !filled("event")) missing.emplace_back("event");
  return missing;
}

}  // namespace heapsync

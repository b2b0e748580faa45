#include "tests/fake_heap/object_reader.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace heapsync::fake_heap {
namespace {

const nlohmann::json& EmptyObject() {
  static const nlohmann::json* const empty =
      new nlohmann::json(nlohmann::json::object());
  return *empty;
}

}  // namespace

ObjectReader::ObjectReader(const nlohmann::json& object, std::string path,
                           std::vector<std::string>& faults)
    : object_(object.is_object() ? object : EmptyObject()),
      path_(std::move(path)),
      faults_(faults) {
  if (!object.is_object()) {
    faults_.push_back(absl::StrCat(path_.empty() ? "the script" : path_,
                                   ": is not an object"));
  }
}

std::string ObjectReader::PathOf(absl::string_view key) const {
  return path_.empty() ? std::string(key) : absl::StrCat(path_, ".", key);
}

void ObjectReader::Note(absl::string_view key, absl::string_view fault) {
  faults_.push_back(absl::StrCat(PathOf(key), ": ", fault));
}

const nlohmann::json* ObjectReader::Any(const char* key) {
  asked_.insert(key);
  const auto found = object_.find(key);
  return found == object_.end() ? nullptr : &*found;
}

std::optional<uint64_t> ObjectReader::Whole(const char* key, uint64_t least,
                                            uint64_t most) {
  const nlohmann::json* const value = Any(key);
  if (value == nullptr) return std::nullopt;
  if (!value->is_number_unsigned() || value->get<uint64_t>() < least ||
      value->get<uint64_t>() > most) {
    Note(key, absl::StrCat(value->dump(), " is not a whole number in [", least,
                           ", ", most, "]"));
    return std::nullopt;
  }
  return value->get<uint64_t>();
}

std::optional<double> ObjectReader::Number(const char* key, double least,
                                           double most) {
  const nlohmann::json* const value = Any(key);
  if (value == nullptr) return std::nullopt;
  if (!value->is_number() || value->get<double>() < least ||
      value->get<double>() > most) {
    Note(key, absl::StrCat(value->dump(), " is not a number in [", least, ", ",
                           most, "]"));
    return std::nullopt;
  }
  return value->get<double>();
}

std::optional<std::string> ObjectReader::Text(const char* key) {
  const nlohmann::json* const value = Any(key);
  if (value == nullptr) return std::nullopt;
  if (!value->is_string()) {
    Note(key, "is not a string");
    return std::nullopt;
  }
  return value->get<std::string>();
}

std::optional<bool> ObjectReader::Truth(const char* key) {
  const nlohmann::json* const value = Any(key);
  if (value == nullptr) return std::nullopt;
  if (!value->is_boolean()) {
    Note(key, "is neither true nor false");
    return std::nullopt;
  }
  return value->get<bool>();
}

std::optional<std::string> ObjectReader::OneOf(
    const char* key, const std::vector<std::string>& choices) {
  auto text = Text(key);
  if (text &&
      std::find(choices.begin(), choices.end(), *text) == choices.end()) {
    Note(key, absl::StrCat("\"", *text, "\" is none of ",
                           absl::StrJoin(choices, ", ")));
    return std::nullopt;
  }
  return text;
}

void ObjectReader::NoteUnknown() {
  for (const auto& [key, value] : object_.items()) {
    if (!asked_.contains(key)) Note(key, "is not known here");
  }
}

}  // namespace heapsync::fake_heap

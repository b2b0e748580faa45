#include "tests/fake_heap/post_body.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "tests/fake_heap/item_schema.h"
#include "tests/fake_heap/json_slices.h"

namespace heapsync::fake_heap {
namespace {

using nlohmann::json;

constexpr absl::string_view kNoJson = "Unexpected token in JSON";

json Parse(absl::string_view text) {
  return json::parse(text.begin(), text.end(), nullptr,
                     /*allow_exceptions=*/false);
}

std::string StringAt(const json& item, const char* key) {
  const auto found = item.find(key);
  if (found == item.end() || !found->is_string()) return "";
  return found->get<std::string>();
}

std::string IdentityOf(ObjectType type, const json& item) {
  if (type == ObjectType::kAccountProperties) {
    return StringAt(item, "account_id");
  }
  std::string identity = StringAt(item, "identity");
  if (identity.empty() && type == ObjectType::kTrackEvent) {
    const std::string user_id = StringAt(item, "user_id");
    if (!user_id.empty()) identity = absl::StrCat("user_id:", user_id);
  }
  return identity;
}

const JsonMember* Find(const std::vector<JsonMember>& members,
                       absl::string_view key) {
  // The last value of a repeated key counts, as in JavaScript.
  const auto found =
      std::find_if(members.rbegin(), members.rend(),
                   [&](const JsonMember& member) { return member.key == key; });
  return found == members.rend() ? nullptr : &*found;
}

bool IsSingle(ObjectType type, const std::vector<JsonMember>& members) {
  switch (type) {
    case ObjectType::kTrackEvent:
      return Find(members, "event") || Find(members, "identity") ||
             Find(members, "user_id");
    case ObjectType::kUserProperties:
      return Find(members, "identity");
    case ObjectType::kAccountProperties:
      return Find(members, "account_id");
  }
  return false;
}

class Reader {
 public:
  Reader(ObjectType type, ReadDepth depth) : type_(type), depth_(depth) {}

  PostBody Read(absl::string_view body) {
    const auto members = SliceObject(body);
    if (!members.ok()) {
      Fail(kNoJson);
      return std::move(post_);
    }
    const absl::string_view array_key = HeapArrayKey(type_);
    const JsonMember* const array = Find(*members, array_key);
    if (array == nullptr && IsSingle(type_, *members)) {
      post_.form = PostBody::Form::kSingle;
    }
    ReadAppId(Find(*members, "app_id"));
    if (array != nullptr) {
      ReadArray(array->value);
    } else if (post_.form == PostBody::Form::kSingle) {
      // Heap names the item of a single request "events[0]" as well.
      ReadItems({body});
    } else {
      Fail(absl::StrCat("postBody should have required property '", array_key,
                        "'"));
    }
    return std::move(post_);
  }

 private:
  void Fail(absl::string_view fault) {
    if (!post_.fault) post_.fault = std::string(fault);
  }

  void ReadAppId(const JsonMember* member) {
    if (member == nullptr) {
      Fail("postBody should have required property 'app_id'");
      return;
    }
    const json app_id = Parse(member->value);
    if (app_id.is_discarded()) {
      Fail(kNoJson);
    } else if (const auto fault = AppIdFault(app_id)) {
      Fail(*fault);
    } else {
      post_.app_id = app_id.get<std::string>();
    }
  }

  void ReadArray(absl::string_view text) {
    const std::string path = absl::StrCat("postBody.", HeapArrayKey(type_));
    if (text.front() != '[') {
      Fail(absl::StrCat(path, " should be array"));
      return;
    }
    const auto items = SliceArray(text);
    if (!items.ok()) {
      Fail(kNoJson);
      return;
    }
    if (items->size() > kMaxItems) {
      Fail(absl::StrCat(path, " should NOT have more than ", kMaxItems,
                        " items"));
    } else if (items->empty()) {
      Fail(absl::StrCat(path, " should NOT have fewer than 1 items"));
    }
    ReadItems(*items);
  }

  void ReadItems(const std::vector<absl::string_view>& texts) {
    post_.items.resize(texts.size());
    for (size_t i = 0; i < texts.size(); ++i) {
      post_.items[i].text = texts[i];
      if (depth_ == ReadDepth::kFull) ReadItem(i);
    }
  }

  void ReadItem(size_t index) {
    PostItem& item = post_.items[index];
    const json value = Parse(item.text);
    if (value.is_discarded()) {
      // Text that is not JSON is rejected before the schema is checked.
      post_.fault = std::string(kNoJson);
      return;
    }
    if (!post_.fault) {
      const auto fault = ItemFault(
          type_,
          absl::StrCat("postBody.", HeapArrayKey(type_), "[", index, "]"),
          value);
      if (fault) Fail(*fault);
    }
    if (!value.is_object()) return;
    item.identity = IdentityOf(type_, value);
    if (type_ == ObjectType::kTrackEvent) {
      item.idempotency_key = StringAt(value, "idempotency_key");
      return;
    }
    const auto properties = value.find("properties");
    if (properties == value.end() || !properties->is_object()) return;
    for (const auto& [key, property] : properties->items()) {
      item.properties.emplace_back(key, property.dump());
    }
  }

  const ObjectType type_;
  const ReadDepth depth_;
  PostBody post_;
};

}  // namespace

PostBody ReadPostBody(ObjectType type, absl::string_view body,
                      ReadDepth depth) {
  return Reader(type, depth).Read(body);
}

}  // namespace heapsync::fake_heap

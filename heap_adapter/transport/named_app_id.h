#ifndef HEAPSYNC_HEAP_ADAPTER_TRANSPORT_NAMED_APP_ID_H_
#define HEAPSYNC_HEAP_ADAPTER_TRANSPORT_NAMED_APP_ID_H_

#include "absl/strings/string_view.h"

namespace heapsync {

// True if the text of a 400 blames the App ID, which all requests of a
// destination have in common: `postBody.app_id should be number`, `postBody
// should have required property 'app_id'`, `{"error":"invalid app_id"}`.
//
// The text may quote what an item contains, and a person could name an event
// "app_id". So only a text counts that begins with the blame: nothing but words
// of a complaint may stand before the name. Pure.
bool NamesAppId(absl::string_view text);

}  // namespace heapsync

#endif  // HEAPSYNC_HEAP_ADAPTER_TRANSPORT_NAMED_APP_ID_H_

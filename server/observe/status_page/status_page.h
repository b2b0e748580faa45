#ifndef HEAPSYNC_SERVER_STATUS_PAGE_STATUS_PAGE_H_
#define HEAPSYNC_SERVER_STATUS_PAGE_STATUS_PAGE_H_

#include "absl/strings/string_view.h"

namespace heapsync {

// The text of status_page.html, with its style in the only <style> element and
// its script in the only <script> element.
extern const absl::string_view kStatusPage;

}  // namespace heapsync

#endif  // HEAPSYNC_SERVER_STATUS_PAGE_STATUS_PAGE_H_

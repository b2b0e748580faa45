#ifndef HEAPSYNC_SERVER_STATUS_PAGE_STATUS_PAGE_H_
#define HEAPSYNC_SERVER_STATUS_PAGE_STATUS_PAGE_H_

#include "absl/strings/string_view.h"

namespace heapsync {

// The text of status_page.html, with one <style> and one <script> element.
extern const absl::string_view kStatusPage;

}  // namespace heapsync

#endif  // HEAPSYNC_SERVER_STATUS_PAGE_STATUS_PAGE_H_

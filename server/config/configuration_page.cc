#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "heap_adapter/config/config.h"
#include "server/config/settings.h"

namespace heapsync {
namespace {

constexpr char kIntroduction[] = R"(# Configuration

<!-- Generated from the tables of settings; scripts/update_configuration_page.sh writes it. -->

Every setting can be given as a flag or as an environment variable: `HEAPSYNC_` and the flag's name in capitals. Flags named after a
destination's key replace that key of every destination. A flag wins over the environment, which wins over the file of `--config`, which
wins over the default. A bad configuration stops the start with every fault listed. One destination needs no file: `--app_id` and
`--region` are enough, and it is called `default`.

A variable whose name is nearly that of a setting, as `HEAPSYNC_REGOIN` or `HEAPSYNC_APP_ID_FILE`, is a fault, too. Other variables that begin
so are ignored, and the log names them, except those that Kubernetes makes for a service called `heapsync` (`HEAPSYNC_PORT=tcp://…`).

The column *reload* tells whether a change counts [without a restart](security.md#reloading): `yes`; `contents`, where the contents of the
file are reloaded but not whether there is one; `restart`, where the server logs that the setting needs a restart.
)";

constexpr char kFile[] = R"(
## The file of --config

JSON; comments are allowed. Unknown and repeated keys are faults. `default_destination` names the destination of calls that name none;
with a single destination it may be left out.

```jsonc
{
  "destinations": [
    {"name": "prod", "app_id": "1234567890", "region": "us"},
    // Half of the limits: another sender uses the same App ID.
    {"name": "shop-eu", "app_id": "987654321", "region": "eu", "limit_share": 0.5,
     "batch": {"max_items": 500, "max_wait": "2s"}, "max_queued_mib": 2048}
  ],
  "default_destination": "prod"
}
```

| key of a destination | default | values | meaning |
|---|---|---|---|
)";

std::string Code(const std::string& text) {
  return text.empty() ? "" : absl::StrCat("`", text, "`");
}

std::string Reload(OnReload on_reload) {
  switch (on_reload) {
    case OnReload::kApplied:
      return "yes";
    case OnReload::kContentsApplied:
      return "contents";
    case OnReload::kNeedsRestart:
      return "restart";
  }
  return "";
}

}  // namespace

std::string ConfigurationPage() {
  std::string page = kIntroduction;
  const ServerConfig defaults;
  std::string group;
  for (const Setting& setting : Settings()) {
    if (setting.group != group) {
      group = setting.group;
      absl::StrAppend(&page, "\n## ", group,
                      "\n\n| flag | default | values | reload | meaning |\n"
                      "|---|---|---|---|---|\n");
    }
    absl::StrAppend(&page, "| `--", setting.name, "` | ",
                    Code(setting.text(defaults)), " | ", setting.values, " | ",
                    Reload(setting.on_reload), " | ", setting.meaning, " |\n");
  }
  absl::StrAppend(&page, kFile);
  for (const DestinationKeyText& key : DescribeDestinationKeys()) {
    absl::StrAppend(&page, "| `", key.path, "` | ", Code(key.default_value),
                    " | ", key.values, " | ", key.meaning, " |\n");
  }
  return page;
}

}  // namespace heapsync

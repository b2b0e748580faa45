#include "heap_adapter/spool/postgres/spool_uri.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace heapsync {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

TEST(SpoolUriTest, TakesWhatLibpqTakes) {
  for (const char* uri :
       {"postgresql://db/heapsync", "postgres://user@db:5433/heapsync",
        "postgresql://a,b:5433/heapsync?target_session_attrs=read-write",
        "postgresql://user@db/heapsync?sslmode=verify-full&passfile=/run/pass",
        "postgresql://?service=heapsync"}) {
    EXPECT_TRUE(CheckSpoolUri(uri).ok()) << uri;
  }
}

TEST(SpoolUriTest, RefusesWhatIsNone) {
  for (const char* uri :
       {"", "db", "host=db dbname=heapsync", "mysql://db/heapsync",
        "postgresql://db/heapsync?no_such_option=1"}) {
    EXPECT_EQ(CheckSpoolUri(uri).code(), absl::StatusCode::kInvalidArgument)
        << uri;
  }
}

TEST(SpoolUriTest, RefusesAPasswordAndDoesNotRepeatIt) {
  for (const char* uri : {"postgresql://user:s3cret@db/heapsync",
                          "postgresql://user@db/heapsync?password=s3cret",
                          "postgresql://user@db/heapsync?sslpassword=s3cret"}) {
    const absl::Status checked = CheckSpoolUri(uri);
    EXPECT_EQ(checked.code(), absl::StatusCode::kInvalidArgument) << uri;
    EXPECT_THAT(std::string(checked.message()), Not(HasSubstr("s3cret")));
  }
}

TEST(SpoolUriTest, NamesThePlaceForPeople) {
  EXPECT_EQ(SpoolPlace("postgresql://user@a,b:5433/heapsync"),
            "a,b:,5433/heapsync");
  EXPECT_EQ(SpoolPlace("postgresql://user@db/heapsync?sslmode=require"),
            "db:5432/heapsync");
  EXPECT_EQ(SpoolPlace("postgresql://?service=prod"), "service prod");
}

}  // namespace
}  // namespace heapsync

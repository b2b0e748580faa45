#include "client/cli/row_ledger.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace heapsync {
namespace {

std::vector<uint64_t> RowsOf(const std::vector<RejectedRow>& rejected) {
  std::vector<uint64_t> rows;
  for (const RejectedRow& row : rejected) rows.push_back(row.row);
  return rows;
}

TEST(RowLedgerTest, RowsSettleInOrder) {
  RowLedger ledger(0, 0);
  ledger.AddItem(2, "a");
  ledger.AddRejected(3, "b", {{"", "X", ""}});
  ledger.AddItem(4, "c");
  EXPECT_TRUE(ledger.Settle(0).empty());
  EXPECT_EQ(ledger.rows_done(), 0u);
  EXPECT_EQ(RowsOf(ledger.Settle(1)), std::vector<uint64_t>{2});
  EXPECT_EQ(ledger.rows_done(), 2u);
  EXPECT_EQ(ledger.settled_index(), 1u);
  EXPECT_TRUE(ledger.Settle(2).empty());
  EXPECT_EQ(ledger.rows_done(), 3u);
  EXPECT_EQ(ledger.settled_index(), 2u);
  EXPECT_EQ(ledger.held_bytes(), 0u);
}

TEST(RowLedgerTest, TheServersRefusalFindsItsRowAmongRefusedOnes) {
  RowLedger ledger(0, 0);
  ledger.AddRejected(1, "a", {{"", "X", ""}});
  ledger.AddItem(2, "b");
  ledger.AddRejected(3, "c", {{"", "X", ""}});
  ledger.AddRejected(4, "d", {{"", "X", ""}});
  ledger.AddItem(5, "e");
  ledger.RejectItem(1, {{"f", "Y", "d"}});
  const std::vector<RejectedRow> rejected = ledger.Settle(2);
  EXPECT_EQ(RowsOf(rejected), (std::vector<uint64_t>{1, 3, 4, 5}));
  EXPECT_EQ(rejected[3].violations, (std::vector<Violation>{{"f", "Y", "d"}}));
  EXPECT_EQ(rejected[3].raw, "e");
  EXPECT_EQ(rejected[3].line, 5u);
}

TEST(RowLedgerTest, FindsTheRowOfAnItem) {
  RowLedger ledger(10, 5);
  ledger.AddRejected(1, "a", {});
  ledger.AddItem(2, "b");
  ledger.AddRejected(3, "c", {});
  ledger.AddItem(4, "d");
  EXPECT_EQ(ledger.RowOf(4), 0u);
  EXPECT_EQ(ledger.RowOf(5), 12u);
  EXPECT_EQ(ledger.RowOf(6), 14u);
  EXPECT_EQ(ledger.RowOf(7), 0u);
  ledger.Settle(6);
  EXPECT_EQ(ledger.RowOf(5), 0u);
  EXPECT_EQ(ledger.RowOf(6), 14u);
}

TEST(RowLedgerTest, UnknownIndicesAreIgnored) {
  RowLedger ledger(0, 5);
  ledger.AddItem(1, "a");
  ledger.RejectItem(4, {});
  ledger.RejectItem(6, {});
  EXPECT_TRUE(ledger.Settle(6).empty());
}

TEST(RowLedgerTest, GoesOnBehindWhatIsSettled) {
  RowLedger ledger(10, 8);
  ledger.AddRejected(12, "a", {{"", "X", ""}});
  ledger.AddItem(13, "b");
  EXPECT_EQ(RowsOf(ledger.Settle(8)), std::vector<uint64_t>{11});
  EXPECT_EQ(ledger.settled_index(), 8u);
  EXPECT_EQ(ledger.next_index(), 9u);
}

}  // namespace
}  // namespace heapsync

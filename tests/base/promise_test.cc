#include "base/promise.h"

#include <chrono>
#include <memory>
#include <optional>
#include <thread>
#include <utility>

#include "gtest/gtest.h"

namespace heapsync {
namespace {

TEST(PromiseTest, TheWaitEndsWithTheValueThatAnotherThreadSets) {
  Promise<int> promise;
  Future<int> future = promise.future();
  std::thread other(
      [promise = std::move(promise)]() mutable { promise.Set(7); });
  EXPECT_EQ(future.Wait(), 7);
  other.join();
}

TEST(PromiseTest, AValueThatWasSetBeforeTheWaitIsThere) {
  Promise<int> promise;
  Future<int> future = promise.future();
  promise.Set(7);
  EXPECT_EQ(future.WaitFor(std::chrono::seconds(0)), 7);
}

TEST(PromiseTest, DestroyingThePromiseEndsTheWaitWithNothing) {
  std::optional<Promise<int>> promise(std::in_place);
  Future<int> future = promise->future();
  std::thread other([&promise] { promise.reset(); });
  EXPECT_EQ(future.Wait(), std::nullopt);
  other.join();
}

TEST(PromiseTest, AWaitWithATimeoutMayBeRepeated) {
  Promise<int> promise;
  Future<int> future = promise.future();
  EXPECT_EQ(future.WaitFor(std::chrono::milliseconds(1)), std::nullopt);
  promise.Set(7);
  EXPECT_EQ(future.WaitFor(std::chrono::minutes(1)), 7);
}

TEST(PromiseTest, TheValueIsTakenOnce) {
  Promise<std::unique_ptr<int>> promise;
  Future<std::unique_ptr<int>> future = promise.future();
  promise.Set(std::make_unique<int>(7));
  EXPECT_EQ(**future.Wait(), 7);
  EXPECT_EQ(future.Wait(), std::nullopt);
}

TEST(PromiseDeathTest, SettingASecondValueAborts) {
  Promise<int> promise;
  promise.Set(1);
  EXPECT_DEATH(promise.Set(2), "kept already");
}

}  // namespace
}  // namespace heapsync

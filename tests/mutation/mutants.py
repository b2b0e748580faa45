"""Promises of the README, broken one at a time, and the test that must notice.

A mutant replaces `old`, which stands exactly once in `file`, by `new`. `program` is the test program that is built, `tests` the
GoogleTest filter that is run; a program that begins with "e2e." is one of ctest's names instead.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Mutant:
    name: str
    file: str
    old: str
    new: str
    program: str
    tests: str


ENGINE = "heap_adapter/engine/"
MUTANTS = [
    # What is acknowledged survives.
    Mutant("the sync before the answer is skipped", ENGINE + "committer.cc",
           ".appends.empty()) change.RequireDisk();", ".appends.empty()) change.empty();",
           "engine_test", "CommitterTest.AnswersManyCallersWithOneSync:CommitterTest.AnswersNobodyBeforeTheSync"),
    Mutant("RocksDB is not asked to sync", "heap_adapter/spool/rocksdb_store.cc",
           "options.sync = durability == Durability::kDisk;", "options.sync = false && durability == Durability::kDisk;",
           "storage_matrix_test", "StorageMatrixTest.*"),
    Mutant("it writes on after a failed write", ENGINE + "committer.cc",
           "healthy_.store(false, std::memory_order_release);", "",
           "engine_test", "CommitterTest.TellsEveryCallerOfAFailedWriteAndNeverWritesAgain"),
    Mutant("a full disk is final", ENGINE + "committer.cc",
           "if (absl::IsResourceExhausted(written)) {", "if (false) {",
           "storage_matrix_test", "StorageMatrixTest.AFullDisk*"),
    Mutant("refused items leave a gap on a full disk", ENGINE + "committer.cc",
           "    tail.next = appended[i].items.begin;\n", "    tail.next = appended[i].items.end;\n",
           "engine_test", "CommitterTest.*Full*"),
    Mutant("changes that found the disk full are forgotten", ENGINE + "committer.cc",
           "    waiting_change_ = std::move(change);\n", "",
           "engine_test", "CommitterTest.*Full*"),
    Mutant("a sequence is used twice after all blocks are gone", "heap_adapter/spool/spool.cc",
           "extent.head = std::max(extent.head, extent.progress.low_watermark);", "",
           "spool_test", "SpoolTest.NeverReusesSequencesOnceAllBlocksAreDeleted"),
    Mutant("a damaged block is believed", "heap_adapter/spool/block.cc",
           "checksum != XXH3_64bits(head.rest().data(), head.rest().size())", "checksum == 0",
           "spool_test", "BlockTest.TellsEveryFlippedBit"),
    Mutant("a damaged log is taken for the end of a crash", "heap_adapter/spool/rocksdb_repair.cc",
           "if (log->damaged_bytes > 0) {", "if (false) {",
           "storage_matrix_test", "AllFiles/DamageTest.*/log"),
    Mutant("damaged items vanish without a dead letter", ENGINE + "lane_puller.cc",
           ".reason = DeadLetterReason::kDamaged,\n                                           .accepted_at",
           ".reason = DeadLetterReason::kExpired,\n                                           .accepted_at",
           "engine_test", "LaneTest.ADamagedBlockBecomesDeadLettersAndTheLaneGoesOn"),
    # The watermark and its gaps.
    Mutant("the watermark passes gaps", "heap_adapter/spool/records.cc",
           "if (!settled.empty() && settled.front() == low_watermark) {", "if (!settled.empty()) {",
           "spool_test", "LaneProgressTest.*"),
    Mutant("blocks are deleted before their last item is settled", ENGINE + "lane.cc",
           "         read_blocks_.front() < progress_.low_watermark) {", "         read_blocks_.front() < head_) {",
           "engine_test", "LaneTest.*"),
    # Limits.
    Mutant("the limit of an App ID is off by one", "heap_adapter/scheduling/usage_ledger.cc",
           "return in_use_ >= limit ? 0 : limit - static_cast<uint32_t>(in_use_);",
           "return in_use_ > limit ? 0 : limit - static_cast<uint32_t>(in_use_) + 1;",
           "dispatcher_test", "DispatcherTest.AnHourAtTheLimitUsesItAndNeverExceedsIt"),
    Mutant("the limit of an identity is off by one", "heap_adapter/scheduling/usage_ledger.cc",
           ": rules_.per_identity - it->second.in_use;", ": rules_.per_identity - it->second.in_use + 1;",
           "simulation_test", "SimulationTest.InAPeacefulWorldEverythingArrivesWithinTheLimits"),
    Mutant("a slot is freed at the sending, not the answer", ENGINE + "dispatcher.cc",
           "      ledger->End(id, now.monotonic);", "      ledger->End(id, attempt.started.monotonic);",
           "simulation_test", "SimulationTest.AHeapThatFailsInEveryWayLosesAndReordersNothing"),
    Mutant("usage is forgotten at a restart", ENGINE + "dispatcher.cc",
           "    ledger->End(each.id, each.ended);\n", "    ledger->Refund(each.id);\n",
           "dispatcher_test", "DispatcherTest.TheLimitOfAnAppHoldsOverARestart"),
    Mutant("an identity over its limit is not set aside", ENGINE + "lane_puller.cc",
           "  if (Allowance(hash) > 0) return true;\n", "  return true;\n",
           "engine_test", "LaneTest.AnIdentityOverItsLimitIsSetAsideAndOthersPass"),
    Mutant("Retry-After is not heeded", ENGINE + "dispatcher.cc",
           "verdict.retry_after.value_or(backoff)", "backoff",
           "dispatcher_test", "DispatcherTest.RetryAfterOfSevenSecondsWaitsSevenSeconds"),
    # Order of updates.
    Mutant("the older of two merged values wins", ENGINE + "batch.cc",
           "const bool newer = item.seq > items_[index].seq;", "const bool newer = item.seq < items_[index].seq;",
           "engine_test", "BatchBuilderTest.LastUpdateOfAnIdentityWinsKeyByKey"),
    Mutant("an identity is under way twice", ENGINE + "lane_puller.cc",
           "        lane_.under_way_.contains(hash)) {\n      return false;", "        false) {\n      return false;",
           "dispatcher_test", "DispatcherTest.UpdatesOfOneUserAreMergedAndNeverUnderWayTwice"),
    Mutant("an update passes an older one that is set aside", ENGINE + "lane_puller.cc",
           "if (it != lane_.aside_.end() && it->second.items > 0) return false;",
           "if (false && it != lane_.aside_.end()) return false;",
           "simulation_test", "SimulationTest.*"),
    Mutant("a merged request is cut anew after a crash", ENGINE + "dispatcher.cc",
           "restored.Update(lane->second->lane", "if (id == 0) restored.Update(lane->second->lane",
           "dispatcher_test", "DispatcherTest.AMergedRequestIsSentAgainWholeAfterACrash"),
    # Bad items, one at a time.
    Mutant("the first half of a split batch is lost", ENGINE + "dispatcher.cc",
           "    give_back(0, count / 2);\n", "",
           "dispatcher_test", "DispatcherTest.AnUnnamedItemIsFoundWithinTwentyExtraRequests"),
    Mutant("a neighbour of the named item is buried", ENGINE + "dispatcher.cc",
           "std::optional<size_t> culprit = verdict.named_item;",
           "std::optional<size_t> culprit = verdict.named_item;\n  if (culprit.has_value()) culprit = (*culprit + 1) % count;",
           "dispatcher_test", "DispatcherTest.TheItemThatHeapNamesIsBuriedAndItsNeighboursArriveOnce"),
    Mutant("a dead letter lacks Heap's answer", ENGINE + "dispatcher.cc",
           "http->body.substr(0, kLongestAnswer)", "http->body.substr(0, 0 * kLongestAnswer)",
           "dispatcher_test", "DispatcherTest.TheItemThatHeapNamesIsBuriedAndItsNeighboursArriveOnce"),
    Mutant("expired items vanish", ENGINE + "lane_puller.cc",
           "  pull_.change.PutDeadLetter(lane_.id_, letter);\n", "",
           "engine_test", "LaneTest.ItemsThatAreTooOldBecomeDeadLetters"),
    Mutant("413 is taken for a refusal", "heap_adapter/transport/answer_class.cc",
           "return AnswerClass::kOversized;", "return AnswerClass::kInvalid;",
           "transport_test", "AnswerClass.FollowsTheTableForEveryStatus"),
    Mutant("a named item beyond the batch is believed", "heap_adapter/transport/named_item.cc",
           "|| index >= batch_size ||", "|| index >= batch_size + 1'000 ||",
           "transport_test", "NamedItem.IsNoneBeyondTheBatch"),
    # Nobody blocks anybody.
    Mutant("one region takes every slot", ENGINE + "dispatcher.cc",
           "  if (RegionUse(region) >= rules_.most_under_way_per_region) {\n    state.queued = true;", "  if (false) {\n    state.queued = true;",
           "dispatcher_test", "DispatcherTest.ARegionThatHangsDoesNotDelayTheOther"),
    Mutant("an outage gets a storm", ENGINE + "dispatcher.cc",
           "  if (state.failures > 0 && (target.probing || state.under_way > 0)) {", "  if (false) {",
           "dispatcher_test", "DispatcherTest.DuringAnOutageOneProbeGoesOut"),
    Mutant("a wrong set-up is not held", ENGINE + "dispatcher.cc",
           "target.held_until = std::max(target.held_until, now.monotonic + wait);", "",
           "dispatcher_test", "DispatcherTest.AWrongSetUpHoldsTheDestinationAndDropsNothing"),
    Mutant("a pause is ignored", ENGINE + "dispatcher.cc",
           "if (target.paused || state.awaiting > 0) return kNever;", "if (state.awaiting > 0) return kNever;",
           "dispatcher_test", "DispatcherTest.APauseLastsOverARestart"),
    # Where it goes.
    Mutant("the regions' hosts are swapped", "heap_adapter/model/destination.cc",
           "return region == Region::kUs ? \"https://heapanalytics.com\"", "return region == Region::kEu ? \"https://heapanalytics.com\"",
           "server_flags_test", "ServerConfig.NeedsNothingButAnAppId"),
    Mutant("the dispatcher swaps the regions", ENGINE + "dispatcher.cc",
           "region == Region::kUs ? rules_.us_url : rules_.eu_url", "region == Region::kEu ? rules_.us_url : rules_.eu_url",
           "dispatcher_test", "DispatcherTest.EachRegionHasItsHostAndEachTypeItsPath"),
    Mutant("redirects are followed", "heap_adapter/transport/curl_transport.cc",
           "CURLOPT_FOLLOWLOCATION, 0)", "CURLOPT_FOLLOWLOCATION, 1)",
           "transport_test", "CurlTransport.FollowsNoRedirect"),
    Mutant("any certificate will do", "heap_adapter/transport/curl_transport.cc",
           "CURLOPT_SSL_VERIFYPEER, 1)", "CURLOPT_SSL_VERIFYPEER, 0)",
           "transport_test", "CurlTls.*"),
    Mutant("plain http goes anywhere", "heap_adapter/config/url.cc",
           "if (scheme == \"http\" && plaintext ==", "if (false && plaintext ==",
           "config_test", "HeapUrl.MayBePlainHttpElsewhereOnlyWhenAllowed"),
    # What is sent.
    Mutant("1,024 units are taken", "heap_adapter/encoding/property_writer.h",
           "kMaxPropertyUnits = 1'023;", "kMaxPropertyUnits = 1'024;",
           "encoding_test", "PropertyRulesTest.TakesValuesOf1023UnitsAndRefuses1024"),
    Mutant("the deny list is off", "heap_adapter/encoding/chunk_encoder.cc",
           "return identity.size() <= longest_denied_ &&", "return false && identity.size() <= longest_denied_ &&",
           "encoding_test", "ChunkEncoderTest.RefusesDeniedIdentitiesInAnyCasing"),
    Mutant("keys do not follow from the request id", "heap_adapter/encoding/idempotency_key.cc",
           "name_.append(request_id.data(), request_id.size());", "name_.append(request_id.data(), 0);",
           "encoding_test", "IdempotencyKeyTest.*"),
    Mutant("an event without a time gets none", "heap_adapter/encoding/chunk_encoder.cc",
           "    Append(accepted_at_text_.view(), json);\n", "",
           "encoding_test", "ChunkEncoderTest.*:*Golden*"),
    # What callers and operators are told.
    Mutant("receipts of another spool are believed", "server/admin_fields.cc",
           "  if (receipt->spool_id != engine.spool().id()) {", "  if (false) {",
           "admin_test", "AdminTest.ReceiptsThatMeanNothingHereAreRefused"),
    Mutant("a replay loses its key", ENGINE + "dead_letter_admin.cc",
           "          .text = std::move(letter.text)};",
           "          .text = [&] {\n"
           "            letter.text[letter.text.find(\"idempotency_key\") + 18] = '?';\n"
           "            return letter.text;\n"
           "          }()};",
           "admin_test", "DeadLettersTest.AReplayKeepsTheKeyAndItsReceiptTellsAlsoAfterARestart"),
    Mutant("RetryInfo is missing", "server/rich_status.cc",
           "  if (retry_delay.has_value()) {", "  if (false) {",
           "e2e.full_disk", ""),
    Mutant("Flush does not wait", ENGINE + "settlement.cc",
           "  if (count == 0) {\n    finished_", "  if (true) {\n    finished_",
           "engine_test", "SettlementTest.*"),
]

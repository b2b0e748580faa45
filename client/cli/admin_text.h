#ifndef HEAPSYNC_CLIENT_CLI_ADMIN_TEXT_H_
#define HEAPSYNC_CLIENT_CLI_ADMIN_TEXT_H_

#include <string>

#include "heapsync/v1/heap_sync_admin_service.pb.h"

namespace heapsync {

// The texts that the admin commands print for people. Pure.

// One line for each destination.
std::string DestinationTable(
    const google::protobuf::RepeatedPtrField<v1::Destination>& destinations);

// All of one destination, its types and notes included.
std::string DestinationText(const v1::Destination& destination);

// The items of a receipt, one line each.
std::string DeliveryText(const v1::GetDeliveryResponse& delivery);

// One line for each dead letter, without its values.
std::string DeadLetterTable(
    const google::protobuf::RepeatedPtrField<v1::DeadLetter>& letters);

// All of one dead letter: Heap's answer and the item.
std::string DeadLetterText(const v1::DeadLetter& letter);

// The outcome for each dead letter.
std::string ResultTable(
    const google::protobuf::RepeatedPtrField<v1::DeadLetterResult>& results);

}  // namespace heapsync

#endif  // HEAPSYNC_CLIENT_CLI_ADMIN_TEXT_H_

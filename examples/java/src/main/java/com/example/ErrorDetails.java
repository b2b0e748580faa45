package com.example;

import com.google.protobuf.Any;
import com.google.protobuf.InvalidProtocolBufferException;
import com.google.protobuf.util.Durations;
import com.google.rpc.BadRequest;
import com.google.rpc.ErrorInfo;
import com.google.rpc.RetryInfo;
import io.grpc.Status;
import io.grpc.StatusException;
import io.grpc.protobuf.StatusProto;
import java.time.Duration;
import java.util.Optional;

/** An error of a call with the details that Heap Sync attached to it; a proxy's errors have none. */
record ErrorDetails(Status status, Optional<ErrorInfo> info, Optional<BadRequest> bad, Optional<RetryInfo> retry) {
  static ErrorDetails of(StatusException error) {
    Optional<ErrorInfo> info = Optional.empty();
    Optional<BadRequest> bad = Optional.empty();
    Optional<RetryInfo> retry = Optional.empty();
    try {
      for (Any packed : StatusProto.fromThrowable(error).getDetailsList()) {
        if (packed.is(ErrorInfo.class)) {
          info = Optional.of(packed.unpack(ErrorInfo.class));
        } else if (packed.is(BadRequest.class)) {
          bad = Optional.of(packed.unpack(BadRequest.class));
        } else if (packed.is(RetryInfo.class)) {
          retry = Optional.of(packed.unpack(RetryInfo.class));
        }
      }
    } catch (InvalidProtocolBufferException malformed) {
      // As if there were none.
    }
    return new ErrorDetails(error.getStatus(), info, bad, retry);
  }

  void report() {
    String reason = info.map(ErrorInfo::getReason).orElse("-");
    System.err.println(status.getCode() + " " + reason + ": " + status.getDescription());
    for (var violation : bad.orElse(BadRequest.getDefaultInstance()).getFieldViolationsList()) {
      System.err.println("  " + violation.getField() + ": " + violation.getDescription());
    }
  }

  /** The wait that the server asks for; empty if a repetition is pointless. */
  Optional<Duration> retryDelay() {
    if (retry.isPresent()) {
      return Optional.of(Duration.ofNanos(Durations.toNanos(retry.get().getRetryDelay())));
    }
    boolean retryable =
        switch (status.getCode()) {
          case UNAVAILABLE -> true;
          // Every error of Heap Sync has an ErrorInfo; a proxy that resets a stream gives none.
          case INTERNAL, UNKNOWN, CANCELLED -> info.isEmpty();
          default -> false;
        };
    return retryable ? Optional.of(Duration.ZERO) : Optional.empty();
  }
}

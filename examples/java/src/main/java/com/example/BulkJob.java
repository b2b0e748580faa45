package com.example;

import com.google.protobuf.util.JsonFormat;
import heapsync.v1.BulkTrackEventsRequest;
import heapsync.v1.BulkTrackEventsResponse;
import heapsync.v1.FieldViolation;
import heapsync.v1.HeapSyncServiceGrpc.HeapSyncServiceBlockingV2Stub;
import heapsync.v1.RejectedItem;
import io.grpc.StatusException;
import io.grpc.stub.BlockingClientCall;
import java.io.BufferedReader;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.HashSet;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.ThreadLocalRandom;

/** Sends the events of a file, one in JSON a line. A stream that breaks is followed by another from the durable position. */
final class BulkJob {
  private static final int CHUNK = 500; // events in a message; the server takes 10,000 and 4 MiB at most
  private static final int MAX_FAILURES = 40; // in a row, without progress between them: some three minutes

  private final HeapSyncServiceBlockingV2Stub stub;
  private final Path path;
  private final String requestId;
  private final Set<Long> rejected = new HashSet<>();
  private long position = 0; // every event below it is durable or was rejected
  private volatile IOException unreadable;

  BulkJob(HeapSyncServiceBlockingV2Stub stub, Path path, String requestId) {
    this.stub = stub;
    this.path = path;
    this.requestId = requestId;
  }

  void run() throws IOException, StatusException, InterruptedException {
    for (int failures = 1; ; failures++) {
      long before = position;
      try {
        stream();
        System.out.printf("done: %d accepted, %d rejected%n", position - rejected.size(), rejected.size());
        return;
      } catch (StatusException error) {
        if (unreadable != null) {
          throw unreadable;
        }
        if (position > before) {
          failures = 1;
        }
        Optional<Duration> delay = ErrorDetails.of(error).retryDelay();
        if (delay.isEmpty() || failures == MAX_FAILURES) {
          throw error;
        }
        ErrorDetails.of(error).report();
        long backoff = Math.min(10_000, 100L << Math.min(failures, 7));
        Thread.sleep(delay.get().toMillis() + ThreadLocalRandom.current().nextLong(backoff));
      }
    }
  }

  private void stream() throws StatusException, InterruptedException {
    BlockingClientCall<BulkTrackEventsRequest, BulkTrackEventsResponse> call = stub.bulkTrackEvents();
    long start = position;
    Thread sender = new Thread(() -> send(call, start));
    sender.start();
    try {
      for (BulkTrackEventsResponse response = call.read(); response != null; response = call.read()) {
        for (RejectedItem item : response.getRejectedItemsList()) {
          if (rejected.add(item.getIndex())) {
            for (FieldViolation violation : item.getViolationsList()) {
              System.out.printf("rejected %d: %s %s%n", item.getIndex(), violation.getField(), violation.getReason());
            }
          }
        }
        if (response.getDurablePosition() > position) {
          position = response.getDurablePosition();
          System.out.println("durable " + position);
        }
      }
    } finally {
      sender.interrupt();
      sender.join();
    }
  }

  /** Ends the stream with an error if the file cannot be read; errors of the stream itself are left to its reader. */
  private void send(BlockingClientCall<BulkTrackEventsRequest, ?> call, long start) {
    try (BufferedReader lines = Files.newBufferedReader(path)) {
      var request = BulkTrackEventsRequest.newBuilder().setRequestId(requestId).setStartIndex(start);
      long index = 0;
      for (String line = lines.readLine(); line != null; line = lines.readLine(), index++) {
        if (index < start) {
          continue;
        }
        JsonFormat.parser().merge(line, request.addEventsBuilder());
        if (request.getEventsCount() == CHUNK) {
          if (!call.write(request.build())) {
            return;
          }
          request = BulkTrackEventsRequest.newBuilder();
        }
      }
      if (request.getEventsCount() == 0 || call.write(request.build())) {
        call.halfClose();
      }
    } catch (IOException fault) {
      unreadable = fault;
      call.cancel("cannot read " + path, fault);
    } catch (StatusException | InterruptedException ended) {
      // The reader learns why.
    }
  }
}
